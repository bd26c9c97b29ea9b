/// A lane that goes on from the configuration it knows comes to the same as one that reads everything.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite("Reading a configuration") struct ConfigurationReadsTests {
    /// Every fact of every budget there is, in words: budgets are compared by nothing else.
    private func facts(_ configuration: Configuration, _ ids: [BudgetID]) -> [String] {
        ids.map { id in
            guard let budget = configuration.budget(id) else { return "\(id): none" }
            return Mirror(reflecting: budget).children.map { child in
                // The order of a dictionary is nobody's.
                (child.value as? [Instant: Amount]).map { "\($0.sorted { $0.key < $1.key })" } ?? "\(child.label ?? ""): \(child.value)"
            }.joined(separator: ", ")
        }
    }

    private func read(
        _ world: World, since known: Configuration?, on connection: PostgresConnection
    ) async throws -> (configuration: Configuration, budgetsRead: Int) {
        let version = try #require(
            try Fences.decode(await connection.query(Fences.read([world.organization])))[world.organization]?.configurationVersion)
        var results: [PostgresResult] = []
        for query in ConfigurationReads.queries(world.organization, since: known) { results.append(try await connection.query(query)) }
        var models: [PostgresResult] = []
        for query in ConfigurationReads.catalogueQueries(world.organization) { models.append(try await connection.query(query)) }
        let configuration = try ConfigurationReads.decode(
            world.organization, version: version, results, own: try ConfigurationReads.decodeCatalogue(models), platform: [:], since: known)
        return (try #require(configuration), results[5].rows.count)
    }

    @Test("whatever changes, going on from what is known is the same as reading everything")
    func increments() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        var generator = SeededGenerator(seed: seed)
        try await withDatabase { database in
            let world = try await World.create(database)
            let (o, now, later) = (world.organization, Instant.now(), Instant.now().adding(seconds: 3600))
            var ids: [BudgetID] = []
            for number in 1...20 { ids.append(try await world.budget("\(number)")) }
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            var known = try await read(world, since: nil, on: connection).configuration
            func ended(_ which: Query) -> Query {
                "UPDATE bursts SET starts_at = now() - interval '4 days', ends_at = now() - interval '2 days' \(list: [which])"
            }
            for round in 0..<60 {
                let budget = ids.randomElement(using: &generator)!
                let other = ids.randomElement(using: &generator)!
                let changes: [Query] =
                    switch round % 10 {
                    case 0: ["UPDATE budgets SET amount = amount + 1, limit_version = limit_version + 1 WHERE id IN (\(budget), \(other))"]
                    case 1: ["UPDATE budgets SET archived_at = now() WHERE id = \(budget)"]
                    case 2: ["UPDATE budgets SET archived_at = NULL, team_id = \(world.team) WHERE id = \(budget)"]
                    case 3, 4:
                        [
                            """
                            INSERT INTO bursts (organization_id, id, budget_id, amount, starts_at, ends_at, reason, requested_by, requested_at,
                                                approved_at, review_due_at)
                            VALUES (\(o), \(BurstID(at: now)), \(budget), 5, \(now), \(later), 'r', \(world.apiKey), \(now), \(now), \(later))
                            """
                        ]
                    case 5:
                        [
                            "UPDATE bursts SET starts_at = now() - interval '4 days', ends_at = now() - interval '2 days' WHERE budget_id = \(budget)"
                        ]
                    case 6: [ended("")]
                    case 7:
                        [
                            """
                            INSERT INTO reallocations
                                (organization_id, id, from_budget_id, to_budget_id, amount, period_start, period_end, reason, requested_by,
                                 requester_rank, requested_at, lapses_at, given_by, given_at, approved_by, approved_at, decision, decided_by,
                                 decided_at)
                            SELECT \(o), \(EventID(at: now)), \(budget), \(other), 1, \(now), \(now.adding(seconds: 60)), 'r', 'a', 1, \(now), \(now),
                                   'b', \(now), 'c', \(now), 'moved', 'c', \(now)
                            WHERE \(budget) <> \(other)
                            """
                        ]
                    case 8: ["UPDATE reallocations SET period_start = now() - interval '41 days', period_end = now() - interval '40 days'"]
                    default: ["UPDATE teams SET name = name || '!'"]
                    }
                if round % 10 == 9 { ids.append(try await world.budget("1000")) }
                try await world.sql([Fences.raiseConfiguration(o)] + changes)
                let next = try await read(world, since: known, on: connection)
                let fresh = try await read(world, since: nil, on: connection)
                #expect(facts(next.configuration, ids) == facts(fresh.configuration, ids), "round \(round), seed \(seed)")
                #expect(fresh.budgetsRead == ids.count)
                known = next.configuration
            }
            // Nothing is left that ends by itself, so a change of one is read as one.
            try await world.sql(["DELETE FROM bursts", "DELETE FROM reallocations", Fences.raiseConfiguration(o)])
            known = try await read(world, since: known, on: connection).configuration
            try await world.sql([Fences.raiseConfiguration(o), "UPDATE budgets SET name = 'One' WHERE id = \(ids[3])"])
            let last = try await read(world, since: known, on: connection)
            #expect(last.budgetsRead == 1 && last.configuration.budget(ids[3])?.name == "One")
            await connection.close()
        }
    }
}
