/// A random history through the real lane: `Batch` and `Memory` on a real Postgres, several replicas that remember what others have made
/// stale, and the reference model beside them. After every batch its answers, all counters, the ledger, the open holds and the alerts are
/// compared. Here one batch runs after the other; `Simulation` in BudgetsTests lets anything come between the steps of one.
import Budgets
import Postgres
import Store
import TestSupport

@testable import Ledger

struct LaneSimulation {
    private struct Arrival {
        let errand: Errand
        let at: Int
        let command: Command
    }

    private struct Replica {
        var memory = Memory(platform: PlatformCatalogue())
        var queue: [Arrival] = []
        /// What it was told last, to be asked again when the answer was lost.
        var last: [Arrival] = []
    }

    struct Violation: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// Commands of one batch at most.
    private static let batchBound = 5
    let organization: OrganizationID
    private let connection: PostgresConnection
    private(set) var laws: Laws
    private var clock: Int
    private var replicas: [Replica]
    private var lastReservation: UInt64 = 0
    private(set) var decisions = 0

    /// Creates the organization of the setting.
    init(_ setting: Setting, replicas: Int, organization: OrganizationID, on connection: PostgresConnection) async throws {
        self.organization = organization
        self.connection = connection
        laws = Laws(setting)
        clock = setting.start
        self.replicas = (0..<replicas).map { _ in Replica() }
        _ = try await connection.flight(LaneSimulation.rows(of: setting, organization))
    }

    // MARK: steps

    mutating func step(_ happening: Happening) async throws {
        switch happening {
        case .submit(let errand, let replica): try await submit(errand, to: replica)
        case .advance(let replica): try await advance(replica)
        case .crash(let replica): replicas[replica] = Replica()
        case .reconnect(let replica):
            // The answers to the last batch were lost with the connection: everything is asked again, of an empty memory.
            let (queue, last) = (replicas[replica].queue, replicas[replica].last)
            replicas[replica] = Replica()
            replicas[replica].queue = last + queue
        case .sweep(let replica): try await sweep(replica)
        case .pass(let seconds): clock += seconds
        case .change(let change):
            laws.setting.apply(change)
            _ = try await connection.flight([Fences.raiseConfiguration(organization)] + rows(of: change))
        }
    }

    /// Lets everything finish and every hold run out: then nothing is held (law 2).
    mutating func finish() async throws {
        try await drain()
        clock += 2 * 86_400
        try await sweep(0)
        try await drain()
        guard laws.open == 0, laws.counts.values.allSatisfy({ $0.held == 0 }) else { throw Violation("law 2: all is resolved, yet held") }
    }

    private mutating func drain() async throws {
        for index in replicas.indices { while !replicas[index].queue.isEmpty { try await advance(index) } }
    }

    private mutating func submit(_ errand: Errand, to replica: Int) async throws {
        var id: ReservationID
        switch errand {
        case .settle(let name, _, _), .release(let name, _), .expire(let name):
            let request = Translation.request(name)
            let result = try await connection.query(
                """
                SELECT id FROM reservations
                WHERE organization_id = \(organization) AND project_id = \(request.project) AND request_id = \(request.text)
                """)
            guard let row = result.rows.first else { return }
            id = try row.decode(as: ReservationID.self)
        case .reserve, .book, .allowance:
            lastReservation += 1
            id = ReservationID(high: 8, low: lastReservation)
        }
        let command = Translation.command(errand, laws.setting, reservation: id, at: clock)
        replicas[replica].queue.append(Arrival(errand: errand, at: clock, command: command))
    }

    private mutating func sweep(_ replica: Int) async throws {
        let result = try await connection.query(
            """
            SELECT project_id, request_id FROM reservations
            WHERE organization_id = \(organization) AND state = 'held' AND expires_at <= \(Translation.instant(clock)) ORDER BY id
            """)
        for row in result.rows {
            let (project, text) = try row.decode(as: (ProjectID, String).self)
            try await submit(.expire(Translation.name(RequestID(project: project, text: text))), to: replica)
        }
    }

    private mutating func advance(_ index: Int) async throws {
        let arrivals = Array(replicas[index].queue.prefix(LaneSimulation.batchBound))
        guard !arrivals.isEmpty else { return }
        replicas[index].queue.removeFirst(arrivals.count)
        replicas[index].last = arrivals
        let batch = Batch(arrivals.map { (organization, $0.command) })
        let (done, memory) = try await LaneSimulation.run(batch, replicas[index].memory, on: connection)
        replicas[index].memory = memory
        laws.beginBatch()
        // A request that turns out to be a repeat is answered behind the batch's own writes, so it comes after all others.
        let answered = zip(arrivals, done.items).map { ($0, $1.outcome ?? .storeUnavailable) }
        for (arrival, outcome) in answered.filter({ !$1.isRepeat }) + answered.filter({ $1.isRepeat }) { try judge(arrival, outcome) }
        try await compare()
    }

