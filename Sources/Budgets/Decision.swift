/// The rule itself (design §5): pure, without clock, randomness or database, and the only place where the laws of money stand.
/// A lane asks `missing` first, reads that, and then lets `decide` take the commands one by one.

/// A command on its way through one batch.
public struct Pending: Sendable {
    public let command: Command
    /// Made by `prepare`; kept so that planning is done once.
    var planning: Planning?

    public init(_ command: Command) { self.command = command }

    /// Drops the plan: the configuration it was made from may have changed.
    public mutating func forget() { planning = nil }

    /// Who calls for what, and the facts behind it, when the command charges something.
    public var attribution: (AttributionSource, Attribution)? {
        guard case .go(let plan) = planning else { return nil }
        return (AttributionSource(project: plan.attribution.project, apiKey: plan.attribution.apiKey), plan.attribution)
    }
}

/// What a command needs that is not remembered.
public struct Missing: Sendable {
    public internal(set) var counters: Set<CounterID> = []
    public internal(set) var reservations: Set<ReservationID> = []
    public init() {}
    public var isEmpty: Bool { counters.isEmpty && reservations.isEmpty }
}

extension OrganizationState {
    /// Plans the command and adds to `missing` what must be read before it can be decided. `absent` are reservations that were
    /// looked for and do not exist.
    public mutating func prepare(_ pending: inout Pending, absent: Set<ReservationID>, missing: inout Missing) {
        switch pending.command {
        case .reserve(let reserve) where pending.planning == nil:
            pending.planning = plan(
                reserve.call, inputTokens: reserve.inputTokens, maxOutputTokens: reserve.maxOutputTokens, at: reserve.at)
        case .ask(let ask) where pending.planning == nil:
            pending.planning = plan(ask.call, inputTokens: ask.inputTokens, maxOutputTokens: ask.maxOutputTokens, at: ask.at)
        case .book(let book) where pending.planning == nil: pending.planning = plan(book)
        case .reserve, .ask, .book: break
        case .settle(let settle): need(settle.reservation, absent: absent, missing: &missing)
        case .release(let release): need(release.reservation, absent: absent, missing: &missing)
        case .expire(let id, _): need(id, absent: absent, missing: &missing)
        }
        if case .go(let plan) = pending.planning {
            for draw in plan.draws where counters[draw.counter] == nil { missing.counters.insert(draw.counter) }
        }
    }

    private func need(_ id: ReservationID, absent: Set<ReservationID>, missing: inout Missing) {
        guard let reservation = reservations[id] else {
            if !absent.contains(id) { missing.reservations.insert(id) }
            return
        }
        guard reservation.state != .settled else { return }
        for draw in reservation.draws where counters[draw.counter] == nil { missing.counters.insert(draw.counter) }
    }

    /// Decides one prepared command, remembers the result and notes in `changes` what must be written for it to be true.
    public mutating func decide(_ pending: Pending, _ changes: inout Changes) -> Outcome {
        switch pending.command {
        case .reserve(let reserve): decide(reserve, pending.planning, &changes)
        case .settle(let settle): decide(settle, &changes)
        case .release(let release): decide(release, &changes)
        case .expire(let id, let now): expire(id, at: now, &changes)
        case .book(let book): decide(book, pending.planning, &changes)
        case .ask(let ask): answer(ask, pending.planning)
        }
    }

    // MARK: reserve

    private mutating func decide(_ reserve: Reserve, _ planning: Planning?, _ changes: inout Changes) -> Outcome {
        if let known = requests[reserve.request], let first = reservations[known] { return replay(first, content: reserve.content) }
        let plan: Plan
        switch planning {
        case .go(let made): plan = made
        case .no(let refusal): return .refused(refusal)
        case nil: preconditionFailure("decide before prepare")
        }
        if let refusal = refusal(plan) { return .refused(refusal) }
        let source = AttributionSource(project: plan.attribution.project, apiKey: plan.attribution.apiKey)
        guard let attribution = attributions[source] else { preconditionFailure("an attribution that was not remembered") }
        var draws: [Draw] = []
        draws.reserveCapacity(plan.draws.count)
        for draw in plan.draws { draws.append(hold(draw, &changes)) }
        let reservation = Reservation(
            id: reserve.id, request: reserve.request, content: reserve.content, attribution: attribution, state: .held,
            model: plan.model.name, requestedModel: reserve.call.model, provider: plan.model.provider,
            serviceTier: reserve.call.serviceTier, endUser: reserve.call.endUser, feature: reserve.call.feature, tags: reserve.call.tags,
            held: plan.hold, maxOutputTokens: plan.maxOutputTokens, draws: draws, createdAt: reserve.at,
            expiresAt: reserve.at.adding(seconds: reserve.timeToLive))
        remember(reservation)
        changes.reservations.append(reservation)
        return .reserved(reservation, standings(draws), isReplay: false)
    }

