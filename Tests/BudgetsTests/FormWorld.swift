// A small organization for tests of the budget form: three priced models, one without a price, one outside the tier.

import Testing

@testable import Budgets

/// A state that plays its own database: a counter that was never used is what `stored` says, or new.
struct FormWorld {
    static let at = Instant(seconds: 1_800_000_000)  // 2027-01-15T08:00:00Z, a Friday
    static let project = ProjectID(high: 1, low: 1)
    static let otherProject = ProjectID(high: 1, low: 2)
    static let team = TeamID(high: 2, low: 1)
    static let otherTeam = TeamID(high: 2, low: 2)
    static let key = APIKeyID(high: 3, low: 1)
    static let otherKey = APIKeyID(high: 3, low: 2)
    static let tier = TierID(high: 4, low: 1)

    var state: OrganizationState
    var stored: [CounterID: Counter] = [:]
    var changes = Changes()
    private var number: UInt64 = 0
    private let configuration: ([Budget]) -> Configuration

    /// Prices a million tokens, input or output: big $10, mini $1, nano $0.10.
    init(_ budgets: [Budget], zone: String = "UTC", maxInputTokens: Int64? = nil, costCenter: CostCenter = CostCenter(nil)) {
        configuration = { budgets in
            func model(_ name: String, _ dollars: String?) -> (String, Model) {
                let rates = ["input", "output"].enumerated().compactMap { index, kind in
                    dollars.flatMap {
                        Rate(
                            priceID: PriceID(high: 6, low: UInt64(index)), kind: kind, serviceTier: "standard", contextFrom: 0,
                            amountPerMillion: Amount($0)!, validFrom: Instant(seconds: 0), validTo: nil)
                    }
                }
                return (
                    name,
                    Model(name: name, provider: "acme", maxInputTokens: nil, maxOutputTokens: nil, prices: PriceSheet(rates: rates))
                )
            }
            let priced = [("big", "10"), ("mini", "1"), ("nano", "0.1"), ("secret", "1")].map { model($0.0, $0.1) }
            return Configuration(
                organization: OrganizationID(high: 7, low: 1), organizationName: "Acme", zone: Zone(zone)!, version: 1,
                teamNames: [Self.team: "Search", Self.otherTeam: "Chat"],
                projects: [(Self.project, Self.team), (Self.otherProject, Self.otherTeam)].map { project, team in
                    Project(id: project, name: "Ranker", team: team, tier: Self.tier, costCenter: costCenter, isSuspended: false)
                },
                tiers: [
                    Tier(
                        id: Self.tier, name: "Standard", rank: 1, models: ["big", "mini", "nano", "un*"].map { Pattern($0)! },
                        maxOutputTokens: 1_000_000, maxInputTokens: maxInputTokens)
                ],
                apiKeys: [(Self.key, Self.project), (Self.otherKey, Self.otherProject)].map { key, project in
                    APIKey(
                        id: key, name: "ci", project: project, environment: key == Self.key ? "staging" : "production", expiresAt: nil,
                        isRevoked: false)
                },
                ownCatalogue: Dictionary(uniqueKeysWithValues: priced + [model("unpriced", nil)]), platformCatalogue: [:],
                budgets: budgets)
        }
        state = OrganizationState(configuration: configuration(budgets), version: 1)
    }

    /// What a lane does when the configuration changes: everything is read again.
    mutating func change(_ budgets: [Budget]) {
        for (id, counter) in state.counters { stored[id] = counter }
        let open = state
        state = OrganizationState(configuration: configuration(budgets), version: 1)
        state.reservations = open.reservations
        state.requests = open.requests
    }

    mutating func reserve(
        _ model: String = "big", tokens: Int64 = 1000, output: Int64? = 0, endUser: String? = nil, feature: String? = nil,
        elsewhere: Bool = false, at: Instant = FormWorld.at
    ) -> Outcome {
        number += 1
        let project = elsewhere ? Self.otherProject : Self.project
        return run(
            .reserve(
                Reserve(
                    id: ReservationID(high: 8, low: number), request: RequestID(project: project, text: "r\(number)"), content: [1],
                    call: Call(
                        project: project, apiKey: elsewhere ? Self.otherKey : Self.key, model: model, endUser: endUser, feature: feature),
                    inputTokens: tokens, maxOutputTokens: output, timeToLive: 600, at: at)))
    }

