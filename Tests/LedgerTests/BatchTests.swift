/// What a batch does when it cannot be committed as decided: another writer was first, a lock does not come, one command is impossible.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite struct BatchTests {
    @Test("a command that can never be committed is answered as our fault, by itself; the others of its batch do not suffer")
    func impossibleCommand() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("100")
            try await world.sql([
                "ALTER TABLE reservations ADD CONSTRAINT impossible CHECK (end_user IS DISTINCT FROM 'impossible')"
            ])
            let commands = (0..<10).map { world.reserve("r\($0)", endUser: $0 == 6 ? "impossible" : nil) }
            let (batch, memory) = try await run(commands.map { (world.organization, $0) }, Memory(platform: PlatformCatalogue()), database)
            #expect(batch == (0..<10).map { $0 == 6 ? "internal_error" : "held" })
            let again = try await run([(world.organization, commands[6])], memory, database)
            #expect(again.words == ["internal_error"])
            try await world.sql(["ALTER TABLE reservations DROP CONSTRAINT impossible"])
            // Nothing was booked for it and its id is not used up.
            let mended = try await run([(world.organization, commands[6])], again.memory, database)
            #expect(mended.words == ["held"])
            let totals = try await world.totals(budget)
            #expect(totals == .init(settled: "0", held: "10", entries: 0, open: 10))
        }
    }

    @Test(
        "a fence that somebody else holds locked for too long: 503, not a refusal; afterwards the same ids are admitted",
        arguments: [0, Memory.lockingContention])
    func lockedFence(contention: Int) async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("100")
            var impatient = database
            impatient.lockTimeout = .milliseconds(50)
            var (words, memory) = try await run(
                [(world.organization, world.reserve("before"))], Memory(platform: PlatformCatalogue()), impatient)
            #expect(words == ["held"])
            memory.organizations[world.organization]?.contention = contention
            let commands = (0..<3).map { (world.organization, world.reserve("r\($0)")) }

            let other = try await PostgresConnection.connect(database, logger: testLogger)
            try await other.pipeline(["BEGIN", Fences.lock([world.organization])])
            (words, memory) = try await run(commands, memory, impatient)
            #expect(words == Array(repeating: "store_unavailable", count: 3))
            try await other.query("ROLLBACK")
            await other.close()

            (words, memory) = try await run(commands, memory, impatient)
            #expect(words == Array(repeating: "held", count: 3))
            let totals = try await world.totals(budget)
            #expect(totals == .init(settled: "0", held: "4", entries: 0, open: 4))
        }
    }

    @Test("a refusal decided on a version that has passed is decided again, and the rest of its batch stands")
    func staleRefusal() async throws {
        try await withDatabase { database in
            let (writing, refused) = (try await World.create(database), try await World.create(database))
            let room = try await writing.budget("100")
            let full = try await refused.budget("1")
            let start = [(writing.organization, writing.reserve("w0")), (refused.organization, refused.reserve("r0"))]
            var (words, memory) = try await run(start, Memory(platform: PlatformCatalogue()), database)
            #expect(words == ["held", "held"])
            try await refused.sql([
                Fences.raiseConfiguration(refused.organization),
                """
                UPDATE budgets SET amount = 2, limit_version = 2
                WHERE organization_id = \(refused.organization) AND id = \(full)
                """,
            ])
            let next = [
                (writing.organization, writing.reserve("w1")), (refused.organization, refused.reserve("r1")),
                (refused.organization, refused.reserve("r2")),
            ]
            (words, memory) = try await run(next, memory, database)
            #expect(words == ["held", "held", "budget_exceeded"])
            let totals = (try await writing.totals(room), try await refused.totals(full))
            #expect(totals.0 == .init(settled: "0", held: "2", entries: 0, open: 2))
            #expect(totals.1 == .init(settled: "0", held: "2", entries: 0, open: 2))
        }
    }

    @Test("a batch that remembers all it needs is one round trip and one statement; another says whose rows it is about, when that changes")
    func statements() async throws {
        try await withDatabase { database in
            let worlds = [try await World.create(database), try await World.create(database)]
            for world in worlds { try await world.budget("100") }
            let proxy = FaultyProxy(to: database, seed: 1)
            defer { proxy.stop() }
            let road = proxy.configuration(database.asService, patience: .seconds(20))
            let connection = try await PostgresConnection.connect(road.forLane, logger: testLogger)
            let first = worlds.map { ($0.organization, $0.reserve("first")) }
            var (words, memory) = try await run(first, Memory(platform: PlatformCatalogue()), on: connection)
            #expect(words == ["held", "held"])
            for (size, of, stating, all) in [(1, worlds, 0, 1), (25, worlds, 0, 1), (1, [worlds[0]], 1, 2), (25, [worlds[0]], 0, 1)] {
                let commands = of.flatMap { world in (0..<size).map { (world.organization, world.reserve("\(of.count) \(size) \($0)")) } }
                let said = try await proxy.listen { (words, memory) = try await run(commands, memory, on: connection) }
                #expect(words.allSatisfy { $0 == "held" })
                let statements = try #require(said.first).executed
                #expect(said.map(\.syncs) == [1] && statements.count == all, "\(statements)")
                #expect(statements.count { $0.contains("set_config('bursar.organizations'") } == stating, "\(statements)")
            }
            await connection.close()
        }
    }

    /// Runs one batch as a lane that remembers this would.
    private func run(
        _ commands: [(OrganizationID, Command)], _ memory: Memory, _ database: PostgresConfiguration
    ) async throws -> (words: [String], memory: Memory) {
        let connection = try await PostgresConnection.connect(database.forLane, logger: testLogger)
        let result = try await run(commands, memory, on: connection)
        await connection.close()
        return result
    }

    private func run(
        _ commands: [(OrganizationID, Command)], _ memory: Memory, on connection: isolated PostgresConnection
    ) throws -> (words: [String], memory: Memory) {
        connection.isPreambleLasting = true  // as lanes have it
        var (batch, memory) = (Batch(commands), memory)
        try batch.run(&memory, on: connection, logger: testLogger)
        return (batch.items.map { $0.outcome?.word ?? "none" }, memory)
    }
}