    /// The first answer to a command whose request id was used before, whatever has become of it since (law 4).
    public func repeated(_ command: Command, _ first: Reservation) -> Outcome {
        switch command {
        case .reserve(let reserve): replay(first, content: reserve.content)
        case .book(let book): replayBooking(first, content: book.content)
        case .settle, .release, .expire, .ask: preconditionFailure("a command without a request id")
        }
    }

    private func replay(_ first: Reservation, content: ContentHash) -> Outcome {
        guard first.content == content else { return .refused(.requestConflict) }
        return .reserved(first, standings(first.draws), isReplay: true)
    }

    private func replayBooking(_ first: Reservation, content: ContentHash) -> Outcome {
        guard first.content == content, let entry = first.entry else { return .refused(.requestConflict) }
        return .settled(first, standings(entry.draws), isReplay: true)
    }

    /// Law 1 and law 2: refused if, and only if, some blocking budget's room is smaller than the hold it needs.
    private func refusal(_ plan: Plan) -> Refusal? {
        var exceeded: Refusal?
        for draw in plan.draws where draw.budget.enforcement == .block {
            let counter = remembered(draw.counter)
            guard counter.settled + counter.held + draw.need > draw.budget.amount else { continue }
            let standing = Standing(
                budget: draw.budget, subject: draw.counter.subject, amount: draw.budget.amount, settled: counter.settled,
                held: counter.held, span: draw.span)
            if draw.budget.isRateLimit { return .rateLimited(standing, needed: draw.need) }
            if exceeded == nil { exceeded = .budgetExceeded(standing, needed: draw.need) }
        }
        return exceeded
    }

    private mutating func hold(_ draw: PlannedDraw, _ changes: inout Changes) -> Draw {
        var counter = remembered(draw.counter)
        counter.held += draw.need
        counter.ceiling = draw.budget.enforcement == .block ? draw.budget.amount : nil
        counters[draw.counter] = counter
        changes.counters.insert(draw.counter)
        return Draw(
            counter: draw.counter, quantity: draw.need, amount: draw.budget.amount, settled: counter.settled, held: counter.held)
    }

    // MARK: settle

    private mutating func decide(_ settle: Settle, _ changes: inout Changes) -> Outcome {
        guard let reservation = own(settle.reservation, project: settle.project) else { return .refused(.reservationUnknown) }
        guard isValid(settle.apiKey, at: settle.at) else { return .refused(.unauthenticated) }
        switch reservation.state {
        case .settled:
            guard reservation.settleContent == settle.content, let entry = reservation.entry else {
                return .refused(.reservationResolved(.settled))
            }
            return .settled(reservation, standings(entry.draws), isReplay: true)
        case .released: return .refused(.reservationResolved(.released))
        case .held, .expired: return book(settle.report, on: reservation, content: settle.content, at: settle.at, &changes)
        }
    }

