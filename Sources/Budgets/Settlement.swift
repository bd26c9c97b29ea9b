/// Settling: the actual cost of a call, priced and moved from held to settled (design §5, §6); and booking a call that was made without
/// asking, which is the same without a hold.

extension OrganizationState {
    mutating func decide(_ settle: Settle, _ changes: inout Changes) -> Outcome {
        guard isValid(settle.apiKey, at: settle.at) else { return .refused(.unauthenticated) }
        guard let reservation = own(settle.reservation, project: settle.project) else { return .refused(.reservationUnknown) }
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
    mutating func book(
        _ report: Report, on reservation: Reservation, content: ContentHash, at now: Instant, _ changes: inout Changes
    ) -> Outcome {
        let (lines, cost) = price(report, reservation)
        let isLate = reservation.state == .expired
        let quantities = Quantities(usd: cost, tokens: Amount(whole: report.usage.totalTokens))
        var overage = Money.zero
        var draws: [Draw] = []
        draws.reserveCapacity(reservation.draws.count)
        for draw in reservation.draws {
            let budget = configuration.budget(draw.counter.budget)
            if let budget, isLate || draw.quantity == .zero, budget.isClosed(span(of: budget, at: draw.counter.periodStart), at: now) {
                continue
            }
            let spent = quantities.amount(in: budget?.unit ?? .usd)
            let before = remembered(draw.counter).settled
            let (booked, passed) = post(spent, draw, isLate: isLate, budget, at: now, &changes)
            if budget?.unit == .usd { overage = max(overage, passed) }
            draws.append(booked)
            alert(budget, draw.counter, from: before, at: now, &changes)
        }
        let entry = Entry(
            id: EntryID(high: reservation.id.high, low: reservation.id.low),
            occurredAt: configuration.accountingTime(of: reservation.createdAt, bookedAt: now), bookedAt: now, lines: lines, cost: cost,
            overage: overage, draws: draws, isLate: isLate, report: report)
        let settled = reservation.ended(.settled, settleContent: content, entry: entry)
        remember(settled)
        changes.resolutions.append(Resolution(settled: settled, entry, content: content))
        changes.entries.append(settled)
        return .settled(settled, standings(draws), isReplay: false)
    }

    /// Moves one counter from held to settled. What exceeds the hold takes free room first; the rest is overage (law 1), and so is what
    /// a final call spent of the part of its hold that had no room.
    private mutating func post(
        _ spent: Amount, _ draw: Draw, isLate: Bool, _ budget: Budget?, at now: Instant, _ changes: inout Changes
    ) -> (Draw, passed: Amount) {
        var counter = remembered(draw.counter)
        // A late one comes after its hold was given back.
        let held = isLate ? .zero : draw.quantity
        let shares = draw.bursts.map { BurstShare(burst: $0.burst, quantity: isLate ? .zero : $0.quantity) }
        let beyond = isLate ? .zero : draw.beyond
        var booked = settle(max(.zero, spent - (held - shares.total - beyond)), held: shares, &changes)
        var open: [BurstID] = []
        var passed = Amount.zero
        if let budget, budget.enforcement == .block {
            // A period that is over is judged by the amount it had when the call was made, not by a later one.
            let amount = isOver(draw.counter, budget, at: now) ? draw.amount : budget.amount(from: draw.counter.periodStart)
            let active = budget.bursts.filter { $0.isActive(at: now) }.map(\.id)
            open = draw.bursts.map(\.burst).filter(active.contains)
            let excess = max(.zero, spent - held)
            let above = max(.zero, excess - max(.zero, room(counter, of: amount, open)))
            let fromBursts = max(.zero, excess - above - max(.zero, amount - counter.base))
            booked += self.draw(fromBursts, on: open, \.settled, &changes)
            passed = above + max(.zero, beyond - max(.zero, held - spent))
            counter.overage += passed
            if let ceiling = counter.ceiling { counter.ceiling = max(ceiling, amount) }
        } else {
            counter.ceiling = nil
        }
        counter.held -= held
        counter.finalHeld -= beyond
        counter.settled += spent
        counter.burst += booked.total - shares.total
        counters[draw.counter] = counter
        changes.counters.insert(draw.counter)
        let entry = Draw(
            counter: draw.counter, quantity: spent, bursts: booked.joined,
            amount: budget?.amount(from: draw.counter.periodStart) ?? draw.amount,
            burst: burst(counter, open), settled: counter.settled, held: counter.held, isFinalCall: draw.isFinalCall)
        return (entry, passed)
    }

    /// A cost line per usage kind. A kind without a price costs what the hold had set aside for the call and is not otherwise
    /// accounted for: unknown is never zero, and the line without a price shows it (law 9).
    private func price(_ report: Report, _ reservation: Reservation) -> ([EntryLine], Money) {
        let (usage, serviceTier) = (report.usage, report.serviceTier ?? reservation.serviceTier)
        let sheet = configuration.model(reservation.model, at: reservation.createdAt)?.prices ?? PriceSheet(rates: [])
        switch sheet.cost(of: usage, serviceTier: serviceTier, at: reservation.createdAt) {
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

    mutating func decide(_ book: Book, _ planning: Planning?, _ changes: inout Changes) -> Outcome {
        if case .no(.unauthenticated) = planning { return .refused(.unauthenticated) }
        if let known = requests[book.request], let first = reservations[known] { return replayBooking(first, content: book.content) }
        let plan: Plan
        switch planning {
        case .go(let made): plan = made
        case .no(let refusal): return .refused(refusal)
        case nil: preconditionFailure("decide before prepare")
        }
        let source = AttributionSource(plan.attribution)
        guard let attribution = attributions[source] else { preconditionFailure("an attribution that was not remembered") }
        let draws = plan.draws.map { draw in
            Draw(
                counter: draw.counter, quantity: .zero, bursts: draw.bursts.map { BurstShare(burst: $0, quantity: .zero) },
                amount: draw.amount)
        }
        let reservation = Reservation(
            id: book.id, request: book.request, content: book.content, attribution: attribution, state: .held, model: plan.model.name,
            requestedModel: book.call.model, provider: plan.model.provider, serviceTier: book.call.serviceTier,
            endUser: book.call.endUser, feature: book.call.feature, tags: book.call.tags?.text, held: .zero, maxOutputTokens: 0,
            draws: draws,
            createdAt: book.occurredAt, expiresAt: book.at)
        changes.reservations.append(reservation)
        return self.book(book.report, on: reservation, content: book.content, at: book.at, &changes)
    }
}

extension EntryLine {
    init(_ line: CostLine) {
        self.init(kind: line.kind, quantity: line.quantity, price: line.priceID, cost: line.cost)
    }
}
