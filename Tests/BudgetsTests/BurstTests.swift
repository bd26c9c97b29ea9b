/// Burst grants: the written rules of `BurstGrant` as tables, and random histories against a model that counts unit by unit.
import TestSupport
import Testing

@testable import Budgets

/// One budget in tokens with grants; a call needs as many tokens as it says.
private struct Purse {
    static let at = Instant(seconds: 1_800_000_000)
    static let project = ProjectID(high: 1, low: 1)
    static let team = TeamID(high: 2, low: 1)
    static let apiKey = APIKeyID(high: 3, low: 1)
    static let budget = BudgetID(high: 5, low: 1)

    var state: OrganizationState
    var reservations: UInt64 = 0
    /// Every hold and entry there has been.
    var held: [UInt64: Reservation] = [:]
    var entries: [Entry] = []
    /// What Postgres would have.
    private let grants: [BurstGrant]

    static func grant(_ low: UInt64, _ amount: Int64, from: Int64 = 0, to: Int64, match: BudgetMatch = .any) -> BurstGrant {
        BurstGrant(
            id: BurstID(high: 6, low: low), amount: Amount(whole: amount), startsAt: at.adding(seconds: from),
            endsAt: at.adding(seconds: to), match: match)
    }

    init(
        _ amount: Int64, _ grants: [BurstGrant], per: BudgetPer? = nil, scope: BudgetScope = .organization,
        enforcement: Enforcement = .block, unit: BudgetUnit = .tokens
    ) {
        self.grants = grants
        state = Purse.state(amount, grants, per: per, scope: scope, enforcement: enforcement, unit: unit)
    }

    private static func state(
        _ amount: Int64, _ grants: [BurstGrant], per: BudgetPer?, scope: BudgetScope, enforcement: Enforcement, unit: BudgetUnit
    ) -> OrganizationState {
        let tier = Tier(id: TierID(high: 4, low: 1), name: "Standard", rank: 1, models: [Pattern("*")!], maxOutputTokens: 1000)
        let rates = [("input", 1), ("output", 1)].compactMap { kind, dollars in
            Rate(
                priceID: PriceID(high: 7, low: 1), kind: kind, serviceTier: "standard", contextFrom: 0,
                amountPerMillion: Amount(whole: Int64(dollars * 1_000_000)), validFrom: Instant(seconds: 0), validTo: nil)
        }
        return OrganizationState(
            configuration: Configuration(
                organization: OrganizationID(high: 8, low: 1), organizationName: "Acme", zone: .utc, version: 1,
                teamNames: [team: "Search"],
                projects: [
                    Project(id: project, name: "Ranker", team: team, tier: tier.id, costCenter: CostCenter(nil), isSuspended: false)
                ],
                tiers: [tier],
                apiKeys: [
                    APIKey(id: apiKey, name: "ci", project: project, environment: "production", expiresAt: nil, isRevoked: false)
                ],
                ownCatalogue: [
                    "m": Model(name: "m", provider: "p", maxInputTokens: nil, maxOutputTokens: nil, prices: PriceSheet(rates: rates))
                ], platformCatalogue: [:],
                budgets: [
                    Budget(
                        id: budget, name: "Monthly", scope: scope, match: .any, per: per, unit: unit, rule: PeriodRule(.total),
                        amount: Amount(whole: amount), thresholds: [], limitVersion: 1, enforcement: enforcement, bursts: grants)
                ]), version: 1)
    }

    /// An admin's change: the same counters under another configuration.
    mutating func change(_ amount: Int64, _ grants: [BurstGrant]? = nil, enforcement: Enforcement = .block) {
        let before = state
        state = Purse.state(
            amount, grants ?? self.grants, per: nil, scope: .organization, enforcement: enforcement, unit: .tokens)
        for (id, counter) in before.counters { state.remember(id, counter) }
        for (id, counter) in before.bursts { state.remember(id, counter) }
        for reservation in held.values { state.remember(reservation) }
    }

