/// How Bursar is run must not show in what it booked: the same trace with one or four engines, batches of 1 or of 512, 1 or 16 lanes with
/// a connection each gives the same ledger and the same alerts.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

/// A way to run it.
private struct Manner: Sendable, CustomStringConvertible {
    let replicas: Int
    let batchBound: Int
    let lanes: Int

    var description: String { "\(replicas) engines, batches of \(batchBound), \(lanes) lanes" }

    static let all = [1, 4].flatMap { replicas in
        [1, 512].flatMap { bound in [1, 16].map { Manner(replicas: replicas, batchBound: bound, lanes: $0) } }
    }
}

/// One call of a trace: what is held, and what becomes of it.
private struct TracedCall: Sendable {
    enum End {
        case settle(Int64)
        case release, leave
    }
    let organization: Int
    let request: String
    let endUser: String
    let tokens: Int64
    let end: End
    /// Sent twice, as after a lost answer.
    let isRepeated: Bool
}

/// What a trace left behind, whoever carried it out.
private struct Books: Equatable, Sendable {
    /// Each entry with everything that does not depend on when it was booked: request, cost, lines, and what it drew on which counter.
    var entries: Set<String> = []
    /// Each counter: settled, held, overage.
    var counters: Set<String> = []
    var reservations: [String: Int] = [:]
    /// Every threshold recorded. The highest of a counter is always told of; whether a lower one was told of before it or is superseded by
    /// it depends on which calls met in a batch.
    var alerts: Set<String> = []
    var told: Set<String> = []
    var outcomes: [String: Int] = [:]
}

@Suite struct MetamorphicTests {
    private static let organizations = 3
    /// Callers at once.
    private static let callers = 24

    @Test("ample budgets: every entry, counter, threshold and outcome is the same in all manners", arguments: [UInt64(7)])
    func ample(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let calls = (0..<240).map { number in
            let tokens = Int64.random(in: 1...900_000, using: &random)
            // Settlements below, at and above their holds; some given back, some left open.
            let end: TracedCall.End =
                switch Int.random(in: 0..<10, using: &random) {
                case ..<6: .settle(Int64.random(in: 0...tokens, using: &random))
                case 6: .settle(tokens)
                case 7: .settle(tokens + Int64.random(in: 1...90_000, using: &random))
                case 8: .release
                default: .leave
                }
            return TracedCall(
                organization: number % MetamorphicTests.organizations, request: "r\(number)",
                endUser: ["ann", "bob", "cy"].randomElement(using: &random)!, tokens: tokens, end: end,
                isRepeated: Int.random(in: 0..<5, using: &random) == 0)
        }
        try await same(calls, seed: seed) { world in
            // Room for all of it at once; thresholds low enough to be crossed by what is settled.
            try await world.budget("100", thresholds: [1, 5, 10, 15, 20, 100])
            try await world.budget("60", unit: .requests, per: .endUser, thresholds: [10, 50, 80, 100])
            try await world.budget("1", enforcement: .warn, thresholds: [50, 100, 500])
            try await world.budget("90000000", unit: .tokens, period: .year, per: .endUser, enforcement: .shadow, thresholds: [2, 4, 8])
        }
    }

    @Test("a scarce budget and equal calls: as many are admitted and refused, and as much is booked", arguments: [UInt64(11)])
    func scarce(seed: UInt64) async throws {
        // Which of equal calls get through depends on their order; how many does not. None ends before all were asked.
        let calls = (0..<200).map { number in
            TracedCall(
                organization: number % MetamorphicTests.organizations, request: "r\(number)", endUser: "ann", tokens: 1_000_000,
                end: .leave,
                isRepeated: false)
        }
        try await same(calls, seed: seed) { world in
            try await world.budget("23")
            try await world.budget("31", unit: .requests)
        }
    }

    // MARK: running a trace

    private func same(_ calls: [TracedCall], seed: UInt64, budgets: @Sendable (World) async throws -> Void) async throws {
        var first: (manner: Manner, books: Books)?
        for manner in Manner.all {
            let books = try await withDatabase { database in
                try await run(calls, manner, database, budgets)
            }
            #expect(!books.counters.isEmpty && !books.outcomes.isEmpty)
            guard let (other, expected) = first else {
                first = (manner, books)
                continue
            }
            #expect(books.entries == expected.entries, "seed \(seed): \(manner) against \(other)")
            #expect(books.counters == expected.counters, "seed \(seed): \(manner) against \(other)")
            #expect(books.reservations == expected.reservations, "seed \(seed): \(manner) against \(other)")
            #expect(books.alerts == expected.alerts, "seed \(seed): \(manner) against \(other)")
            #expect(books.told == expected.told, "seed \(seed): \(manner) against \(other)")
            #expect(books.outcomes == expected.outcomes, "seed \(seed): \(manner) against \(other)")
        }
    }

