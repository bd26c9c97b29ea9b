/// Reads an organization's configuration as one snapshot for the decision. Its fence is read before it in the same pipeline: if
/// anything changed in between, the fence has risen too and the first commit notices (design §5).
public import Budgets
import JSON
public import Postgres

public enum ConfigurationReads {
    /// How far back prices are kept at hand: usage may be reported this late (`Book`), and a day's grace.
    static let pricesKept = "36 days"

    /// How long a burst that is over is kept at hand: more than clocks differ.
    static let burstsKept = "1 day"

    /// The queries, in the order `decode` takes their results. Budgets are many and seldom change: of those, only what may differ from what
    /// is known is read (0028); nil reads all.
    public static func queries(_ id: OrganizationID, since known: Configuration? = nil) -> [Query] {
        let bursts: Query = """
            FROM bursts
            WHERE organization_id = \(id) AND approved_at IS NOT NULL AND least(ends_at, revoked_at) > now() - \(burstsKept)::text::interval
            """
        let shifts: Query = """
            FROM budget_shifts
            WHERE organization_id = \(id) AND (period_end IS NULL OR period_end > now() - \(pricesKept)::text::interval)
            """
        return [
            "SELECT name, time_zone, closed_until FROM organizations WHERE organization_id = \(id)",
            "SELECT id, name, cost_center, next_cost_center, next_cost_center_from FROM teams WHERE organization_id = \(id)",
            """
            SELECT id, name, team_id, tier_id, cost_center, next_cost_center, next_cost_center_from, is_suspended FROM projects
            WHERE organization_id = \(id) AND archived_at IS NULL
            """,
            """
            SELECT id, name, rank, models, max_output_tokens, max_input_tokens FROM tiers
            WHERE organization_id = \(id) AND archived_at IS NULL
            """,
            """
            SELECT id, name, project_id, environment, expires_at, revoked_at IS NOT NULL, models FROM api_keys
            WHERE organization_id = \(id) AND revoked_at IS NULL
            """,
            """
            SELECT id, name, team_id, project_id, match, per, unit, period, anchor_day, anchor_month, amount, thresholds, limit_version,
                   enforcement, active_from, active_to, archived_at IS NOT NULL, threshold_amounts, degrade, final_call, tier_id
            FROM budgets WHERE organization_id = \(id) AND id IN (
                SELECT id FROM budgets WHERE organization_id = \(id) AND configuration_version > \(known?.version ?? -1)
                UNION SELECT budget_id \(list: [bursts]) UNION SELECT budget_id \(list: [shifts]) UNION SELECT unnest(\(known?.supplemented ?? [])))
            ORDER BY id
            """,
            "SELECT budget_id, id, amount, starts_at, least(ends_at, revoked_at), match \(list: [bursts])",
            """
            SELECT project_id, tier_id, model, ends_at FROM access_grants
            WHERE organization_id = \(id) AND revoked_at IS NULL AND ends_at > now()
            """,
            "SELECT budget_id, period_start, amount \(list: [shifts])",
            TagPolicy.query(id),
        ]
    }

    /// The models and prices of an organization, or of the platform.
    public static func catalogueQueries(_ id: OrganizationID) -> [Query] {
        [
            """
            SELECT name, provider, max_input_tokens, max_output_tokens, archived_at, aliases FROM models
            WHERE organization_id = \(id) ORDER BY archived_at NULLS LAST
            """,
            """
            SELECT model, id, usage_kind, service_tier, context_from, amount_per_million, valid_from, valid_to FROM prices
            WHERE organization_id = \(id) AND replaced_by IS NULL
              AND (valid_to IS NULL OR valid_to > now() - \(pricesKept)::text::interval)
            """,
        ]
    }

    public static func decodeCatalogue(_ results: some Sequence<PostgresResult>) throws(PostgresError) -> CatalogueRows {
        let results = Array(results)
        var rates: [String: [Rate]] = [:]
        for row in results[1].rows {
            let (model, id, kind, tier, from, amount, validFrom, validTo) = try row.decode(
                as: (String, PriceID, String, String, Int64, Amount, Instant, Instant?).self)
            guard
                let rate = Rate(
                    priceID: id, kind: kind, serviceTier: tier, contextFrom: from, amountPerMillion: amount, validFrom: validFrom,
                    validTo: validTo)
            else { throw .decoding("a price with more than six fractional digits") }
            rates[model, default: []].append(rate)
        }
        var models: [CatalogueRows.ModelRow] = []
        for row in results[0].rows {
            let (name, provider, maxInput, maxOutput, archivedAt, aliases) = try row.decode(
                as: (String, String, Int64?, Int64?, Instant?, [String]).self)
            models.append((name, provider, maxInput, maxOutput, archivedAt, aliases))
        }
        return CatalogueRows(models: models, rates: rates)
    }

