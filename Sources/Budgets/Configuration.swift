/// All that decisions about an organization's calls rest on, except the counters: an immutable snapshot that the fence keeps
/// exact (design §5). Built by `Store`, read only by the decision.

public struct Project: Sendable {
    public let id: ProjectID
    public let name: String
    public let team: TeamID
    public let tier: TierID
    private let ownCostCenter: CostCenter
    private let teamCostCenter: CostCenter
    public let isSuspended: Bool

    public init(
        id: ProjectID, name: String, team: TeamID, tier: TierID, costCenter: CostCenter, teamCostCenter: CostCenter = CostCenter(nil),
        isSuspended: Bool
    ) {
        self.id = id
        self.name = name
        self.team = team
        self.tier = tier
        ownCostCenter = costCenter
        self.teamCostCenter = teamCostCenter
        self.isSuspended = isSuspended
    }

    /// The project's own cost centre, or else its team's, as it is at that instant.
    func costCenter(at instant: Instant) -> String? { ownCostCenter.name(at: instant) ?? teamCostCenter.name(at: instant) }
}

/// A ranked set of allowed models with caps. A higher rank includes the lower ones.
public struct Tier: Sendable {
    public let id: TierID
    public let name: String
    public let rank: Int64
    public let models: [Pattern]
    /// The output bound of a call that names none, and the most that one may ask for: no call is unbounded (design §6).
    public let maxOutputTokens: Int64
    /// The most input of one call; nil for as much as the model takes. The tier's `max_requests_per_minute` is a budget (`Budget.tier`).
    public let maxInputTokens: Int64?

    public init(id: TierID, name: String, rank: Int64, models: [Pattern], maxOutputTokens: Int64, maxInputTokens: Int64? = nil) {
        self.id = id
        self.name = name
        self.rank = rank
        self.models = models
        self.maxOutputTokens = maxOutputTokens
        self.maxInputTokens = maxInputTokens
    }
}

/// A credential as the decision sees it; `project` is nil for one of a person or a service.
public struct APIKey: Sendable {
    public let id: APIKeyID
    public let name: String
    public let project: ProjectID?
    public let environment: String
    public let expiresAt: Instant?
    public let isRevoked: Bool
    /// The models it may be used for, within what the project may call; nil: all of those.
    public let models: [Pattern]?

    public init(
        id: APIKeyID, name: String, project: ProjectID?, environment: String, expiresAt: Instant?, isRevoked: Bool,
        models: [Pattern]? = nil
    ) {
        self.id = id
        self.name = name
        self.project = project
        self.environment = environment
        self.expiresAt = expiresAt
        self.isRevoked = isRevoked
        self.models = models
    }

    func allows(_ model: String) -> Bool { models.map { $0.contains { $0.matches(model) } } ?? true }
}

/// A model offered by a provider, with what is known of its prices. A class for the same reason as `Budget`.
public final class Model: Sendable {
    public let name: String
    public let provider: String
    public let maxInputTokens: Int64?
    public let maxOutputTokens: Int64?
    /// When it was taken out of the catalogue: no more calls, but those made before are still priced and booked.
    public let archivedAt: Instant?
    public let prices: PriceSheet

    public init(
        name: String, provider: String, maxInputTokens: Int64?, maxOutputTokens: Int64?, archivedAt: Instant? = nil, prices: PriceSheet
    ) {
        self.name = name
        self.provider = provider
        self.maxInputTokens = maxInputTokens
        self.maxOutputTokens = maxOutputTokens
        self.archivedAt = archivedAt
        self.prices = prices
    }
}

/// Models by name and alias. The platform's is shared by all organizations.
public typealias Catalogue = [String: Model]

public struct Configuration: Sendable {
    public let organization: OrganizationID
    public let organizationName: String
    public let zone: Zone
    /// The fence's `configuration_version` at which this snapshot was exact.
    public let version: Int64
    /// Before this instant the books are closed; nil when no month is. What is booked for a time before it corrects a closed month.
    public let closedUntil: Instant?
    public let teamNames: [TeamID: String]
    public let projects: [ProjectID: Project]
    public let tiers: [TierID: Tier]
    public let apiKeys: [APIKeyID: APIKey]
    /// The organization's own models and prices; each hides the platform's of the same name, until it is archived.
    public let ownCatalogue: Catalogue
    /// The platform's models that the organization has contracted prices for.
    public let contracts: Catalogue
    public let platformCatalogue: Catalogue
    private let accessGrants: [ProjectID: [AccessGrant]]
    public let tagPolicy: TagPolicy
    private let budgets: [BudgetScope: [Budget]]
    private let budgetsByID: [BudgetID: Budget]

