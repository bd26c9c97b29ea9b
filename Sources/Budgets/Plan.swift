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
}

public struct Plan: Sendable {
    public let model: Model
    public let attribution: Attribution
    /// Zero for a model without a price, which only non-blocking budgets let through.
    public let hold: Money
    public let maxOutputTokens: Int64
    public let draws: [PlannedDraw]
}

public enum Planning: Sendable {
    case go(Plan)
    case no(Refusal)
}

extension OrganizationState {
    /// Plans a reservation, in the refusals' order of precedence up to the budgets.
    mutating func plan(_ call: Call, inputTokens: Int64, maxOutputTokens asked: Int64?, at now: Instant) -> Planning {
        guard let key = configuration.apiKeys[call.apiKey], !key.isRevoked, key.expiresAt.map({ now < $0 }) ?? true else {
            return .no(.unauthenticated)
        }
        guard let project = configuration.projects[call.project], let tier = configuration.tiers[project.tier] else {
            return .no(.projectUnknown)
        }
        guard let model = configuration.model(call.model, at: now) else { return .no(.modelUnknown(call.model)) }
        let maxOutputTokens = min(asked ?? tier.maxOutputTokens, tier.maxOutputTokens, model.maxOutputTokens ?? tier.maxOutputTokens)
        let facts = CallFacts(call, model: model, key: key)
        let budgets = matching(facts, project: project, at: now)
        let hold: Money
        switch model.prices.hold(inputTokens: inputTokens, maxOutputTokens: maxOutputTokens, serviceTier: call.serviceTier, at: now) {
        case .success(let money): hold = money
        case .failure(let unpriced):
            if budgets.contains(where: \.blocksMoney) { return .no(.modelUnpriced(model: model.name, kinds: unpriced.kinds)) }
            hold = .zero
        }
        guard isAllowed(model.name, tier: tier) else {
            return .no(.modelNotAllowed(model: model.name, tier: configuration.lowestTier(with: model.name)))
        }
        guard !project.isSuspended else { return .no(.projectSuspended) }
        let quantities = Quantities(usd: hold, tokens: Amount(whole: inputTokens + maxOutputTokens))
        return .go(
            Plan(
                model: model, attribution: attribution(of: project, tier: tier, key: key), hold: hold, maxOutputTokens: maxOutputTokens,
                draws: budgets.map { draw(on: $0, facts, project: project, quantities: quantities, at: now) }))
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
        switch model.prices.cost(of: book.report.usage, serviceTier: call.serviceTier, at: book.occurredAt) {
        case .success(let priced): cost = priced.total
        case .failure(let unpriced):
            if budgets.contains(where: \.blocksMoney) { return .no(.modelUnpriced(model: model.name, kinds: unpriced.kinds)) }
            cost = unpriced.priced.total
        }
        let quantities = Quantities(usd: cost, tokens: Amount(whole: book.report.usage.totalTokens))
        return .go(
            Plan(
                model: model, attribution: attribution(of: project, tier: tier, key: key), hold: .zero, maxOutputTokens: 0,
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

    private func attribution(of project: Project, tier: Tier, key: APIKey) -> Attribution {
        Attribution(
            team: project.team, teamName: configuration.teamNames[project.team] ?? "", project: project.id, projectName: project.name,
            costCenter: project.costCenter, tier: tier.id, tierName: tier.name, apiKey: key.id, apiKeyName: key.name,
            environment: key.environment)
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
