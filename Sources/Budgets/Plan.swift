/// The part of a decision that rests on configuration alone: which model, what hold, which counters. Made first, because it says
/// which counters must be read before the decision proper.

/// What a call would draw on one budget.
public struct PlannedDraw: Sendable {
    public let budget: Budget
    public let counter: CounterID
    public let span: PeriodSpan
    public let need: Amount
    /// The grants open to the call, in the order in which they are drawn on.
    public let bursts: [BurstID]

    /// What the budget has in the period of the call.
    var amount: Amount { budget.amount(from: counter.periodStart) }

    func needing(_ need: Amount) -> PlannedDraw {
        PlannedDraw(budget: budget, counter: counter, span: span, need: need, bursts: bursts)
    }
}

public struct Plan: Sendable {
    public let model: Model
    public let attribution: Attribution
    /// Zero for a model without a price, which only non-blocking budgets let through.
    public let hold: Money
    public let maxOutputTokens: Int64
    let quantities: Quantities
    public let draws: [PlannedDraw]
    /// What rules may put in this plan's place; nil when no budget has any.
    var alternatives: Alternatives?

    /// The same call with other draws.
    func drawing(_ draws: [PlannedDraw]) -> Plan {
        Plan(
            model: model, attribution: attribution, hold: hold, maxOutputTokens: maxOutputTokens, quantities: quantities, draws: draws)
    }
}

/// A call as it is to be planned: of the model asked for, or of one that a rule names.
struct PlanRequest {
    let call: Call
    let model: String
    let inputTokens: Int64
    let maxOutputTokens: Int64?
    let at: Instant

    init(call: Call, model: String? = nil, inputTokens: Int64, maxOutputTokens: Int64?, at: Instant) {
        self.call = call
        self.model = model ?? call.model
        self.inputTokens = inputTokens
        self.maxOutputTokens = maxOutputTokens
        self.at = at
    }

    func of(_ model: String) -> PlanRequest { of(model, maxOutputTokens: maxOutputTokens) }

    func of(_ model: String, maxOutputTokens: Int64?) -> PlanRequest {
        PlanRequest(call: call, model: model, inputTokens: inputTokens, maxOutputTokens: maxOutputTokens, at: at)
    }
}

public enum Planning: Sendable {
    case go(Plan)
    case no(Refusal)
}

extension OrganizationState {
    /// Plans a reservation with all that rules may make of it, in the refusals' order of precedence up to the budgets.
    mutating func plan(_ request: PlanRequest) -> Planning {
        let planned = planCall(request)
        guard case .go(var plan) = planned else { return planned }
        plan.alternatives = alternatives(to: plan, request)
        return .go(plan)
    }

    /// Plans a call of that very model.
    mutating func planCall(_ request: PlanRequest) -> Planning {
        let (call, now) = (request.call, request.at)
        guard let key = configuration.apiKeys[call.apiKey], !key.isRevoked, key.expiresAt.map({ now < $0 }) ?? true else {
            return .no(.unauthenticated)
        }
        guard let project = configuration.projects[call.project], let tier = configuration.tiers[project.tier] else {
            return .no(.projectUnknown)
        }
        guard let model = configuration.model(request.model, at: now) else { return .no(.modelUnknown(request.model)) }
        let admitting = admitting(model.name, for: project, tier, at: now)
        let cap = (admitting ?? tier).maxOutputTokens
        let maxOutputTokens = min(request.maxOutputTokens ?? cap, cap, model.maxOutputTokens ?? cap)
        let facts = CallFacts(call, model: model, key: key)
        let budgets = matching(facts, project: project, at: now)
        let hold: Money
        switch model.prices.hold(
            inputTokens: request.inputTokens, maxOutputTokens: maxOutputTokens, serviceTier: call.serviceTier, at: now)
        {
        case .success(let money): hold = money
        case .failure(let unpriced):
            if budgets.contains(where: \.blocksMoney) { return .no(.modelUnpriced(model: model.name, kinds: unpriced.kinds)) }
            hold = .zero
        }
        guard key.allows(model.name) else { return .no(.modelNotOnKey(model.name)) }
        guard let admitting else {
            return .no(.modelNotAllowed(model: model.name, tier: configuration.lowestTier(with: model.name), project: project.id))
        }
        guard request.inputTokens <= admitting.maxInputTokens ?? .max else { return .no(.inputAboveCap(admitting)) }
        guard !project.isSuspended else { return .no(.projectSuspended) }
        let quantities = Quantities(usd: hold, tokens: Amount(whole: request.inputTokens + maxOutputTokens))
        return .go(
            Plan(
                model: model, attribution: attribution(of: project, tier: tier, key: key, call, at: now), hold: hold,
                maxOutputTokens: maxOutputTokens,
                quantities: quantities, draws: budgets.map { draw(on: $0, facts, project: project, quantities: quantities, at: now) }))
    }