    /// - Parameters:
    ///   - budgets: all of them; or, where there is an earlier configuration to go on from, those that are new since or may differ.
    public init(
        organization: OrganizationID, organizationName: String, zone: Zone, version: Int64, closedUntil: Instant? = nil,
        teamNames: [TeamID: String], projects: [Project], tiers: [Tier], apiKeys: [APIKey], ownCatalogue: Catalogue,
        contracts: Catalogue = [:],
        platformCatalogue: Catalogue, budgets: [Budget], since known: Configuration? = nil, accessGrants: [AccessGrant] = [],
        tagPolicy: TagPolicy = TagPolicy()
    ) {
        self.organization = organization
        self.organizationName = organizationName
        self.zone = zone
        self.version = version
        self.closedUntil = closedUntil
        self.teamNames = teamNames
        self.projects = Dictionary(uniqueKeysWithValues: projects.map { ($0.id, $0) })
        self.tiers = Dictionary(uniqueKeysWithValues: tiers.map { ($0.id, $0) })
        self.apiKeys = Dictionary(uniqueKeysWithValues: apiKeys.map { ($0.id, $0) })
        self.ownCatalogue = ownCatalogue
        self.contracts = contracts
        self.platformCatalogue = platformCatalogue
        self.tagPolicy = tagPolicy
        self.accessGrants = Dictionary(grouping: accessGrants, by: \.project)
        var all = known?.budgets ?? [:]
        var byID = known?.budgetsByID ?? [:]
        for budget in budgets {
            if let former = byID.updateValue(budget, forKey: budget.id) { all[former.scope]?.removeAll { $0.id == former.id } }
        }
        for (scope, added) in Dictionary(grouping: budgets, by: \.scope) {
            all[scope] = ((all[scope] ?? []) + added).sorted { $0.id < $1.id }
        }
        self.budgets = all
        budgetsByID = byID
    }

    /// Budgets that have more, or other, than their own row says: bursts, and amounts moved for a period. These end by themselves.
    public var supplemented: [BudgetID] {
        budgetsByID.values.lazy.filter { !$0.bursts.isEmpty || !$0.shifts.isEmpty }.map(\.id)
    }

    /// The model of that name for a call made at the instant: the organization's own, or else the platform's at contracted prices where there
    /// are any, unless archived by then.
    public func model(_ name: String, at instant: Instant) -> Model? {
        func isThere(_ model: Model) -> Bool { model.archivedAt.map { instant < $0 } ?? true }
        if let own = ownCatalogue[name], isThere(own) { return own }
        if let listed = platformCatalogue[name], isThere(listed) { return contracts[listed.name] ?? listed }
        return nil
    }

    /// Models that calls may be made of now.
    var modelNames: Set<String> {
        let living = ownCatalogue.values.filter { $0.archivedAt == nil } + platformCatalogue.values.filter { $0.archivedAt == nil }
        return Set(living.map(\.name))
    }

    /// Whatever their dates.
    func accessGrants(of project: ProjectID) -> [AccessGrant] { accessGrants[project] ?? [] }

    public func budget(_ id: BudgetID) -> Budget? { budgetsByID[id] }

    /// When an entry counts that is booked now for a call of `instant`: at that time itself, or, where its month is closed, at the
    /// earliest that an open month allows.
    func accountingTime(of instant: Instant, bookedAt now: Instant) -> Instant {
        guard let closedUntil, instant < closedUntil else { return instant }
        return max(now, closedUntil)
    }

    /// The budgets on a call's path, from the organization's down to the project's.
    func path(to project: Project) -> [Budget] {
        let path = (budgets[.organization] ?? []) + (budgets[.team(project.team)] ?? []) + (budgets[.project(project.id)] ?? [])
        return path.filter { budget in !budget.isArchived && budget.tier.map { $0 == project.tier } ?? true }
    }

    /// The tiers whose models a project of `tier` may use, itself included.
    func tiers(upTo tier: Tier) -> [Tier] { tiers.values.filter { $0.rank <= tier.rank } }

    /// The lowest tier that has the model: what a refusal tells the caller to ask for.
    func lowestTier(with model: String) -> Tier? {
        tiers.values.filter { tier in tier.models.contains { $0.matches(model) } }.min { $0.rank < $1.rank }
    }
}