    private static func run(_ batch: Batch, _ memory: Memory, on connection: isolated PostgresConnection) throws -> (Batch, Memory) {
        var (batch, memory) = (batch, memory)
        try batch.run(&memory, on: connection, logger: testLogger)
        return (batch, memory)
    }

    // MARK: comparing

    private mutating func judge(_ arrival: Arrival, _ outcome: Outcome) throws {
        decisions += 1
        let expected = laws.apply(arrival.errand, at: arrival.at)
        let answer = Translation.answer(outcome, laws.setting)
        guard answer == expected else {
            throw Violation("\(arrival.errand) at \(arrival.at)\n  answered \(answer)\n  expected \(expected)")
        }
    }

    private func compare() async throws {
        let results = try await connection.pipeline([
            """
            WITH booked AS (
                SELECT (d ->> 'budget')::uuid AS budget_id, d ->> 'subject' AS subject, (d ->> 'period_start')::timestamptz AS period_start,
                       sum((d ->> 'quantity')::numeric) AS quantity
                FROM ledger_entries, jsonb_array_elements(draws) AS d WHERE organization_id = \(organization) GROUP BY 1, 2, 3
            ), holding AS (
                SELECT (d ->> 'budget')::uuid AS budget_id, d ->> 'subject' AS subject, (d ->> 'period_start')::timestamptz AS period_start,
                       sum((d ->> 'quantity')::numeric) AS quantity
                FROM reservations, jsonb_array_elements(draws::jsonb) AS d
                WHERE organization_id = \(organization) AND state = 'held' GROUP BY 1, 2, 3
            )
            SELECT p.budget_id, p.subject, p.period_start, p.settled, p.held, p.overage, p.burst, p.final_calls, p.final_held,
                   coalesce(b.quantity, 0) = p.settled AND coalesce(h.quantity, 0) = p.held
            FROM budget_periods AS p
            LEFT JOIN booked AS b USING (budget_id, subject, period_start) LEFT JOIN holding AS h USING (budget_id, subject, period_start)
            WHERE p.organization_id = \(organization)
            """,
            """
            SELECT budget_id, subject, period_start, limit_version, threshold, threshold_amount, event_id IS NOT NULL FROM alerts
            WHERE organization_id = \(organization)
            """,
        ])
        var counts: [Place: Count] = [:]
        for row in results[0].rows {
            let (budget, subject, start, settled, held, overage, burst, finals, graced, agrees) = try row.decode(
                as: (BudgetID, String, Instant, Amount, Amount, Amount, Amount, Int64, Amount, Bool).self)
            let place = Translation.place(CounterID(budget: budget, subject: subject, periodStart: start), laws.setting)
            counts[place] = Translation.count(
                Counter(
                    settled: settled, held: held, burst: burst, overage: overage, finalCalls: finals, finalHeld: graced))
            guard agrees else { throw Violation("law 5: \(place) is not the sum of its rows") }
        }
        guard counts == laws.counts else {
            let odd = Set(counts.keys).union(laws.counts.keys).filter { counts[$0] != laws.counts[$0] }
            throw Violation(odd.map { "\($0) is \(counts[$0] as Any), by the laws \(laws.counts[$0] as Any)" }.joined(separator: "\n"))
        }
        var alerts: [AlertName: Bool] = [:]
        for row in results[1].rows {
            let (budget, subject, start, version, threshold, amount, isTold) = try row.decode(
                as: (BudgetID, String, Instant, Int64, Int64, Amount, Bool).self)
            let place = Translation.place(CounterID(budget: budget, subject: subject, periodStart: start), laws.setting)
            alerts[AlertName(place: place, version: Int(version), threshold: Int(threshold), amount: Translation.pico(amount))] = isTold
        }
        guard alerts == laws.alerts else { throw Violation("law 7: \(alerts), by the laws \(laws.alerts)") }
    }
}

extension Outcome {
    /// An answer to a request whose id was used before.
    fileprivate var isRepeat: Bool {
        switch self {
        case .reserved(_, _, isReplay: true), .settled(_, _, isReplay: true), .refused(.requestConflict): true
        default: false
        }
    }
}
