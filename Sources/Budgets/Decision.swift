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
        return (AttributionSource(plan.attribution), plan.attribution)
    }
}

/// What a command needs that is not remembered.
public struct Missing: Sendable {
    public internal(set) var counters: Set<CounterID> = []
    public internal(set) var bursts: Set<BurstID> = []
    public internal(set) var reservations: Set<ReservationID> = []
    public init() {}
    public var isEmpty: Bool { counters.isEmpty && bursts.isEmpty && reservations.isEmpty }
}

extension OrganizationState {
    /// Plans the command and adds to `missing` what must be read before it can be decided. `absent` are reservations that were
    /// looked for and do not exist.
    public mutating func prepare(_ pending: inout Pending, absent: Set<ReservationID>, missing: inout Missing) {
        switch pending.command {
        case .reserve(let reserve) where pending.planning == nil:
            pending.planning = plan(
                PlanRequest(
                    call: reserve.call, inputTokens: reserve.inputTokens, maxOutputTokens: reserve.maxOutputTokens, at: reserve.at))
            if case .go(let plan) = pending.planning, configuration.tagPolicy.isBlocking, plan.attribution.lacksTags {
                pending.planning = .no(.tagsRefused(configuration.faults(in: reserve.call.tags)))
            }
        case .ask(let ask) where pending.planning == nil:
            pending.planning = plan(
                PlanRequest(call: ask.call, inputTokens: ask.inputTokens, maxOutputTokens: ask.maxOutputTokens, at: ask.at))
        case .book(let book) where pending.planning == nil: pending.planning = plan(book)
        case .reserve, .ask, .book: break
        case .settle(let settle): need(settle.reservation, absent: absent, missing: &missing)
        case .release(let release): need(release.reservation, absent: absent, missing: &missing)
        case .expire(let id, _): need(id, absent: absent, missing: &missing)
        }
        if case .go(let plan) = pending.planning {
            for draw in plan.draws { need(draw.counter, draw.bursts, &missing) }
            for draw in plan.alternatives?.draws ?? [] { need(draw.counter, draw.bursts, &missing) }
        }
    }

    private func need(_ id: ReservationID, absent: Set<ReservationID>, missing: inout Missing) {
        guard let reservation = reservations[id] else {
            if !absent.contains(id) { missing.reservations.insert(id) }
            return
        }
        guard reservation.state != .settled else { return }
        for draw in reservation.draws { need(draw.counter, draw.bursts.map(\.burst), &missing) }
    }

    private func need(_ counter: CounterID, _ bursts: [BurstID], _ missing: inout Missing) {
        if counters[counter] == nil { missing.counters.insert(counter) }
        for burst in bursts where self.bursts[burst] == nil { missing.bursts.insert(burst) }
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
        if case .no(.unauthenticated) = planning { return .refused(.unauthenticated) }
        if let known = requests[reserve.request], let first = reservations[known] { return replay(first, content: reserve.content) }
        let asked: Plan
        switch planning {
        case .go(let made): asked = made
        case .no(let refusal): return .refused(refusal)
        case nil: preconditionFailure("decide before prepare")
        }
        var service = service(asked)
        if let refusal = refusal(service.plan) {
            guard let final = finalCall(inPlaceOf: service, asked.alternatives) else { return .refused(refusal) }
            service = final
        }
        let plan = service.plan
        let source = AttributionSource(plan.attribution)
        guard let attribution = attributions[source] else { preconditionFailure("an attribution that was not remembered") }
        var draws: [Draw] = []
        draws.reserveCapacity(plan.draws.count)
        for draw in plan.draws { draws.append(hold(draw, isFinalCall: service.granting.contains(draw.budget.id), &changes)) }
        let reservation = Reservation(
            id: reserve.id, request: reserve.request, content: reserve.content, attribution: attribution, state: .held,
            model: plan.model.name, requestedModel: reserve.call.model, substitutions: service.substitutions,
            provider: plan.model.provider, serviceTier: reserve.call.serviceTier, endUser: reserve.call.endUser,
            feature: reserve.call.feature, tags: reserve.call.tags?.text,
            held: plan.hold, maxOutputTokens: plan.maxOutputTokens, draws: draws, createdAt: reserve.at,
            expiresAt: reserve.at.adding(seconds: reserve.timeToLive))
        remember(reservation)
        changes.reservations.append(reservation)
        return .reserved(reservation, standings(draws), isReplay: false)
    }

    /// The first answer to a command whose request id was used before, whatever has become of it since (law 4).
    public func repeated(_ command: Command, _ first: Reservation) -> Outcome {
        switch command {
        case .reserve(let reserve):
            isValid(reserve.call.apiKey, at: reserve.at) ? replay(first, content: reserve.content) : .refused(.unauthenticated)
        case .book(let book):
            isValid(book.call.apiKey, at: book.at) ? replayBooking(first, content: book.content) : .refused(.unauthenticated)
        case .settle, .release, .expire, .ask: preconditionFailure("a command without a request id")
        }
    }