    /// Books the cost of a reservation that is held, or had expired: then the money is spent all the same, and late.
    private mutating func book(
        _ report: Report, on reservation: Reservation, content: ContentHash, at now: Instant, _ changes: inout Changes
    ) -> Outcome {
        let (lines, cost) = price(report.usage, reservation)
        let isLate = reservation.state == .expired
        let quantities = Quantities(usd: cost, tokens: Amount(whole: report.usage.totalTokens))
        var overage = Money.zero
        var draws: [Draw] = []
        draws.reserveCapacity(reservation.draws.count)
        for draw in reservation.draws {
            let budget = configuration.budget(draw.counter.budget)
            let spent = quantities.amount(in: budget?.unit ?? .usd)
            let (booked, passed) = post(spent, releasing: isLate ? .zero : draw.quantity, draw, budget, &changes)
            if budget?.unit == .usd { overage = max(overage, passed) }
            draws.append(booked)
            alert(budget, draw.counter, at: now, &changes)
        }
        var settled = reservation
        settled.state = .settled
        settled.settleContent = content
        settled.entry = Entry(
            id: EntryID(high: reservation.id.high, low: reservation.id.low), bookedAt: now, lines: lines, cost: cost, overage: overage,
            draws: draws, isLate: isLate, report: report)
        remember(settled)
        changes.resolutions.append(Resolution(reservation: reservation.id, state: .settled, at: now, content: content))
        changes.entries.append(settled)
        return .settled(settled, standings(draws), isReplay: false)
    }

    /// Moves one counter from held to settled. What exceeds the hold takes free room first; the rest is overage (law 1).
    private mutating func post(
        _ spent: Amount, releasing held: Amount, _ draw: Draw, _ budget: Budget?, _ changes: inout Changes
    ) -> (Draw, passed: Amount) {
        var counter = remembered(draw.counter)
        var passed = Amount.zero
        if let budget, budget.enforcement == .block {
            let before = counter.settled + counter.held
            let excess = max(.zero, spent - held)
            passed = max(.zero, excess - max(.zero, budget.amount - before))
            counter.overage += passed
            if let ceiling = counter.ceiling { counter.ceiling = max(ceiling, budget.amount) }
        } else {
            counter.ceiling = nil
        }
        counter.held -= held
        counter.settled += spent
        counters[draw.counter] = counter
        changes.counters.insert(draw.counter)
        let booked = Draw(
            counter: draw.counter, quantity: spent, amount: budget?.amount ?? draw.amount, settled: counter.settled, held: counter.held)
        return (booked, passed)
    }

    /// A cost line per usage kind. A kind without a price costs what the hold had set aside for the call and is not otherwise
    /// accounted for: unknown is never zero, and the line without a price shows it (law 9).
    private func price(_ usage: Usage, _ reservation: Reservation) -> ([EntryLine], Money) {
        let sheet = configuration.model(reservation.model)?.prices ?? PriceSheet(rates: [])
        switch sheet.cost(of: usage, serviceTier: reservation.serviceTier, at: reservation.createdAt) {
        case .success(let cost): return (cost.lines.map(EntryLine.init), cost.total)
        case .failure(let unpriced):
            var lines = unpriced.priced.lines.map(EntryLine.init)
            var remainder = max(.zero, reservation.held - unpriced.priced.total)
            let total = unpriced.priced.total + remainder
            for (kind, quantity) in usage.quantities where unpriced.kinds.contains(kind) {
                lines.append(EntryLine(kind: kind, quantity: quantity, price: nil, cost: remainder))
                remainder = .zero
            }
            return (lines, total)
        }
    }

    // MARK: release, expire

    private mutating func decide(_ release: Release, _ changes: inout Changes) -> Outcome {
        guard let reservation = own(release.reservation, project: release.project) else { return .refused(.reservationUnknown) }
        guard isValid(release.apiKey, at: release.at) else { return .refused(.unauthenticated) }
        switch reservation.state {
        case .settled: return .refused(.reservationResolved(.settled))
        case .released: return .released(reservation, isReplay: true)
        case .expired: return .refused(.reservationResolved(.expired))
        case .held: return .released(end(reservation, as: .released, at: release.at, &changes), isReplay: false)
        }
    }

    private mutating func expire(_ id: ReservationID, at now: Instant, _ changes: inout Changes) -> Outcome {
        guard let reservation = reservations[id], reservation.state == .held, reservation.expiresAt <= now else { return .expired }
        _ = end(reservation, as: .expired, at: now, &changes)
        return .expired
    }

    /// Gives every hold back.
    private mutating func end(
        _ reservation: Reservation, as state: Reservation.State, at now: Instant, _ changes: inout Changes
    ) -> Reservation {
        for draw in reservation.draws {
            var counter = remembered(draw.counter)
            counter.held -= draw.quantity
            counters[draw.counter] = counter
            changes.counters.insert(draw.counter)
        }
        var ended = reservation
        ended.state = state
        remember(ended)
        changes.resolutions.append(Resolution(reservation: reservation.id, state: state, at: now, content: nil))
        return ended
    }

