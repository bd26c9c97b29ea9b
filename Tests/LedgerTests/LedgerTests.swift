/// The laws of money on a real Postgres: one test a law or a bad day of issue 2.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite struct LedgerTests {
    @Test("a call's way: hold, settle below the hold, and the counters agree with the ledger")
    func wayOfACall() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("10")
            try await world.withLedger { ledger in
                let held = await ledger.submit(world.reserve("r1", tokens: 3_000_000), for: world.organization)
                #expect(held.word == "held")
                let id = try #require(held.reservation?.id)
                let totals1 = try await world.totals(budget)
                #expect(totals1 == .init(settled: "0", held: "3", entries: 0, open: 1))
                let settled = await ledger.submit(world.settle(id, tokens: 2_500_000), for: world.organization)
                #expect(settled.word == "settled")
                #expect(settled.reservation?.entry?.cost == Amount("2.5"))
                let totals2 = try await world.totals(budget)
                #expect(totals2 == .init(settled: "2.5", held: "0", entries: 1, open: 0))
            }
        }
    }

    @Test("500 calls at once for a budget of exactly 100: exactly 100 are admitted, at any batch bound", arguments: [1, 7, 512])
    func exactlyOneHundred(batchBound: Int) async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("100", unit: .requests)
            try await world.withLedger(batchBound: batchBound) { ledger in
                let words = await withTaskGroup(of: String.self) { group in
                    for number in 0..<500 {
                        group.addTask { await ledger.submit(world.reserve("r\(number)"), for: world.organization).word }
                    }
                    return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
                }
                #expect(words == ["held": 100, "budget_exceeded": 400])
                let totals3 = try await world.totals(budget)
                #expect(totals3 == .init(settled: "0", held: "100", entries: 0, open: 100))
            }
        }
    }

    @Test("two engines on one database, one hot budget: together they admit exactly what it allows")
    func twoReplicas() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("60", unit: .requests)
            try await world.withLedger { one in
                try await world.withLedger { other in
                    let words = await withTaskGroup(of: String.self) { group in
                        for number in 0..<200 {
                            let ledger = number.isMultiple(of: 2) ? one : other
                            group.addTask { await ledger.submit(world.reserve("r\(number)"), for: world.organization).word }
                        }
                        return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
                    }
                    #expect(words == ["held": 60, "budget_exceeded": 140])
                    let totals4 = try await world.totals(budget)
                    #expect(totals4.held == "60")
                }
            }
        }
    }

    @Test("a repeated request gets the first answer, in memory and after a restart, even when the budget is used up")
    func repeated() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.budget("1")
            let first = try await world.withLedger { ledger in
                let first = await ledger.submit(world.reserve("same"), for: world.organization)
                let again = await ledger.submit(world.reserve("same"), for: world.organization)
                #expect([first.word, again.word] == ["held", "held again"])
                #expect(again.reservation?.id == first.reservation?.id)
                #expect(await ledger.submit(world.reserve("same", content: 1), for: world.organization).word == "request_conflict")
                #expect(await ledger.submit(world.reserve("other"), for: world.organization).word == "budget_exceeded")
                return first.reservation
            }
            try await world.withLedger { ledger in
                let again = await ledger.submit(world.reserve("same"), for: world.organization)
                #expect(again.word == "held again")
                #expect(again.reservation?.id == first?.id)
                #expect(again.reservation?.draws == first?.draws)
                #expect(await ledger.submit(world.reserve("same", content: 1), for: world.organization).word == "request_conflict")
                #expect(await ledger.submit(world.reserve("other"), for: world.organization).word == "budget_exceeded")
            }
        }
    }

    @Test("the same request many times at once is admitted once")
    func repeatedAtOnce() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("1000")
            try await world.withLedger { one in
                try await world.withLedger { other in
                    let ids = await withTaskGroup(of: ReservationID?.self) { group in
                        for number in 0..<60 {
                            let ledger = number.isMultiple(of: 2) ? one : other
                            group.addTask {
                                await ledger.submit(world.reserve("r\(number / 20)"), for: world.organization).reservation?.id
                            }
                        }
                        return await group.reduce(into: Set<ReservationID?>()) { $0.insert($1) }
                    }
                    #expect(ids.count == 3 && !ids.contains(nil))
                    let totals5 = try await world.totals(budget)
                    #expect(totals5.held == "3")
                }
            }
        }
    }

    @Test("a reservation is settled once: repeated, contradicted, released after, unknown")
    func settledOnce() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("10")
            let id = try await world.withLedger { ledger in
                let id = try #require(await ledger.submit(world.reserve("r"), for: world.organization).reservation?.id)
                var words: [String] = []
                for command in [
                    world.settle(id, tokens: 5), world.settle(id, tokens: 5), world.settle(id, tokens: 5, content: 1), world.release(id),
                    world.settle(ReservationID(at: .now()), tokens: 5),
                ] {
                    words.append(await ledger.submit(command, for: world.organization).word)
                }
                #expect(words == ["settled", "settled again", "reservation_resolved", "reservation_resolved", "reservation_unknown"])
                return id
            }
            try await world.withLedger { ledger in
                #expect(await ledger.submit(world.settle(id, tokens: 5), for: world.organization).word == "settled again")
            }
            let totals6 = try await world.totals(budget)
            #expect(totals6 == .init(settled: "0.000005", held: "0", entries: 1, open: 0))
        }
    }

    @Test("a settlement above its hold takes free room first; the rest is overage, and the next call is refused")
    func overage() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("3")
            try await world.withLedger { ledger in
                let id = try #require(await ledger.submit(world.reserve("r"), for: world.organization).reservation?.id)
                let settled = await ledger.submit(world.settle(id, tokens: 5_000_000), for: world.organization)
                #expect(settled.reservation?.entry?.overage == Amount("2"))
                #expect(await ledger.submit(world.reserve("next", tokens: 1), for: world.organization).word == "budget_exceeded")
                let totals7 = try await world.totals(budget)
                #expect(totals7.settled == "5")
            }
        }
    }

    @Test("a hold whose time is over is given back by the sweeper; its settlement is booked late")
    func expiry() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("1")
            let past = Instant.now().adding(seconds: -100)
            let id = try await world.withLedger(sweepInterval: .seconds(3600)) { ledger in
                let held = await ledger.submit(world.reserve("old", timeToLive: 10, at: past), for: world.organization)
                return try #require(held.reservation?.id)
            }
            // Another process finds it: the first had no time to sweep.
            try await world.withLedger { ledger in
                while try await world.totals(budget).open > 0 { await Task.yield() }
                let totals8 = try await world.totals(budget)
                #expect(totals8.held == "0")
                #expect(await ledger.submit(world.release(id), for: world.organization).word == "reservation_resolved")
                #expect(await ledger.submit(world.settle(id, tokens: 400_000), for: world.organization).word == "settled late")
                let totals9 = try await world.totals(budget)
                #expect(totals9 == .init(settled: "0.4", held: "0", entries: 1, open: 0))
            }
        }
    }

    @Test("a command for an organization that does not exist is nobody's")
    func unknownOrganization() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.withLedger { ledger in
                #expect(await ledger.submit(world.reserve("r"), for: OrganizationID(at: .now())).word == "unauthenticated")
                #expect(await ledger.submit(world.reserve("r"), for: world.organization).word == "held")
            }
        }
    }

    @Test("each subject of a budget has a counter of its own")
    func subjects() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.budget("2", per: .endUser)
            try await world.withLedger { ledger in
                var words: [String] = []
                for (number, user) in ["ann", "bob", "ann", "ann", "bob"].enumerated() {
                    words.append(await ledger.submit(world.reserve("r\(number)", endUser: user), for: world.organization).word)
                }
                #expect(words == ["held", "held", "held", "budget_exceeded", "held"])
            }
        }
    }

    @Test("texts that look alike but differ in their bytes have counters and requests of their own, before and after a restart")
    func bytes() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("1", per: .endUser)
            let users = ["Andr\u{E9}", "Andre\u{301}"]
            for round in 0..<2 {
                try await world.withLedger { ledger in
                    for (index, user) in users.enumerated() {
                        let word = await ledger.submit(world.reserve("r\(round)-\(user)", endUser: user), for: world.organization).word
                        #expect(word == (round == 0 ? "held" : "budget_exceeded"), "\(index) \(round)")
                    }
                }
            }
            let totals = try await world.totals(budget)
            #expect(totals == .init(settled: "0", held: "2", entries: 0, open: 2))
        }
    }

    @Test("expired and settled late in one batch: booked once, and a repeat gets the first answer")
    func expiredAndSettledAtOnce() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("10")
            let past = Instant.now().adding(seconds: -100)
            let id = try await world.withLedger(lanes: 1, sweepInterval: .seconds(3600)) { ledger in
                let held = await ledger.submit(world.reserve("old", timeToLive: 10, at: past), for: world.organization)
                let id = try #require(held.reservation?.id)
                var batch = Batch([
                    (world.organization, .expire(id, at: .now())), (world.organization, world.settle(id, tokens: 400_000)),
                ])
                let connection = try await PostgresConnection.connect(world.configuration.forLane, logger: testLogger)
                batch = try await run(batch, on: connection)
                #expect(batch.items.map { $0.outcome?.word } == ["expired", "settled late"])
                await connection.close()
                return id
            }
            try await world.withLedger { ledger in
                #expect(await ledger.submit(world.settle(id, tokens: 400_000), for: world.organization).word == "settled again late")
            }
            let totals = try await world.totals(budget)
            #expect(totals == .init(settled: "0.4", held: "0", entries: 1, open: 0))
        }
    }

    @Test("a batch that was committed and whose answer was lost finds its own traces when it is run again")
    func lostAnswer() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("10")
            let connection = try await PostgresConnection.connect(world.configuration.forLane, logger: testLogger)
            let commands = [world.reserve("r1"), world.book("r2", tokens: 400_000), world.reserve("r3")]
            for words in [["held", "settled", "held"], ["held again", "settled again", "held again"]] {
                let batch = try await run(Batch(commands.map { (world.organization, $0) }), on: connection)
                #expect(batch.items.map { $0.outcome?.word } == words)
            }
            await connection.close()
            let totals = try await world.totals(budget)
            #expect(totals == .init(settled: "0.4", held: "2", entries: 1, open: 2))
        }
    }

    private func run(_ batch: Batch, on connection: isolated PostgresConnection) throws -> Batch {
        var memory = Memory(platform: PlatformCatalogue())
        var batch = batch
        try batch.run(&memory, on: connection, logger: testLogger)
        return batch
    }

    @Test("an admin's change binds the very next decision of an engine that remembers otherwise")
    func nowMeansNow() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("1")
            try await world.withLedger { ledger in
                func next(_ name: String) async -> String { await ledger.submit(world.reserve(name), for: world.organization).word }
                #expect(await next("a") == "held")
                #expect(await next("b") == "budget_exceeded")
                try await world.sql([
                    Fences.raiseConfiguration(world.organization),
                    """
                    UPDATE budgets SET amount = 2, limit_version = 2
                    WHERE organization_id = \(world.organization) AND id = \(budget)
                    """,
                ])
                #expect(await next("c") == "held")
                try await world.sql([
                    Fences.raiseConfiguration(world.organization),
                    "UPDATE api_keys SET revoked_at = now() WHERE organization_id = \(world.organization) AND id = \(world.apiKey)",
                ])
                #expect(await next("d") == "unauthenticated")
            }
        }
    }

    @Test("spend that leaps over several thresholds makes one alert, records the others as superseded, and never repeats it")
    func alerts() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.budget("10")
            try await world.withLedger { ledger in
                for (number, tokens) in [Int64(6_900_000), 2_200_000, 100_000, 900_000].enumerated() {
                    let held = await ledger.submit(world.reserve("r\(number)", tokens: tokens), for: world.organization)
                    if let id = held.reservation?.id {
                        _ = await ledger.submit(world.settle(id, tokens: tokens), for: world.organization)
                    }
                }
            }
            let result = try await world.sql([
                """
                SELECT threshold, event_id IS NOT NULL FROM alerts WHERE organization_id = \(world.organization) ORDER BY threshold
                """
            ])
            let alerts = try result[0].rows.map { row in
                let (threshold, isTold) = try row.decode(as: (Int64, Bool).self)
                return "\(threshold) \(isTold ? "told" : "superseded")"
            }
            #expect(alerts == ["70 superseded", "80 superseded", "90 told"])
        }
    }

    @Test(
        "a raised limit tells of nothing again that it still exceeds, and of whatever a later posting leaps to",
        arguments: [("20", Int64(1_000_000), [Int64]()), ("20", 9_000_000, [90]), ("10", 500_000, []), ("5", 1, [100])])
    func changedLimit(amount: String, tokens: Int64, told: [Int64]) async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("10", enforcement: .warn)
            try await world.withLedger { ledger in
                for (request, spent) in [("before", 9_000_000), ("after", tokens)] {
                    let held = await ledger.submit(world.reserve(request, tokens: spent), for: world.organization)
                    let id = try #require(held.reservation?.id)
                    _ = await ledger.submit(world.settle(id, tokens: spent), for: world.organization)
                    try await world.sql([
                        Fences.raiseConfiguration(world.organization),
                        """
                        UPDATE budgets SET amount = \(Amount(amount)!), limit_version = 2
                        WHERE organization_id = \(world.organization) AND id = \(budget)
                        """,
                    ])
                }
            }
            let result = try await world.sql([
                """
                SELECT threshold FROM alerts
                WHERE organization_id = \(world.organization) AND limit_version = 2 AND event_id IS NOT NULL
                """
            ])
            #expect(try result[0].rows.map { try $0.decode(as: Int64.self) } == told)
        }
    }
}