    private mutating func run(_ command: Command) -> Outcome {
        var pending = Pending(command)
        while true {
            var missing = Missing()
            state.prepare(&pending, absent: [], missing: &missing)
            guard !missing.isEmpty else { break }
            for id in missing.counters { state.remember(id, Counter()) }
            for id in missing.bursts { state.remember(id, BurstCounter(amount: grants.first { $0.id == id }!.amount)) }
            for id in missing.reservations { state.remember(held[id.low]!) }
        }
        if let (source, attribution) = pending.attribution { state.remember(source, AttributionID(high: 9, low: 9), attribution) }
        var changes = Changes()
        let outcome = state.decide(pending, &changes)
        for id in changes.bursts { #expect(state.burst(id) != nil) }
        return outcome
    }

    private func after(_ seconds: Int64) -> Instant { Purse.at.adding(seconds: seconds) }

    /// Nil: refused.
    mutating func reserve(_ tokens: Int64, feature: String? = nil, endUser: String? = nil, after seconds: Int64 = 0) -> UInt64? {
        reservations += 1
        let outcome = run(
            .reserve(
                Reserve(
                    id: ReservationID(high: 10, low: reservations), request: RequestID(project: Purse.project, text: "\(reservations)"),
                    content: [], call: Call(project: Purse.project, apiKey: Purse.apiKey, model: "m", endUser: endUser, feature: feature),
                    inputTokens: tokens, maxOutputTokens: 0, timeToLive: 0, at: after(seconds))))
        switch outcome {
        case .reserved(let reservation, let standings, _):
            #expect(reservation.draws.allSatisfy { $0.bursts.total <= $0.quantity })
            #expect(standings.allSatisfy { $0.remaining >= .zero })
            held[reservations] = reservation
            return reservations
        case .refused(.budgetExceeded(let standing, let needed)):
            #expect(standing.amount + standing.burst - standing.settled - standing.held < needed, "law 2 by arithmetic")
            return nil
        default:
            Issue.record("neither held nor refused: \(outcome)")
            return nil
        }
    }

    mutating func settle(_ id: UInt64, _ tokens: Int64, after seconds: Int64 = 0) {
        let outcome = run(
            .settle(
                Settle(
                    reservation: ReservationID(high: 10, low: id), project: nil, apiKey: Purse.apiKey, content: [],
                    report: Report(usage: Usage([("input", tokens)])!), at: after(seconds))))
        guard case .settled(let settled, _, _) = outcome, let entry = settled.entry else {
            Issue.record("not settled: \(outcome)")
            return
        }
        held[id] = settled
        entries.append(entry)
    }

    mutating func release(_ id: UInt64, after seconds: Int64 = 0) {
        let release = Release(
            reservation: ReservationID(high: 10, low: id), project: nil, apiKey: Purse.apiKey, at: after(seconds))
        guard case .released(let ended, _) = run(.release(release)) else {
            Issue.record("not released")
            return
        }
        held[id] = ended
    }

    mutating func expire(_ id: UInt64, after seconds: Int64 = 0) {
        _ = run(.expire(ReservationID(high: 10, low: id), at: after(seconds)))
        if let known = state.reservations[ReservationID(high: 10, low: id)] { held[id] = known }
    }

    mutating func book(_ tokens: Int64, occurred: Int64, after seconds: Int64) -> Entry? {
        reservations += 1
        let outcome = run(
            .book(
                Book(
                    id: ReservationID(high: 10, low: reservations), request: RequestID(project: Purse.project, text: "\(reservations)"),
                    content: [], call: Call(project: Purse.project, apiKey: Purse.apiKey, model: "m"),
                    report: Report(usage: Usage([("input", tokens)])!), occurredAt: after(occurred), at: after(seconds))))
        guard case .settled(let settled, _, _) = outcome, let entry = settled.entry else { return nil }
        held[reservations] = settled
        entries.append(entry)
        return entry
    }

    func counter(_ subject: String = "") -> Counter {
        state.counter(CounterID(budget: Purse.budget, subject: subject, periodStart: Instant(microseconds: 0))) ?? Counter()
    }

    /// `base settled+held overage | grant settled+held …`, of what was touched.
    var summary: String {
        let counters = state.counters.values
        let total = counters.reduce(Amount.zero) { $0 + $1.base }
        let overage = counters.reduce(Amount.zero) { $0 + $1.overage }
        let grants = state.bursts.sorted { $0.key < $1.key }.map { "\($0.value.settled.plain)+\($0.value.held.plain)" }
        return (["\(total.plain) over \(overage.plain)"] + grants).joined(separator: " | ")
    }

    /// Laws 1 and 5 for everything there is.
    func verify(_ comment: Comment) {
        let open = held.values.filter { $0.state == .held }.flatMap(\.draws)
        let booked = entries.flatMap(\.draws)
        for (id, burst) in state.bursts {
            #expect(burst.settled + burst.held <= burst.amount, comment)
            #expect(burst.settled == booked.flatMap(\.bursts).filter { $0.burst == id }.total, comment)
            #expect(burst.held == open.flatMap(\.bursts).filter { $0.burst == id }.total, comment)
        }
        for (id, counter) in state.counters {
            let (entries, holds) = (booked.filter { $0.counter == id }, open.filter { $0.counter == id })
            #expect(counter.settled == entries.reduce(.zero) { $0 + $1.quantity }, comment)
            #expect(counter.held == holds.reduce(.zero) { $0 + $1.quantity }, comment)
            #expect(counter.burst == (entries + holds).flatMap(\.bursts).total, comment)
            if let ceiling = counter.ceiling { #expect(counter.base <= ceiling + counter.overage, comment) }
        }
    }
}

@Suite struct BurstTests {
    @Test("the base is drawn first, then the grant that ends first; a hold may be split")
    func order() {
        var purse = Purse(10, [Purse.grant(1, 5, to: 200), Purse.grant(2, 5, to: 100)])
        let table: [(tokens: Int64, isHeld: Bool, after: String)] = [
            (8, true, "8 over 0 | 0+0 | 0+0"),
            (4, true, "10 over 0 | 0+0 | 0+2"),  // two of the base, two of the grant that ends first
            (5, true, "10 over 0 | 0+2 | 0+5"),
            (4, false, "10 over 0 | 0+2 | 0+5"),
            (3, true, "10 over 0 | 0+5 | 0+5"),
            (1, false, "10 over 0 | 0+5 | 0+5"),
        ]
        for row in table {
            let id = purse.reserve(row.tokens)
            #expect((id != nil) == row.isHeld, "\(row)")
            #expect(purse.summary == row.after, "\(row)")
            purse.verify("\(row)")
        }
    }

    @Test("a grant counts from its first second to the one before its last, and its end takes what nobody drew")
    func edges() {
        for (second, isHeld) in [(9, false), (10, true), (19, true), (20, false)] as [(Int64, Bool)] {
            var purse = Purse(0, [Purse.grant(1, 5, from: 10, to: 20)])
            let id = purse.reserve(5, after: second)
            #expect((id != nil) == isHeld, "second \(second)")
        }
        // Held while it was active, settled after: the hold stays, what is not used is gone.
        var purse = Purse(10, [Purse.grant(1, 5, from: 0, to: 20)])
        let id = purse.reserve(15, after: 19)!
        #expect(purse.reserve(1, after: 20) == nil)
        purse.settle(id, 12, after: 21)
        #expect(purse.summary == "10 over 0 | 2+0")
        #expect(purse.reserve(1, after: 21) == nil)
        purse.verify("after the end")
    }

    @Test("what is not used returns to the grant drawn on last, and to the base last of all")
    func settling() {
        let table: [(spent: Int64, after: String)] = [
            (20, "10 over 0 | 5+0 | 5+0"), (17, "10 over 0 | 5+0 | 2+0"), (13, "10 over 0 | 3+0 | 0+0"), (10, "10 over 0 | 0+0 | 0+0"),
            (4, "4 over 0 | 0+0 | 0+0"), (0, "0 over 0 | 0+0 | 0+0"),
        ]
        for row in table {
            var purse = Purse(10, [Purse.grant(1, 5, to: 100), Purse.grant(2, 5, to: 200)])
            purse.settle(purse.reserve(20)!, row.spent)
            #expect(purse.summary == row.after, "\(row)")
            purse.verify("\(row)")
        }
    }

    @Test("a cost above its hold takes the base's room, then that of grants open to the call and still active; the rest is overage")
    func excess() {
        let table: [(hold: Int64, spent: Int64, settledAfter: Int64, summary: String)] = [
            (2, 9, 0, "9 over 0 | 0+0"), (2, 12, 0, "10 over 0 | 2+0"), (2, 15, 0, "10 over 0 | 5+0"), (2, 18, 0, "13 over 3 | 5+0"),
            (12, 14, 0, "10 over 0 | 4+0"), (12, 14, 50, "12 over 2 | 2+0"),  // the grant is over: only what was held on it is its
            (2, 12, 50, "12 over 2 | 0+0"),
        ]
        for row in table {
            var purse = Purse(10, [Purse.grant(1, 5, to: 50)])
            let id = purse.reserve(row.hold)!
            purse.settle(id, row.spent, after: row.settledAfter)
            #expect(purse.summary == row.summary, "\(row)")
            purse.verify("\(row)")
        }
        // A grant that began after the call was made is not for it.
        var purse = Purse(10, [Purse.grant(1, 5, from: 10, to: 50)])
        purse.settle(purse.reserve(2)!, 12, after: 20)
        #expect(purse.summary == "12 over 2")
    }

    @Test("a late settlement and a reported call draw like a cost without a hold")
    func late() {
        var purse = Purse(10, [Purse.grant(1, 5, to: 50)])
        let id = purse.reserve(12)!
        purse.expire(id, after: 1)
        #expect(purse.summary == "0 over 0 | 0+0")
        let other = purse.reserve(13, after: 2)!
        purse.settle(id, 4, after: 3)  // room for two is left
        #expect(purse.summary == "12 over 2 | 2+3")
        purse.settle(other, 13, after: 4)
        purse.verify("late")
        let booked = purse.book(3, occurred: 3, after: 5)
        #expect(booked?.draws.first?.bursts == [])
        #expect(purse.summary == "15 over 5 | 5+0")
        purse.verify("booked")
    }

    @Test("an overdrawn base is made up for before a grant gives anything")
    func overdrawn() {
        var purse = Purse(10, [Purse.grant(1, 8, to: 50)])
        let id = purse.reserve(10)!
        purse.change(5)
        #expect(purse.reserve(4) == nil, "5 + 8 − 10 leaves 3")
        #expect(purse.reserve(3) != nil)
        #expect(purse.summary == "10 over 0 | 0+3")
        purse.verify("lowered")
        purse.release(id)
        #expect(purse.summary == "0 over 0 | 0+3")
        #expect(purse.reserve(11) == nil)
        #expect(purse.reserve(10) != nil)
        purse.verify("released")
    }

    @Test("a matching grant is room only for calls that match, and one grant is shared by all subjects")
    func matching() {
        var purse = Purse(0, [Purse.grant(1, 5, to: 50, match: BudgetMatch(features: [Pattern("launch*")!]))])
        #expect(purse.reserve(1) == nil)
        #expect(purse.reserve(1, feature: "chat") == nil)
        #expect(purse.reserve(1, feature: "launch_week") != nil)
        var shared = Purse(10, [Purse.grant(1, 5, to: 50)], per: .endUser)
        #expect(shared.reserve(13, endUser: "alice") != nil)
        #expect(shared.reserve(13, endUser: "bob") == nil)
        #expect(shared.reserve(12, endUser: "bob") != nil)
        #expect(shared.counter("alice").burst == Amount(whole: 3))
        shared.verify("shared")
    }

    @Test("grants work at every level and with every unit, and only where the budget blocks")
    func everywhere() {
        for scope in [BudgetScope.organization, .team(Purse.team), .project(Purse.project)] {
            for unit in BudgetUnit.allCases {
                var purse = Purse(0, [Purse.grant(1, 1, to: 50)], scope: scope, unit: unit)
                #expect(purse.reserve(1) != nil, "\(scope.word) \(unit)")
                #expect(purse.reserve(1) == nil, "\(scope.word) \(unit)")
                purse.settle(1, 1)
                purse.verify("\(scope.word) \(unit)")
            }
        }
        for enforcement in [Enforcement.warn, .shadow] {
            var purse = Purse(5, [Purse.grant(1, 3, to: 50)], enforcement: enforcement)
            #expect(purse.reserve(20) != nil)
            #expect(purse.summary == "20 over 0")
            purse.verify("\(enforcement)")
        }
    }

    /// The rules unit by unit: no sums, no minima.
    private struct Model {
        let amount: Int64
        let grants: [(amount: Int64, from: Int64, to: Int64)]  // in the order in which they are drawn on
        var base: Int64 = 0
        var drawn: [Int64]
        var overage: Int64 = 0
        struct Hold {
            let open: [Int]
            var parts: [Int?]  // nil: the base
            var isHeld = true
        }
        var holds: [UInt64: Hold] = [:]

        func isActive(_ grant: Int, _ now: Int64) -> Bool { grants[grant].from <= now && now < grants[grant].to }

        /// One unit's place: nil when there is none.
        func place(_ open: [Int]) -> Int?? {
            guard amount - base + open.map({ grants[$0].amount - drawn[$0] }).reduce(0, +) > 0 else { return .none }
            if base < amount { return .some(nil) }
            return open.first { drawn[$0] < grants[$0].amount }
        }

        mutating func take(_ part: Int?, _ sign: Int64) { if let part { drawn[part] += sign } else { base += sign } }

        mutating func reserve(_ id: UInt64, _ need: Int64, _ now: Int64) -> Bool {
            let open = grants.indices.filter { isActive($0, now) }
            var hold = Hold(open: open, parts: [])
            // Even nothing at all is refused where the base is overdrawn beyond help.
            var isRefused = amount - base + open.map { grants[$0].amount - drawn[$0] }.reduce(0, +) < 0
            for _ in 0..<need where !isRefused {
                if let part = place(open) {
                    take(part, 1)
                    hold.parts.append(part)
                } else {
                    isRefused = true
                }
            }
            if isRefused { for part in hold.parts { take(part, -1) } } else { holds[id] = hold }
            return !isRefused
        }

        mutating func end(_ id: UInt64) {
            for part in holds[id]!.parts { take(part, -1) }
            holds[id]!.parts = []
            holds[id]!.isHeld = false
        }

        mutating func settle(_ id: UInt64, _ spent: Int64, _ now: Int64) {
            let hold = holds[id]!
            for part in hold.parts.dropFirst(Int(spent)) { take(part, -1) }
            for _ in 0..<max(0, spent - Int64(hold.parts.count)) {
                let part = place(hold.open.filter { isActive($0, now) })
                if part == nil { overage += 1 }
                take(part ?? nil, 1)
            }
            holds[id] = nil
        }
    }

    @Test("random histories agree with a model that counts unit by unit", arguments: 1...60)
    func randomHistories(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        func number(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &generator) }
        let amount = number(0...60)
        var grants: [(amount: Int64, from: Int64, to: Int64)] = []
        for _ in 0..<number(0...4) {
            let from = number(0...150)
            grants.append((number(1...40), from, from + number(1...120)))
        }
        grants.sort { $0.to < $1.to }
        var purse = Purse(
            amount, grants.enumerated().map { Purse.grant(UInt64($0.offset), $0.element.amount, from: $0.element.from, to: $0.element.to) })
        var model = Model(amount: amount, grants: grants, drawn: grants.map { _ in 0 })
        var now: Int64 = 0
        for step in 0..<300 {
            let place: Comment = "seed \(seed), step \(step)"
            now += number(0...1)
            let open = model.holds.filter(\.value.isHeld).keys.sorted()
            switch number(0...9) {
            case 0...4:
                let need = number(0...15)
                let id = purse.reserve(need, after: now)
                #expect(model.reserve(purse.reservations, need, now) == (id != nil), place)
            case 5...7:
                guard let id = model.holds.keys.sorted().randomElement(using: &generator) else { continue }
                let spent = number(0...20)
                purse.settle(id, spent, after: now)
                model.settle(id, spent, now)
            case 8:
                guard let id = open.randomElement(using: &generator) else { continue }
                purse.expire(id, after: now)
                model.end(id)
            default:
                guard let id = open.randomElement(using: &generator) else { continue }
                purse.release(id, after: now)
                model.holds[id]?.isHeld = false
                model.end(id)
                model.holds[id] = nil
            }
            let counter = purse.counter()
            #expect(counter.base == Amount(whole: model.base), place)
            #expect(counter.overage == Amount(whole: model.overage), place)
            for (index, drawn) in model.drawn.enumerated() {
                let burst = purse.state.burst(BurstID(high: 6, low: UInt64(index)))
                #expect((burst.map { $0.settled + $0.held } ?? .zero) == Amount(whole: drawn), place)
            }
            purse.verify(place)
        }
    }
}
