/// Roll-ups follow a ledger that is being written to, and what is read of them is the ledger's to the last digit at every moment.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite("Roll-ups")
struct RollUpTests {
    /// A call that was made so long ago, booked without asking.
    private func book(_ world: World, _ number: Int, _ generator: inout SeededGenerator) -> Command {
        let at = Instant.now()
        let ago = Int64.random(in: 0...(34 * 86_400), using: &generator)
        let usage = Usage([
            ("input", Int64.random(in: 1...9_999_999, using: &generator)), ("output", Int64.random(in: 0...777, using: &generator)),
        ])
        return .book(
            Book(
                id: ReservationID(at: at), request: RequestID(project: world.project, text: "b\(number)"),
                content: Array(repeating: 0, count: 32),
                call: Call(
                    project: world.project, apiKey: world.apiKey, model: World.model,
                    feature: ["chat", "search", nil].randomElement(using: &generator)!),
                report: Report(usage: usage!), occurredAt: at.adding(seconds: -ago), at: at))
    }

    @Test("two followers and two engines at once: every reading is exact, and in the end everything is rolled up once")
    func follows() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        try await withDatabase { database in
            let world = try await World.create(database)
            let pool = PostgresPool(database, size: 4, logger: testLogger)
            let store = Store(pool: pool)
            _ = try await pool.withConnection { try $0.query(RollUps.adopt) }
            let zone = try #require(Zone("Asia/Kathmandu"))
            try await world.sql(["UPDATE organizations SET time_zone = \(zone.identifier)"])
            try await world.withLedger { one in
                try await world.withLedger { other in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for part in 0..<4 {
                            group.addTask {
                                var generator = SeededGenerator(seed: seed &+ UInt64(part))
                                for number in 0..<60 {
                                    let ledger = number.isMultiple(of: 2) ? one : other
                                    let outcome = await ledger.submit(
                                        book(world, part * 1000 + number, &generator), for: world.organization)
                                    #expect(outcome.word == "settled", "seed \(seed)")
                                }
                            }
                        }
                        for _ in 0..<2 {
                            group.addTask {
                                for _ in 0..<40 {
                                    _ = try await pool.withConnection { try RollUps.step(world.organization, maximumEntries: 7, on: $0) }
                                }
                            }
                        }
                        group.addTask {
                            for round in 0..<20 {
                                let span = PeriodRule(round.isMultiple(of: 2) ? .month : .day).span(containing: .now(), in: zone)
                                let asked = StatementSpan(start: span.start, end: try #require(span.end))
                                let sum = Sum()
                                let source = StatementSource(organization: world.organization, span: asked, zone: zone)
                                let total = try await store.statementLines(of: source) { await sum.add($0) }.total
                                let found = await sum.total
                                #expect(found == total, "seed \(seed)")
                            }
                        }
                        try await group.waitForAll()
                    }
                }
            }
            // With part of it still to be followed and with nothing left: the same.
            let now = Instant.now()
            let end = Instant(seconds: now.seconds - now.seconds % 900 + 900)
            let all = StatementSpan(start: end.adding(seconds: -36 * 86_400), end: end)
            let days = (0..<36).map { day in
                StatementSpan(start: end.adding(seconds: (day - 36) * 86_400), end: end.adding(seconds: (day - 35) * 86_400))
            }
            for isLast in [false, true] {
                if isLast {
                    while try await pool.withConnection({ try RollUps.step(world.organization, maximumEntries: 7, on: $0) }) {}
                }
                let truth = try await world.sql(["SELECT sum(cost), count(*) FROM ledger_entries"])[0].rows[0].decode(
                    as: (Amount, Int64).self)
                #expect(truth.1 == 240)
                for dimensions in [[], [.team], [.model, .feature], [.apiKey, .costCenter]] as [[SpendDimension]] {
                    for spans in [[all], days] {
                        let rows = try #require(try await store.spend(of: world.organization, in: spans, by: dimensions))
                        #expect(rows.map(\.cost).reduce(.zero, +) == truth.0, "\(dimensions), seed \(seed)")
                        #expect(rows.map(\.calls).reduce(0, +) == truth.1)
                        #expect(rows.map(\.span) == rows.map(\.span).sorted())
                    }
                }
                let byTeam = try #require(try await store.spend(of: world.organization, in: [all], by: [.team, .costCenter]))
                #expect(byTeam.count == 1 && byTeam[0].values == [world.team.hexadecimal, "CC-1"] && byTeam[0].names == ["Search", nil])
            }
            let report = try await pool.withConnection { try Check.run(on: $0) }
            #expect(report.violations == 0, "\(report.findings.flatMap(\.samples))")
            #expect(report.figures.entriesNotRolledUp == 0)
            await pool.shutdown()
        }
    }

    @Test("spend of the organization's days is read from its days alone, wherever midnight is and however long the day")
    func days() async throws {
        // New York's first of November has 25 hours.
        for (name, day) in [("Asia/Kathmandu", 10), ("America/New_York", 1), ("UTC", 1)] {
            try await withDatabase { database in
                let world = try await World.create(database)
                let zone = try #require(Zone(name))
                try await world.sql(["UPDATE organizations SET time_zone = \(name)"])
                let pool = PostgresPool(database, size: 1, logger: testLogger)
                let store = Store(pool: pool)
                let first = zone.start(of: try #require(CivilDate(year: 2026, month: 11, day: day)))
                let span = PeriodRule(.day).span(containing: first, in: zone)
                let next = try #require(span.end)
                // The last moment of the day before, the first and the last of the day, and the first of the next.
                let moments = [first.adding(seconds: -1), first, next.adding(seconds: -1), next]
                let now = next.adding(seconds: 3600)
                try await world.withLedger(now: { now }) { ledger in
                    for (number, moment) in moments.enumerated() {
                        let id = ReservationID(at: moment)
                        let outcome = await ledger.submit(
                            .book(
                                Book(
                                    id: id, request: RequestID(project: world.project, text: "d\(number)"),
                                    content: Array(repeating: 0, count: 32),
                                    call: Call(project: world.project, apiKey: world.apiKey, model: World.model),
                                    report: Report(usage: try #require(Usage([("input", 1 << number)]))), occurredAt: moment, at: now)),
                            for: world.organization)
                        #expect(outcome.word == "settled")
                    }
                }
                try await pool.withConnection { connection in
                    try connection.query(RollUps.adopt)
                    while try RollUps.step(world.organization, maximumEntries: 1, on: connection) {}
                }
                let days = [(first.adding(seconds: -86_400), first), (first, next), (next, next.adding(seconds: 86_400))].map {
                    StatementSpan(start: $0.0, end: $0.1)
                }
                let report = try await pool.withConnection { try Check.run(on: $0) }
                #expect(report.violations == 0, "\(report.findings.flatMap(\.samples))")
                let before = try #require(try await store.spend(of: world.organization, in: days, by: [.model]))
                #expect(before.map(\.calls) == [1, 2, 1] && before.map(\.span) == [0, 1, 2], "\(name): \(before)")
                try await world.sql(["DELETE FROM spend_rollups WHERE span = 'quarter'"])
                let after = try #require(try await store.spend(of: world.organization, in: days, by: [.model]))
                #expect(after.map(\.cost) == before.map(\.cost) && after.map(\.calls) == before.map(\.calls), "\(name): \(after)")
                await pool.shutdown()
            }
        }
    }

    @Test("upkeep rolls up, adds the months and makes the day's check, without being asked")
    func upkeep() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            // Four in the morning of a month that has no partition.
            let night = try #require(Instant(rfc3339: "2033-05-01T04:00:00Z"))
            try await world.withLedger { ledger in
                let held = await ledger.submit(world.reserve("r1"), for: world.organization)
                _ = await ledger.submit(world.settle(try #require(held.reservation?.id), tokens: 5), for: world.organization)
            }
            let upkeep = Upkeep(database, now: { night }, logger: testLogger)
            let running = Task { await upkeep.run() }
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            let done: Query = """
                SELECT (SELECT count(*) FROM check_runs WHERE violations IS NOT NULL) = 1 AND EXISTS (SELECT FROM rollup_positions AS p
                    JOIN fences AS f USING (organization_id) WHERE organization_id = \(world.organization) AND f.version = p.spend_version)
                """
            while try await connection.query(done).rows[0].decode(as: Bool.self) == false { await Task.yield() }
            let months = try await connection.query(
                "SELECT relname::text FROM pg_class WHERE relname ~ '^ledger_entries_2033_..$' ORDER BY 1"
            ).rows.map { try $0.decode(as: String.self) }
            #expect(months == (3...8).map { "ledger_entries_2033_0\($0)" })
            let run = try await CheckRuns.decode(connection.query(CheckRuns.last))
            #expect(run?.finishedAt == night && run?.violations == 0)
            running.cancel()
            await running.value
            await connection.close()
        }
    }

    private actor Sum {
        var total = StatementTotal()
        func add(_ lines: [StatementLine]) {
            for line in lines { total = StatementTotal(requests: total.requests + line.calls, cost: total.cost + line.cost) }
        }
    }
}
