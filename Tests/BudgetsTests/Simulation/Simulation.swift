/// One history, carried out step by step by the engine's decision on simulated replicas and by the reference model, and compared after
/// every step.
import Budgets
import TestSupport

struct Simulation {
    private(set) var database: SimulatedDatabase
    private var replicas: [SimulatedReplica]
    private var laws: Laws
    private var clock: Int
    private var lastReservation: UInt64 = 0

    init(_ setting: Setting, replicas: Int, without off: Guard? = nil) {
        database = SimulatedDatabase(setting, without: off)
        self.replicas = (0..<replicas).map(SimulatedReplica.init)
        laws = Laws(setting)
        clock = setting.start
    }

    // MARK: steps

    mutating func step(_ happening: Happening) throws(Violation) {
        switch happening {
        case .submit(let ask, let replica): submit(ask, to: replica)
        case .advance(let replica): try advance(replica)
        case .crash(let replica): replicas[replica].crash(&database)
        case .reconnect(let replica): replicas[replica].reconnect(&database)
        case .sweep(let replica): sweep(replica)
        case .pass(let seconds): clock += seconds
        case .change(let change):
            // An admin who finds the fence locked does not wait for it here.
            guard database.lockedBy == nil else { return }
            database.change(change)
            laws.setting.apply(change)
        }
    }

    /// Lets every replica finish and every hold run out. Then nothing is held (law 2), and all sums agree once more, from the rows up.
    mutating func finish() throws(Violation) {
        try drain()
        clock += 2 * 86_400
        sweep(0)
        try drain()
        for (id, counter) in database.counters where counter.held != .zero {
            throw Violation("law 2: all is resolved, yet held is \(counter.held) at \(Translation.place(id, database.setting))")
        }
        guard laws.open == 0 else { throw Violation("law 2: the model still holds") }
        var booked: [CounterID: Amount] = [:]
        for reservation in database.reservations.values {
            for draw in reservation.entry?.draws ?? [] { booked[draw.counter, default: .zero] += draw.quantity }
        }
        for (id, counter) in database.counters where counter.settled != booked[id] ?? .zero {
            throw Violation("law 5: \(Translation.place(id, database.setting)) has \(counter.settled), its entries \(booked[id] ?? .zero)")
        }
    }

    /// Rounds in which everything that waits must come to its end: a batch takes some six steps, and a history leaves some dozens.
    private static let maximumDrain = 2000

    private mutating func drain() throws(Violation) {
        for _ in 0..<Simulation.maximumDrain {
            if replicas.allSatisfy(\.isIdle) { return }
            for index in replicas.indices { try advance(index) }
        }
        throw Violation("the replicas do not come to an end")
    }

    private mutating func submit(_ ask: Errand, to replica: Int) {
        var id: ReservationID
        switch ask {
        case .settle(let name, _, _), .release(let name, _), .expire(let name):
            // Nobody was given an id that is not there.
            guard let known = database.requests[Translation.request(name)] else { return }
            id = known
        case .reserve, .book, .allowance:
            lastReservation += 1
            id = ReservationID(high: 8, low: lastReservation)
        }
        let command = Translation.command(ask, database.setting, reservation: id, at: clock)
        replicas[replica].submit(SimulatedReplica.Arrival(ask: ask, at: clock, command: command))
    }

    private mutating func sweep(_ replica: Int) {
        guard database.off != .expiry else { return }
        let now = Translation.instant(clock)
        let due = database.reservations.values.filter { $0.state == .held && $0.expiresAt <= now }
        for reservation in due.sorted(by: { $0.id < $1.id }) { submit(.expire(Translation.name(reservation.request)), to: replica) }
    }

    private mutating func advance(_ replica: Int) throws(Violation) {
        let before = database.version
        let decided = try replicas[replica].advance(&database)
        laws.beginBatch()
        for (arrival, outcome) in decided {
            try judge(arrival, outcome)
        }
        if !decided.isEmpty || database.version != before { try compare(replicas[replica]) }
    }

    // MARK: comparing

    private mutating func judge(_ arrival: SimulatedReplica.Arrival, _ outcome: Outcome) throws(Violation) {
        let expected = laws.apply(arrival.ask, at: arrival.at)
        let answer = Translation.answer(outcome, database.setting)
        guard answer == expected else { throw Violation("\(arrival.ask) at \(arrival.at)\n  answered \(answer)\n  expected \(expected)") }
        // Laws 1 and 2 once more, by arithmetic on the answer itself.
        switch outcome {
        case .reserved(_, let standings, isReplay: false):
            for standing in standings
            where standing.budget.enforcement == .block && !answer.ways.contains(where: { $0.word == "final_call" })
                && standing.settled + standing.held > standing.amount + standing.burst
            {
                throw Violation("law 1: admitted beyond \(standing.amount): \(answer)")
            }
        case .refused(.budgetExceeded(let standing, let needed)), .refused(.rateLimited(let standing, let needed)):
            if standing.amount + standing.burst - standing.settled - standing.held >= needed {
                throw Violation("law 2: refused with room: \(answer)")
            }
        default: break
        }
    }

    private func compare(_ replica: SimulatedReplica) throws(Violation) {
        for (id, counter) in database.counters {
            let place = Translation.place(id, database.setting)
            let expected = laws.counts[place] ?? Count()
            guard Translation.count(counter) == expected else {
                throw Violation("\(place) is \(Translation.count(counter)), by the laws \(expected)")
            }
            guard counter.settled == database.booked[id] ?? .zero, counter.held == database.holding[id] ?? .zero else {
                throw Violation("law 5: \(place) is \(Translation.count(counter)), the rows sum up to other")
            }
            // Design §5: while the version is the same, all that is remembered is exact.
            if replica.isCurrent, let memory = replica.memory, memory.version == database.version, let remembered = memory.counter(id),
                remembered != counter
            {
                throw Violation("the memory of \(place) is \(remembered), its row \(counter)")
            }
        }
        for (id, burst) in database.bursts {
            let expected = laws.grants[Int(id.low)] ?? Count()
            guard Translation.pico(burst.settled) == expected.settled, Translation.pico(burst.held) == expected.held else {
                throw Violation("the grant \(id.low) is \(burst), by the laws \(expected)")
            }
        }
        guard laws.counts.count <= database.counters.count else { throw Violation("a counter is missing") }
        guard database.alerts == laws.alerts else {
            let odd = Set(database.alerts.keys).symmetricDifference(laws.alerts.keys)
            throw Violation("law 7: alerts differ: \(odd), or who was told: \(database.alerts.filter { laws.alerts[$0.key] != $0.value })")
        }
    }
}