    /// Plans the booking of a call that was already made: its money is spent, so neither tier nor room is asked.
    mutating func plan(_ book: Book) -> Planning {
        let call = book.call
        guard let key = configuration.apiKeys[call.apiKey], !key.isRevoked, key.expiresAt.map({ book.at < $0 }) ?? true else {
            return .no(.unauthenticated)
        }
        guard let project = configuration.projects[call.project], let tier = configuration.tiers[project.tier] else {
            return .no(.projectUnknown)
        }
        guard let model = configuration.model(call.model, at: book.occurredAt) else { return .no(.modelUnknown(call.model)) }
        let facts = CallFacts(call, model: model, key: key)
        let budgets = matching(facts, project: project, at: book.occurredAt)
        let cost: Money
        switch model.prices.cost(
            of: book.report.usage, serviceTier: book.report.serviceTier ?? call.serviceTier, at: book.occurredAt)
        {
        case .success(let priced): cost = priced.total
        case .failure(let unpriced):
            if budgets.contains(where: \.blocksMoney) { return .no(.modelUnpriced(model: model.name, kinds: unpriced.kinds)) }
            cost = unpriced.priced.total
        }
        let quantities = Quantities(usd: cost, tokens: Amount(whole: book.report.usage.totalTokens))
        return .go(
            Plan(
                model: model, attribution: attribution(of: project, tier: tier, key: key, call, at: book.occurredAt), hold: .zero,
                maxOutputTokens: 0,
                quantities: quantities,
                draws: budgets.map { draw(on: $0, facts, project: project, quantities: quantities, at: book.occurredAt) }))
    }

    private mutating func matching(_ facts: CallFacts, project: Project, at instant: Instant) -> [Budget] {
        path(to: project).filter { $0.isActive(at: instant) && $0.match.matches(facts) }
    }

    private mutating func draw(
        on budget: Budget, _ call: CallFacts, project: Project, quantities: Quantities, at instant: Instant
    ) -> PlannedDraw {
        let span = span(of: budget, at: instant)
        let subject =
            switch budget.per {
            case nil: ""
            case .endUser: call.endUser ?? ""
            case .feature: call.feature ?? ""
            case .apiKey: call.apiKey.description
            case .model: call.model
            case .project: project.id.description
            case .team: project.team.description
            }
        return PlannedDraw(
            budget: budget, counter: CounterID(budget: budget.id, subject: subject, periodStart: span.start), span: span,
            need: quantities.amount(in: budget.unit), bursts: budget.bursts(for: call, at: instant))
    }

    private func attribution(of project: Project, tier: Tier, key: APIKey, _ call: Call, at instant: Instant) -> Attribution {
        Attribution(
            team: project.team, teamName: configuration.teamNames[project.team] ?? "", project: project.id, projectName: project.name,
            costCenter: project.costCenter(at: instant), tier: tier.id, tierName: tier.name, apiKey: key.id, apiKeyName: key.name,
            environment: key.environment, lacksTags: !configuration.faults(in: call.tags).isEmpty)
    }
}

/// One call measured in every unit a budget may count.
struct Quantities {
    let usd: Money
    let tokens: Amount

    func amount(in unit: BudgetUnit) -> Amount {
        switch unit {
        case .usd: usd
        case .tokens: tokens
        case .requests: Amount(whole: 1)
        }
    }
}

extension CallFacts {
    fileprivate init(_ call: Call, model: Model, key: APIKey) {
        self.init(
            model: model.name, provider: model.provider, environment: key.environment, feature: call.feature, endUser: call.endUser,
            apiKey: key.id)
    }
}

extension Budget {
    /// The grants open to a call, in the order in which they are drawn on. Only a budget that blocks has use for them.
    fileprivate func bursts(for call: CallFacts, at instant: Instant) -> [BurstID] {
        guard !bursts.isEmpty, enforcement == .block else { return [] }
        return bursts.filter { $0.isActive(at: instant) && $0.match.matches(call) }.map(\.id)
    }

    var blocksMoney: Bool { enforcement == .block && unit == .usd }
}