    /// Puts the snapshot together; nil when there is no such organization.
    /// - Parameter known: what the queries were asked to go on from.
    public static func decode(
        _ organization: OrganizationID, version: Int64, _ results: [PostgresResult], own: CatalogueRows, platform: Catalogue,
        since known: Configuration? = nil
    ) throws(PostgresError) -> Configuration? {
        guard let head = results[0].rows.first else { return nil }
        let (name, zoneName, closedUntil) = try head.decode(as: (String, String, Instant?).self)
        guard let zone = Zone(zoneName) else { throw .decoding("an unknown time zone") }
        var teamNames: [TeamID: String] = [:]
        var teamCostCenters: [TeamID: CostCenter] = [:]
        for row in results[1].rows {
            let (id, name, present, next, from) = try row.decode(as: (TeamID, String, String?, String?, Instant?).self)
            teamNames[id] = name
            teamCostCenters[id] = CostCenter(present, next: next, from: from)
        }
        var projects: [Project] = []
        for row in results[2].rows {
            let (id, name, team, tier, present, next, from, suspended) = try row.decode(
                as: (ProjectID, String, TeamID, TierID, String?, String?, Instant?, Bool).self)
            projects.append(
                Project(
                    id: id, name: name, team: team, tier: tier, costCenter: CostCenter(present, next: next, from: from),
                    teamCostCenter: teamCostCenters[team] ?? CostCenter(nil), isSuspended: suspended))
        }
        var tiers: [Tier] = []
        for row in results[3].rows {
            let (id, name, rank, models, maxOutput, maxInput) = try row.decode(
                as: (TierID, String, Int64, [String], Int64, Int64?).self)
            tiers.append(
                Tier(
                    id: id, name: name, rank: rank, models: models.compactMap { Pattern($0) }, maxOutputTokens: maxOutput,
                    maxInputTokens: maxInput))
        }
        var apiKeys: [APIKey] = []
        for row in results[4].rows {
            let (id, name, project, environment, expires, revoked, models) = try row.decode(
                as: (APIKeyID, String, ProjectID?, String, Instant?, Bool, [String]?).self)
            apiKeys.append(
                APIKey(
                    id: id, name: name, project: project, environment: environment, expiresAt: expires, isRevoked: revoked,
                    models: models.map { $0.compactMap { Pattern($0) } }))
        }
        var budgets: [Budget] = []
        let bursts = try decodeBursts(results[6])
        let shifts = try BudgetShifts.decode(results[8])
        for row in results[5].rows { budgets.append(try decodeBudget(row, bursts, shifts)) }
        var tagPolicy = TagPolicy()
        if let row = results[9].rows.first { tagPolicy = try TagPolicy(row) }
        return Configuration(
            organization: organization, organizationName: name, zone: zone, version: version, closedUntil: closedUntil,
            teamNames: teamNames, projects: projects, tiers: tiers, apiKeys: apiKeys, ownCatalogue: own.catalogue(),
            contracts: own.contracts(over: platform),
            platformCatalogue: platform, budgets: budgets, since: known, accessGrants: try decodeAccessGrants(results[7]),
            tagPolicy: tagPolicy)
    }

    private static func decodeAccessGrants(_ result: PostgresResult) throws(PostgresError) -> [AccessGrant] {
        var grants: [AccessGrant] = []
        for row in result.rows {
            let (project, tier, model, endsAt) = try row.decode(as: (ProjectID, TierID?, String?, Instant).self)
            if let tier {
                grants.append(AccessGrant(project: project, subject: .tier(tier), endsAt: endsAt))
            } else if let pattern = model.flatMap({ Pattern($0) }) {
                grants.append(AccessGrant(project: project, subject: .model(pattern), endsAt: endsAt))
            }
        }
        return grants
    }

    private static func decodeBursts(_ result: PostgresResult) throws(PostgresError) -> [BudgetID: [BurstGrant]] {
        var bursts: [BudgetID: [BurstGrant]] = [:]
        for row in result.rows {
            let (budget, id, amount, startsAt, endsAt, column) = try row.decode(
                as: (BudgetID, BurstID, Amount, Instant, Instant, JSONB).self)
            guard let match = BudgetMatch(column: column) else { throw .decoding("a burst with an unknown match") }
            bursts[budget, default: []].append(BurstGrant(id: id, amount: amount, startsAt: startsAt, endsAt: endsAt, match: match))
        }
        return bursts
    }

