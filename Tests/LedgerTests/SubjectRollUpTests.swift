/// End users and tags are rolled up as far as they are kept apart, and never cost more or less than their calls.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite("Roll-ups of end users and tags")
struct SubjectRollUpTests {
    private func book(_ world: World, _ number: Int, user: String?, tags: String?) -> Command {
        let now = Instant.now()
        return .book(
            Book(
                id: ReservationID(at: now), request: RequestID(project: world.project, text: "s\(number)"),
                content: Array(repeating: 0, count: 32),
                call: Call(
                    project: world.project, apiKey: world.apiKey, model: World.model, endUser: user,
                    tags: tags.map { Tags(pairs: [], text: $0) }),
                report: Report(usage: Usage([("input", Int64(number + 1))])!), occurredAt: now, at: now))
    }

    @Test("only so many values of a day are kept apart; in small steps and in one the same is known")
    func bounded() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let pool = PostgresPool(database, size: 2, logger: testLogger)
            try await world.withLedger { ledger in
                for number in 0..<12 {
                    let tags = number % 3 == 0 ? nil : #"{"customer":"c\#(number % 2)","run":"\#(number)"}"#
                    let outcome = await ledger.submit(
                        book(world, number, user: number % 4 == 3 ? nil : "u\(number % 4)", tags: tags), for: world.organization)
                    #expect(outcome.word == "settled")
                }
            }
            let store = Store(pool: pool)
            let day = PeriodRule(.day).span(containing: .now(), in: .utc)
            let span = StatementSpan(start: day.start.adding(seconds: -86_400), end: try #require(day.end))
            // From the ledger alone, then rolled up.
            let before = try await store.topSubjects(of: world.organization, .endUser, in: span, limit: 10)
            #expect(before.rows.map(\.value) == ["u2", "u1", "u0"] && before.whole.requests == 12 && before.all.requests == 9)
            _ = try await pool.withConnection { connection in
                try connection.query(RollUps.adopt)
                while try RollUps.step(world.organization, on: connection) {}
                while try SubjectRollUps.step(world.organization, maximumEntries: 1, maximumValues: 2, on: connection) {}
            }
            let users = try await store.topSubjects(of: world.organization, .endUser, in: span, limit: 10)
            #expect(users.rows.map(\.value) == ["u1", "u0"], "those that came first")
            for row in users.rows { #expect(before.rows.first { $0.value == row.value }?.cost == row.cost) }
            #expect(users.whole == before.whole)
            let tags = try await pool.withConnection { connection in
                try connection.query("SELECT count(*) FROM subject_rollups WHERE dimension <> 'end_user'").rows[0].decode(as: Int64.self)
            }
            #expect(tags == 2)
            await pool.shutdown()
        }
    }
}