    mutating func ask(_ model: String, tokens: Int64 = 1000) -> Allowance? {
        let call = Call(project: Self.project, apiKey: Self.key, model: model)
        guard case .allowance(let allowance) = run(.ask(Ask(call: call, inputTokens: tokens, maxOutputTokens: 0, at: Self.at))) else {
            return nil
        }
        return allowance
    }

    mutating func settle(_ id: ReservationID, tokens: Int64, at: Instant = FormWorld.at) -> Outcome {
        run(
            .settle(
                Settle(
                    reservation: id, project: nil, apiKey: Self.key, content: [1],
                    report: Report(usage: Usage([("input", tokens)])!), at: at)))
    }

    mutating func release(_ id: ReservationID) -> Outcome {
        run(.release(Release(reservation: id, project: nil, apiKey: Self.key, at: Self.at)))
    }

    mutating func expire(_ id: ReservationID, at: Instant = FormWorld.at.adding(seconds: 601)) -> Outcome { run(.expire(id, at: at)) }

    private mutating func run(_ command: Command) -> Outcome {
        var pending = Pending(command)
        var absent: Set<ReservationID> = []
        while true {
            var missing = Missing()
            state.prepare(&pending, absent: absent, missing: &missing)
            guard !missing.isEmpty else { break }
            for id in missing.counters { state.remember(id, stored[id] ?? Counter()) }
            absent.formUnion(missing.reservations)
        }
        if let (source, attribution) = pending.attribution {
            let center = UInt64(attribution.costCenter?.utf8.first ?? 9)
            state.remember(source, AttributionID(high: center, low: source.project.low), attribution)
        }
        return state.decide(pending, &changes)
    }

    /// The counter of a budget's present period, as it stands.
    func counter(_ budget: Budget, _ subject: String = "") -> Counter {
        let id = CounterID(
            budget: budget.id, subject: subject, periodStart: budget.rule.span(containing: Self.at, in: state.configuration.zone).start)
        return state.counter(id) ?? stored[id] ?? Counter()
    }

    /// Lets so much be settled in a budget's present period before the test begins.
    mutating func settled(_ amount: String, _ budget: Budget, _ subject: String = "") {
        let id = CounterID(
            budget: budget.id, subject: subject, periodStart: budget.rule.span(containing: Self.at, in: state.configuration.zone).start)
        stored[id] = Counter(settled: Amount(amount)!, ceiling: budget.enforcement == .block ? budget.amount : nil)
    }
}

extension Budget {
    /// A budget of the organization by the month, in dollars, that blocks, unless said otherwise.
    static func form(
        _ low: UInt64 = 1, _ amount: String, scope: BudgetScope = .organization, match: BudgetMatch = .any, per: BudgetPer? = nil,
        unit: BudgetUnit = .usd, rule: PeriodRule = PeriodRule(.month), version: Int64 = 1, enforcement: Enforcement = .block,
        activeFrom: Instant? = nil, activeTo: Instant? = nil, degrade: Degrade? = nil, finalCall: FinalCall? = nil, tier: TierID? = nil
    ) -> Budget {
        Budget(
            id: BudgetID(high: 5, low: low), name: "Budget \(low)", scope: scope, match: match, per: per, unit: unit, rule: rule,
            amount: Amount(amount)!, thresholds: [], limitVersion: version, enforcement: enforcement, activeFrom: activeFrom,
            activeTo: activeTo, degrade: degrade, finalCall: finalCall, tier: tier)
    }
}

extension Outcome {
    /// The outcome as a word for tables: the refusal's code, or the model that serves the call and why.
    var form: String {
        switch self {
        case .reserved(let reservation, _, _):
            reservation.substitutions.reduce(reservation.model) { text, substitution in
                text + " \(substitution.kind.rawValue) \(substitution.budget.low)" + (substitution.reason.map { " \($0)" } ?? "")
            }
        case .refused(let refusal): "\(refusal.code)"
        default: "\(self)"
        }
    }

    var reservation: Reservation? {
        switch self {
        case .reserved(let reservation, _, _), .settled(let reservation, _, _), .released(let reservation, _): reservation
        default: nil
        }
    }
}
