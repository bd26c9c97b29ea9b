/// The budget form (design §4): one general row covers every budget, quota and rate limit.

/// What a budget belongs to. A call passes every budget on its path from organization over team to project.
public enum BudgetScope: Hashable, Sendable {
    case organization
    case team(TeamID)
    case project(ProjectID)

    /// The scope's word in JSON and in refusals.
    public var word: String {
        switch self {
        case .organization: "organization"
        case .team: "team"
        case .project: "project"
        }
    }
}

/// What a budget counts separately: each value has a counter of its own, the counter's `subject`.
public enum BudgetPer: String, Sendable, CaseIterable {
    case endUser = "end_user"
    case apiKey = "api_key"
    case feature
    case model
    case project
    case team
}

/// What a budget counts.
public enum BudgetUnit: String, Sendable, CaseIterable { case usd, tokens, requests }

/// What happens when a call finds no room: refused, told about, or only recorded.
public enum Enforcement: String, Sendable, CaseIterable { case block, warn, shadow }

/// An amount per period for a scope. A class because it is immutable and handed around with every draw of every call.
public final class Budget: Sendable {
    public let id: BudgetID
    public let name: String
    public let scope: BudgetScope
    public let match: BudgetMatch
    public let per: BudgetPer?
    public let unit: BudgetUnit
    public let rule: PeriodRule
    /// What it has in a period for which nothing was moved; `amount(from:)` says what it has in a certain one.
    public let amount: Amount
    /// What was moved to it for one period, or away from it (negative), by the period's start.
    public let shifts: [Instant: Amount]
    /// Percentages at which people are told, ascending.
    public let thresholds: [Int]
    /// Amounts in the budget's unit at which people are told too, ascending.
    public let thresholdAmounts: [Amount]
    /// Raised with each change of `amount` or thresholds; part of an alert's identity (law 7).
    public let limitVersion: Int64
    public let enforcement: Enforcement
    public let activeFrom: Instant?
    public let activeTo: Instant?
    /// Counts no more calls; what is held on it is still given back.
    public let isArchived: Bool
    /// Approved and not over, in the order in which they are drawn on.
    public let bursts: [BurstGrant]
    public let degrade: Degrade?
    public let finalCall: FinalCall?
    /// Set on the budget that keeps this tier's `max_requests_per_minute`: it counts only calls of projects on the tier.
    public let tier: TierID?

    public init(
        id: BudgetID, name: String, scope: BudgetScope, match: BudgetMatch, per: BudgetPer?, unit: BudgetUnit, rule: PeriodRule,
        amount: Amount, shifts: [Instant: Amount] = [:], thresholds: [Int], thresholdAmounts: [Amount] = [], limitVersion: Int64,
        enforcement: Enforcement,
        activeFrom: Instant? = nil, activeTo: Instant? = nil, isArchived: Bool = false, bursts: [BurstGrant] = [], degrade: Degrade? = nil,
        finalCall: FinalCall? = nil, tier: TierID? = nil
    ) {
        self.id = id
        self.name = name
        self.scope = scope
        self.match = match
        self.per = per
        self.unit = unit
        self.rule = rule
        self.amount = amount
        self.shifts = shifts
        self.thresholds = thresholds.sorted()
        self.thresholdAmounts = thresholdAmounts.sorted()
        self.limitVersion = limitVersion
        self.enforcement = enforcement
        self.activeFrom = activeFrom
        self.activeTo = activeTo
        self.isArchived = isArchived
        self.bursts = bursts.sorted(by: BurstGrant.isDrawnBefore)
        self.degrade = degrade
        self.finalCall = finalCall
        self.tier = tier
    }

    /// The amount in the period that starts then. Whatever is lowered afterwards, there is none below zero.
    public func amount(from periodStart: Instant) -> Amount {
        guard !shifts.isEmpty, let shift = shifts[periodStart] else { return amount }
        return max(.zero, amount + shift)
    }

    /// Whether the budget counts calls made at this instant.
    public func isActive(at instant: Instant) -> Bool {
        if let activeFrom, instant < activeFrom { return false }
        if let activeTo, instant >= activeTo { return false }
        return true
    }

    var hasThresholds: Bool { !thresholds.isEmpty || !thresholdAmounts.isEmpty }

    /// Whether it counts all that its organization spends, in one counter: used up, it stops everything below.
    public var isWholeOrganization: Bool { scope == .organization && per == nil && match == .any && enforcement == .block }

    /// Whether running out of it is a matter of moments: then a refusal is a rate limit, worth a retry (design §7).
    public var isRateLimit: Bool { rule.period == .minute || rule.period == .hour }

    /// For how long a rate limit's counter takes costs after its period: an hour that a hold may live, and an hour for its expiry. A cost
    /// that comes later is booked in the ledger and no longer counted here, because the counter may have been pruned by then
    /// (`RateLimitPruning`). Counters of longer periods are for ever.
    public static let rateLimitKeptSeconds: Int64 = 7200

    /// Whether the counter of this period is one that costs are no longer counted in.
    func isClosed(_ span: PeriodSpan, at now: Instant) -> Bool {
        isRateLimit && span.end.map { $0.adding(seconds: Budget.rateLimitKeptSeconds) <= now } ?? false
    }
}