    private func replay(_ first: Reservation, content: ContentHash) -> Outcome {
        guard first.content == content else { return .refused(.requestConflict) }
        return .reserved(first, standings(first.draws), isReplay: true)
    }

    func replayBooking(_ first: Reservation, content: ContentHash) -> Outcome {
        guard first.content == content, let entry = first.entry else { return .refused(.requestConflict) }
        return .settled(first, standings(entry.draws), isReplay: true)
    }

    /// Law 1 and law 2: refused if, and only if, some blocking budget's room is smaller than the hold it needs.
    func refusal(_ plan: Plan) -> Refusal? {
        var exceeded: Refusal?
        for draw in plan.draws where lacksRoom(draw) {
            let standing = standing(draw)
            if draw.budget.tier != nil { return .requestsAboveCap(standing) }
            if draw.budget.isRateLimit { return .rateLimited(standing, needed: draw.need) }
            if exceeded == nil { exceeded = .budgetExceeded(standing, needed: draw.need) }
        }
        return exceeded
    }

    /// Whether a blocking budget has less room than the call needs.
    func lacksRoom(_ draw: PlannedDraw) -> Bool {
        guard draw.budget.enforcement == .block else { return false }
        return draw.need > room(remembered(draw.counter), of: draw.amount, draw.bursts)
    }

    private mutating func hold(_ draw: PlannedDraw, isFinalCall: Bool, _ changes: inout Changes) -> Draw {
        var counter = remembered(draw.counter)
        let (amount, need) = (draw.amount, draw.need)
        let beyond = isFinalCall ? max(.zero, need - max(.zero, room(counter, of: amount, draw.bursts))) : .zero
        let fromBursts = draw.bursts.isEmpty ? .zero : max(.zero, need - beyond - max(.zero, amount - counter.base))
        let shares = self.draw(fromBursts, on: draw.bursts, \.held, &changes)
        counter.held += need
        counter.burst += fromBursts
        counter.finalHeld += beyond
        if isFinalCall { counter.finalCalls += 1 }
        // A call is judged by the limit it was admitted under, even when nobody was told of anything yet and it is settled late.
        if counter.alertedThreshold == 0 { counter.alertedVersion = draw.budget.limitVersion }
        // A base that is overdrawn admitted nothing: then what it allowed before still stands.
        if draw.budget.enforcement != .block { counter.ceiling = nil } else if counter.base - beyond <= amount { counter.ceiling = amount }
        counters[draw.counter] = counter
        changes.counters.insert(draw.counter)
        return Draw(
            counter: draw.counter, quantity: need, bursts: shares, amount: amount, burst: burst(counter, draw.bursts),
            settled: counter.settled, held: counter.held, isFinalCall: isFinalCall, beyond: beyond)
    }

    // MARK: what all of them use

    func own(_ id: ReservationID, project: ProjectID?) -> Reservation? {
        guard let reservation = reservations[id] else { return nil }
        guard let project else { return reservation }
        return reservation.request.project == project ? reservation : nil
    }

    /// Whether the credential still stands in fenced configuration (law 10).
    func isValid(_ id: APIKeyID, at now: Instant) -> Bool {
        guard let key = configuration.apiKeys[id], !key.isRevoked else { return false }
        return key.expiresAt.map { now < $0 } ?? true
    }

    func remembered(_ id: CounterID) -> Counter {
        guard let counter = counters[id] else { preconditionFailure("a counter never seen is not zero") }
        return counter
    }

    /// What bursts add to a counter's amount: what is drawn on them there, and what the grants still have.
    func burst(_ counter: Counter, _ grants: [BurstID]) -> Amount { grants.reduce(counter.burst) { $0 + rememberedBurst($1).available } }

    /// How a budget stands for a call that is only planned.
    func standing(_ draw: PlannedDraw) -> Standing {
        let counter = remembered(draw.counter)
        return Standing(
            budget: draw.budget, subject: draw.counter.subject, amount: draw.amount, burst: burst(counter, draw.bursts),
            settled: counter.settled, held: counter.held, span: draw.span)
    }

    /// The budgets of an answer as they stood; those archived since are left out.
    func standings(_ draws: [Draw]) -> [Standing] {
        draws.compactMap { draw in
            guard let budget = configuration.budget(draw.counter.budget) else { return nil }
            let span = budget.rule.span(containing: draw.counter.periodStart, in: configuration.zone)
            return Standing(
                budget: budget, subject: draw.counter.subject, amount: draw.amount, burst: draw.burst, settled: draw.settled,
                held: draw.held, span: span)
        }
    }
}