    private static func decodeBudget(
        _ row: Row, _ bursts: [BudgetID: [BurstGrant]], _ shifts: BudgetShifts.ByBudget
    ) throws(PostgresError) -> Budget {
        let columns = try row.decode(
            as: (
                BudgetID, String, TeamID?, ProjectID?, JSONB, String?, String, String,
                Int64, Int64, Amount, [Int64], Int64, String, Instant?, Instant?, Bool, [Amount], JSONB?, JSONB?, TierID?
            ).self)
        let scope: BudgetScope =
            if let team = columns.2 { .team(team) } else if let project = columns.3 { .project(project) } else { .organization }
        guard let unit = BudgetUnit(rawValue: columns.6), let period = Period(rawValue: columns.7),
            let enforcement = Enforcement(rawValue: columns.13), let match = BudgetMatch(column: columns.4),
            let rule = PeriodRule(period: period, anchorDay: Int(columns.8), anchorMonth: Int(columns.9))
        else { throw .decoding("a budget with an unknown word") }
        var degrade: Degrade?
        if let column = columns.18 { degrade = try Degrade(column: column) }
        var finalCall: FinalCall?
        if let column = columns.19 { finalCall = try FinalCall(column: column) }
        return Budget(
            id: columns.0, name: columns.1, scope: scope, match: match, per: columns.5.flatMap { BudgetPer(rawValue: $0) }, unit: unit,
            rule: rule, amount: columns.10, shifts: shifts[columns.0] ?? [:],
            thresholds: columns.11.map { Int($0) }, thresholdAmounts: columns.17, limitVersion: columns.12, enforcement: enforcement,
            activeFrom: columns.14, activeTo: columns.15, isArchived: columns.16, bursts: bursts[columns.0] ?? [], degrade: degrade,
            finalCall: finalCall, tier: columns.20)
    }
}

/// Models and rates of one owner, before they are joined.
public struct CatalogueRows: Sendable {
    typealias ModelRow = (
        name: String, provider: String, maxInput: Int64?, maxOutput: Int64?, archivedAt: Instant?, aliases: [String]
    )

    /// Archived ones first, so that a living model of the same name replaces them.
    let models: [ModelRow]
    let rates: [String: [Rate]]

    /// Models with their rates, by all their names; a model's own name goes before another's alias.
    public func catalogue() -> Catalogue {
        var catalogue: Catalogue = [:]
        for model in models {
            catalogue[model.name] = Model(
                name: model.name, provider: model.provider, maxInputTokens: model.maxInput, maxOutputTokens: model.maxOutput,
                archivedAt: model.archivedAt, prices: PriceSheet(rates: rates[model.name] ?? []))
        }
        for model in models where model.archivedAt == nil {
            for alias in model.aliases where catalogue[alias] == nil { catalogue[alias] = catalogue[model.name] }
        }
        return catalogue
    }

    /// The platform's models that an organization has rates for: those go before list prices, kind by kind. Rates that were for a model
    /// of its own, which hid the platform's, ended when it was archived.
    public func contracts(over platform: Catalogue) -> Catalogue {
        let living = Set(models.filter { $0.archivedAt == nil }.map(\.name))
        var contracts: Catalogue = [:]
        for (name, rates) in rates where !living.contains(name) {
            guard let listed = platform[name] else { continue }
            contracts[name] = Model(
                name: name, provider: listed.provider, maxInputTokens: listed.maxInputTokens, maxOutputTokens: listed.maxOutputTokens,
                archivedAt: listed.archivedAt, prices: PriceSheet(rates: listed.prices.list, contracted: rates))
        }
        return contracts
    }
}

extension Degrade {
    /// Reads `{"from_percent":80,"models":{"gpt-4o":"gpt-4o-mini"}}`.
    init(column: JSONB) throws(PostgresError) {
        guard let members = (try? JSON.parse(column.bytes))?.object, let percent = members["from_percent"]?.int64,
            let pairs = members["models"]?.object
        else { throw .decoding("a degrade rule that is none") }
        self.init(fromPercent: Int(percent), models: Dictionary(pairs.map { ($0.name, $0.value.string ?? "") }) { first, _ in first })
    }
}

extension FinalCall {
    /// Reads `{"calls":3,"model":"gpt-4o-mini","max_output_tokens":200}`.
    init(column: JSONB) throws(PostgresError) {
        guard let members = (try? JSON.parse(column.bytes))?.object, let calls = members["calls"]?.int64,
            let model = members["model"]?.string, let maxOutputTokens = members["max_output_tokens"]?.int64
        else { throw .decoding("a final call that is none") }
        self.init(calls: calls, model: model, maxOutputTokens: maxOutputTokens)
    }
}

extension BudgetMatch {
    /// Reads `{"models":["gpt-*"],"environments":[…],…}`; nil when it holds anything else.
    public init?(column: JSONB) {
        guard let members = (try? JSON.parse(column.bytes))?.object else { return nil }
        func patterns(_ name: String) -> [Pattern]? {
            guard let value = members[name] else { return [] }
            guard let texts = value.array else { return nil }
            let patterns = texts.compactMap { $0.string.flatMap { Pattern($0) } }
            return patterns.count == texts.count ? patterns : nil
        }
        guard let models = patterns("models"), let providers = patterns("providers"), let environments = patterns("environments"),
            let features = patterns("features"), let endUsers = patterns("end_users"), let apiKeys = patterns("api_keys")
        else { return nil }
        self.init(
            models: models, providers: providers, environments: environments, features: features, endUsers: endUsers, apiKeys: apiKeys)
    }
}