    // MARK: book, ask

    private mutating func decide(_ book: Book, _ planning: Planning?, _ changes: inout Changes) -> Outcome {
        if let known = requests[book.request], let first = reservations[known] { return replayBooking(first, content: book.content) }
        let plan: Plan
        switch planning {
        case .go(let made): plan = made
        case .no(let refusal): return .refused(refusal)
        case nil: preconditionFailure("decide before prepare")
        }
        let source = AttributionSource(project: plan.attribution.project, apiKey: plan.attribution.apiKey)
        guard let attribution = attributions[source] else { preconditionFailure("an attribution that was not remembered") }
        let draws = plan.draws.map { Draw(counter: $0.counter, quantity: .zero, amount: $0.budget.amount) }
        let reservation = Reservation(
            id: book.id, request: book.request, content: book.content, attribution: attribution, state: .held, model: plan.model.name,
            requestedModel: book.call.model, provider: plan.model.provider, serviceTier: book.call.serviceTier,
            endUser: book.call.endUser, feature: book.call.feature, tags: book.call.tags, held: .zero, maxOutputTokens: 0, draws: draws,
            createdAt: book.occurredAt, expiresAt: book.at)
        changes.reservations.append(reservation)
        return self.book(book.report, on: reservation, content: book.content, at: book.at, &changes)
    }

    private func answer(_ ask: Ask, _ planning: Planning?) -> Outcome {
        let models = allowedModels(ask.call.project)
        guard case .go(let plan) = planning else {
            guard case .no(let refusal) = planning else { preconditionFailure("decide before prepare") }
            return .allowance(Allowance(refusal: refusal, standings: [], binding: nil, models: models))
        }
        let standings = plan.draws.map { draw in
            let counter = remembered(draw.counter)
            return Standing(
                budget: draw.budget, subject: draw.counter.subject, amount: draw.budget.amount, settled: counter.settled,
                held: counter.held, span: draw.span)
        }
        let binding = zip(plan.draws, standings).filter { $0.0.budget.enforcement == .block }
            .min { ($0.1.remaining - $0.0.need) < ($1.1.remaining - $1.0.need) }?.1
        return .allowance(Allowance(refusal: refusal(plan), standings: standings, binding: binding, models: models))
    }

    private func allowedModels(_ project: ProjectID) -> [String] {
        guard let project = configuration.projects[project], let tier = configuration.tiers[project.tier] else { return [] }
        let patterns = configuration.tiers(upTo: tier).flatMap(\.models)
        let names = Set(configuration.ownCatalogue.keys).union(configuration.platformCatalogue.keys)
        return names.filter { name in patterns.contains { $0.matches(name) } }.sorted()
    }

    // MARK: what all of them use

    private func own(_ id: ReservationID, project: ProjectID?) -> Reservation? {
        guard let reservation = reservations[id] else { return nil }
        guard let project else { return reservation }
        return reservation.request.project == project ? reservation : nil
    }

    /// Whether the credential still stands in fenced configuration (law 10).
    private func isValid(_ id: APIKeyID, at now: Instant) -> Bool {
        guard let key = configuration.apiKeys[id], !key.isRevoked else { return false }
        return key.expiresAt.map { now < $0 } ?? true
    }

    private func remembered(_ id: CounterID) -> Counter {
        guard let counter = counters[id] else { preconditionFailure("a counter never seen is not zero") }
        return counter
    }

    /// The budgets of an answer as they stood; those archived since are left out.
    func standings(_ draws: [Draw]) -> [Standing] {
        draws.compactMap { draw in
            guard let budget = configuration.budget(draw.counter.budget) else { return nil }
            let span = budget.rule.span(containing: draw.counter.periodStart, in: configuration.zone)
            return Standing(
                budget: budget, subject: draw.counter.subject, amount: draw.amount, settled: draw.settled, held: draw.held, span: span)
        }
    }
}

extension EntryLine {
    init(_ line: CostLine) {
        self.init(kind: line.kind, quantity: line.quantity, price: line.priceID, cost: line.cost)
    }
}
