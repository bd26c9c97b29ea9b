/// The whole route table. `openapi/bursar.yaml` says the same in full, and a test holds the two against each other.
import Hummingbird

let routes: [Route] = [
    // Structure
    Route(.post, "/v1/organizations", .needs(.organizations), API.createOrganization),
    Route(.get, "/v1/organizations", .needs(.organizations), API.listOrganizations),
    Route(.get, "/v1/organization", .needs(.readStructure), API.readOrganization),
    Route(.patch, "/v1/organization", .needs(.changeOrganization), API.changeOrganization),
    Route(.post, "/v1/teams", .needs(.changeOrganization), API.createTeam),
    Route(.get, "/v1/teams", .needs(.readStructure), API.listTeams),
    Route(.get, "/v1/teams/{id}", .needs(.readStructure), API.readTeam),
    Route(.patch, "/v1/teams/{id}", .needs(.changeOrganization), API.changeTeam),
    Route(.delete, "/v1/teams/{id}", .needs(.changeOrganization), API.archiveTeam),
    Route(.post, "/v1/teams/{id}/restore", .needs(.changeOrganization), API.restoreTeam),
    Route(.post, "/v1/projects", .needs(.changeProjects), API.createProject),
    Route(.get, "/v1/projects", .needs(.readStructure), API.listProjects),
    Route(.get, "/v1/projects/{id}", .needs(.readStructure), API.readProject),
    Route(.patch, "/v1/projects/{id}", .needs(.changeProjects), API.changeProject),
    Route(.delete, "/v1/projects/{id}", .needs(.changeProjects), API.archiveProject),
    Route(.post, "/v1/projects/{id}/restore", .needs(.changeProjects), API.restoreProject),
    Route(.post, "/v1/users", .needs(.changeUsers), API.createUser),
    Route(.get, "/v1/users", .needs(.readUsers), API.listUsers),
    Route(.get, "/v1/users/{id}", .needs(.readUsers), API.readUser),
    Route(.patch, "/v1/users/{id}", .needs(.changeUsers), API.changeUser),
    Route(.delete, "/v1/users/{id}", .needs(.changeUsers), API.archiveUser),
    Route(.post, "/v1/api-keys", .needs(.changeAPIKeys), API.createAPIKey),
    Route(.get, "/v1/api-keys", .needs(.readAPIKeys), API.listAPIKeys),
    Route(.get, "/v1/api-keys/{id}", .needs(.readAPIKeys), API.readAPIKey),
    Route(.patch, "/v1/api-keys/{id}", .needs(.changeAPIKeys), API.changeAPIKey),
    Route(.post, "/v1/api-keys/{id}/revoke", .needs(.changeAPIKeys), API.revokeAPIKey),
    Route(.post, "/v1/api-keys/{id}/rotate", .needs(.changeAPIKeys), API.rotateAPIKey),

    // Access
    Route(.post, "/v1/models", .needs(.changeCatalogue), API.createModel),
    Route(.get, "/v1/models", .needs(.readCatalogue), API.listModels),
    Route(.get, "/v1/models/{id}", .needs(.readCatalogue), API.readModel),
    Route(.patch, "/v1/models/{id}", .needs(.changeCatalogue), API.changeModel),
    Route(.delete, "/v1/models/{id}", .needs(.changeCatalogue), API.archiveModel),
    Route(.post, "/v1/prices", .needs(.changeCatalogue), API.createPrice),
    Route(.get, "/v1/prices", .needs(.readCatalogue), API.listPrices),
    Route(.get, "/v1/prices/{id}", .needs(.readCatalogue), API.readPrice),
    Route(.post, "/v1/tiers", .needs(.changeOrganization), API.createTier),
    Route(.get, "/v1/tiers", .needs(.readCatalogue), API.listTiers),
    Route(.get, "/v1/tiers/{id}", .needs(.readCatalogue), API.readTier),
    Route(.patch, "/v1/tiers/{id}", .needs(.changeOrganization), API.changeTier),
    Route(.delete, "/v1/tiers/{id}", .needs(.changeOrganization), API.archiveTier),

    Route(.post, "/v1/access-requests", .needs(.requestAccess), API.createAccessRequest),
    Route(.get, "/v1/access-requests", .needs(.readAccess), API.listAccessRequests),
    Route(.get, "/v1/access-requests/{id}", .needs(.readAccess), API.readAccessRequest),
    Route(.post, "/v1/access-requests/{id}/approve", .needs(.decideAccess), API.approveAccessRequest),
    Route(.post, "/v1/access-requests/{id}/deny", .needs(.decideAccess), API.denyAccessRequest),
    Route(.post, "/v1/access-requests/{id}/withdraw", .needs(.requestAccess), API.withdrawAccessRequest),
    Route(.get, "/v1/access-grants", .needs(.readAccess), API.listAccessGrants),
    Route(.get, "/v1/access-grants/{id}", .needs(.readAccess), API.readAccessGrant),
    Route(.post, "/v1/access-grants/{id}/revoke", .needs(.decideAccess), API.revokeAccessGrant),

    // Budgets
    Route(.post, "/v1/budgets", .needs(.changeBudgets), API.createBudget),
    Route(.get, "/v1/budgets", .needs(.readStructure), API.listBudgets),
    Route(.get, "/v1/budgets/{id}", .needs(.readStructure), API.readBudget),
    Route(.patch, "/v1/budgets/{id}", .needs(.changeBudgets), API.changeBudget),
    Route(.delete, "/v1/budgets/{id}", .needs(.changeBudgets), API.archiveBudget),
    Route(.get, "/v1/budgets/{id}/limits", .needs(.readStructure), API.listLimits),
    Route(.get, "/v1/budgets/{id}/periods", .needs(.readSpend), API.listPeriods),

    Route(.post, "/v1/budgets/{id}/bursts", .needs(.requestBursts), API.requestBurst),
    Route(.get, "/v1/budgets/{id}/bursts", .needs(.readSpend), API.listBudgetBursts),
    Route(.get, "/v1/budgets/{id}/burst-rails", .needs(.readStructure), API.readBudgetBurstRails),
    Route(.put, "/v1/budgets/{id}/burst-rails", .needs(.changeOrganization), API.replaceBudgetBurstRails),
    Route(.get, "/v1/bursts", .needs(.readSpend), API.listBursts),
    Route(.get, "/v1/bursts/{id}", .needs(.readSpend), API.readBurst),
    Route(.post, "/v1/bursts/{id}/approve", .needs(.decideBursts), API.approveBurst),
    Route(.post, "/v1/bursts/{id}/deny", .needs(.decideBursts), API.denyBurst),
    Route(.post, "/v1/bursts/{id}/withdraw", .needs(.requestBursts), API.withdrawBurst),
    Route(.post, "/v1/bursts/{id}/revoke", .needs(.decideBursts), API.revokeBurst),
    Route(.post, "/v1/bursts/{id}/review", .needs(.requestBursts), API.reviewBurst),
    Route(.get, "/v1/burst-rails", .needs(.readStructure), API.readBurstRails),
    Route(.put, "/v1/burst-rails", .needs(.changeOrganization), API.replaceBurstRails),

    // Calls
    Route(.post, "/v1/reservations", .needs(.call), API.reserve),
    Route(.get, "/v1/reservations/{id}", .needs(.readReservations), API.readReservation),
    Route(.post, "/v1/reservations/{id}/settle", .needs(.call), API.settle),
    Route(.post, "/v1/reservations/{id}/release", .needs(.call), API.release),
    Route(.get, "/v1/allowance", .needs(.call), API.allowance),
    Route(.post, "/v1/usage", .needs(.call), API.bookUsage),

    // Alerts
    Route(.post, "/v1/endpoints", .needs(.changeEndpoints), API.createEndpoint),
    Route(.get, "/v1/endpoints", .needs(.readEndpoints), API.listEndpoints),
    Route(.get, "/v1/endpoints/{id}", .needs(.readEndpoints), API.readEndpoint),
    Route(.patch, "/v1/endpoints/{id}", .needs(.changeEndpoints), API.changeEndpoint),
    Route(.delete, "/v1/endpoints/{id}", .needs(.changeEndpoints), API.archiveEndpoint),
    Route(.post, "/v1/endpoints/{id}/test", .needs(.changeEndpoints), API.testEndpoint),
    Route(.get, "/v1/alerts", .needs(.readSpend), API.listAlerts),
    Route(.get, "/v1/deliveries", .needs(.readEndpoints), API.listDeliveries),

    // Chargeback
    Route(.get, "/v1/statements/{month}", .needs(.readStatements), API.readStatement),
    Route(.get, "/v1/statements/{month}/export", .needs(.export), API.exportStatement),

    // Insight
    Route(.get, "/v1/audit-events", .needs(.readAudit), API.listAuditEvents),
    Route(.get, "/v1/audit-events/export", .needs(.readAudit), API.exportAuditEvents),
    Route(.get, "/v1/reports/spend", .needs(.readStatements), API.reportSpend),

    // Operations
    Route(.get, "/health/live", .open, API.live),
    Route(.get, "/health/ready", .open, API.ready),
    Route(.get, "/metrics", .open, API.writeMetrics),
    Route(.get, "/openapi.yaml", .open, API.openAPI),
]