    private func run(
        _ calls: [TracedCall], _ manner: Manner, _ database: PostgresConfiguration,
        _ budgets: @Sendable (World) async throws -> Void
    ) async throws -> Books {
        var worlds: [World] = []
        for _ in 0..<MetamorphicTests.organizations {
            let world = try await World.create(database)
            try await budgets(world)
            worlds.append(world)
        }
        let outcomes = try await withEngines(manner.replicas, manner, worlds[0]) { [worlds] engines in
            await MetamorphicTests.play(calls, worlds, engines)
        }
        var books = Books(outcomes: outcomes)
        for (index, world) in worlds.enumerated() { try await books.read(world, index) }
        return books
    }

    private func withEngines<T: Sendable>(
        _ count: Int, _ manner: Manner, _ world: World, _ engines: [Ledger] = [], _ body: @Sendable ([Ledger]) async throws -> T
    ) async throws -> T {
        guard count > 0 else { return try await body(engines) }
        return try await world.withLedger(lanes: manner.lanes, batchBound: manner.batchBound, sweepInterval: .seconds(3600)) { engine in
            try await withEngines(count - 1, manner, world, engines + [engine], body)
        }
    }

    /// So many callers at once, each with calls of its own, at whichever engine.
    private static func play(_ calls: [TracedCall], _ worlds: [World], _ engines: [Ledger]) async -> [String: Int] {
        await withTaskGroup(of: [String].self) { group in
            for caller in 0..<callers {
                group.addTask {
                    var words: [String] = []
                    for number in stride(from: caller, to: calls.count, by: callers) {
                        let engine = engines[(number / callers + caller) % engines.count]
                        words += await carryOut(calls[number], worlds[calls[number].organization], engine)
                    }
                    return words
                }
            }
            return await group.reduce(into: [:]) { counts, words in for word in words { counts[word, default: 0] += 1 } }
        }
    }

    private static func carryOut(_ call: TracedCall, _ world: World, _ engine: Ledger) async -> [String] {
        var words: [String] = []
        func submit(_ command: Command) async -> Outcome {
            let outcome = await engine.submit(command, for: world.organization)
            words.append(outcome.word)
            guard call.isRepeated else { return outcome }
            let again = await engine.submit(command, for: world.organization)
            words.append(again.word)
            return outcome
        }
        let held = await submit(world.reserve(call.request, tokens: call.tokens, endUser: call.endUser))
        guard let id = held.reservation?.id else { return words }
        switch call.end {
        case .settle(let tokens): _ = await submit(world.settle(id, tokens: tokens))
        case .release: _ = await submit(world.release(id))
        case .leave: break
        }
        return words
    }
}

extension Books {
    /// Adds what Postgres has of one organization, with names that are the same in every database.
    fileprivate mutating func read(_ world: World, _ index: Int) async throws {
        let o = world.organization
        let results = try await world.sql([
            """
            SELECT format('%s %s %s %s %s %s', e.request_id, e.cost, e.is_late, e.model,
                          (SELECT string_agg(key || (value ->> 'quantity') || '=' || (value ->> 'cost'), ',' ORDER BY key)
                           FROM jsonb_each(e.lines)),
                          (SELECT string_agg(b.name || '/' || (d ->> 'subject') || '=' || (d ->> 'quantity'), ',' ORDER BY b.name)
                           FROM jsonb_array_elements(e.draws) AS d
                           JOIN budgets AS b ON b.organization_id = e.organization_id AND b.id = (d ->> 'budget')::uuid))
            FROM ledger_entries AS e WHERE e.organization_id = \(o)
            """,
            """
            SELECT format('%s/%s settled %s held %s over %s', b.name, p.subject, p.settled, p.held, p.overage)
            FROM budget_periods AS p JOIN budgets AS b ON b.organization_id = p.organization_id AND b.id = p.budget_id
            WHERE p.organization_id = \(o)
            """,
            "SELECT format('%s %s', state, held), count(*) FROM reservations WHERE organization_id = \(o) GROUP BY 1",
            """
            SELECT format('%s/%s v%s %s', b.name, a.subject, a.limit_version, a.threshold),
                   a.threshold = max(a.threshold) OVER (PARTITION BY a.budget_id, a.subject, a.period_start), a.event_id IS NOT NULL
            FROM alerts AS a JOIN budgets AS b ON b.organization_id = a.organization_id AND b.id = a.budget_id
            WHERE a.organization_id = \(o)
            """,
        ])
        for row in results[0].rows { entries.insert("\(index): \(try row.decode(as: String.self))") }
        for row in results[1].rows { counters.insert("\(index): \(try row.decode(as: String.self))") }
        for row in results[2].rows {
            let (name, count) = try row.decode(as: (String, Int64).self)
            reservations["\(index): \(name)"] = Int(count)
        }
        for row in results[3].rows {
            let (name, isHighest, isTold) = try row.decode(as: (String, Bool, Bool).self)
            alerts.insert("\(index): \(name)")
            if isHighest { told.insert("\(index): \(name) \(isTold)") }
        }
    }
}
