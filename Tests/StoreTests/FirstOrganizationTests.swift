/// From an empty database to the first organization.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@Suite("The first organization")
struct FirstOrganizationTests {
    @Test("of eight bootstraps at once, one makes it and the others find it")
    func once() async throws {
        try await withDatabase { database in
            let outcomes = try await withThrowingTaskGroup(of: FirstOrganization.Outcome.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let connection = try await PostgresConnection.connect(database, logger: testLogger)
                        let organization = FirstOrganization(name: "Acme", timeZone: "Europe/Berlin", at: .now())
                        let outcome = try await organization.create(on: connection)
                        await connection.close()
                        return outcome
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.filter { $0 == .created }.count == 1)
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            #expect(try await FirstOrganization.count(on: connection) == 1)
            let keys = try await connection.query("SELECT role, organization_id FROM api_keys ORDER BY role").rows.map {
                try $0.decode(as: (String, OrganizationID).self)
            }
            #expect(keys.map(\.0) == ["operator", "owner"])
            #expect(keys.first?.1 == .platform)
            await connection.close()
        }
    }
}
