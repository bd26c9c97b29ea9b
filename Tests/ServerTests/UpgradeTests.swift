/// From before the walls to behind them: a database with data, whose owner is nobody special, is migrated and served.
import Budgets
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite struct UpgradeTests {
    /// The last schema without walls.
    private static let before = 17

    @Test("a database of before the walls, of an owner who is no superuser, is served after the migration with all that was in it")
    func upgrade() async throws {
        try await withDatabase(migrated: false) { database in
            let owner = try await Self.hand(database, to: "owner_\(database.database)")
            _ = try await Migrator(owner, migrations: Array(Migration.all.prefix(Self.before)), logger: testLogger).migrate()
            let key = APIKeySecret.ofTest()
            try await Self.fill(owner, key: key)
            #expect(try await Migrator(owner, logger: testLogger).migrate().count == Migration.all.count - Self.before)
            try await withServer(on: owner) { served in
                let old = served.caller(key.text)
                #expect(try await old.get("/v1/teams").body["data"]?[0]?["name"] == "Before")
                let world = try await World.make(
                    Served(
                        port: served.port, database: served.database, operatorKey: served.operatorKey, owner: old, log: served.log))
                let reservation = try await world.reserve("r")
                #expect(try await world.caller.post("/v1/reservations/\(reservation.id)/settle", ["usage": ["input": 5]]).status == 200)
                #expect(try await old.get("/v1/audit-events").body["data"]?.array?.contains { $0["action"] == "team.created" } == true)
            }
            // What needs no request: months, and the check, which finds nothing wrong and sees the entry.
            let service = try await PostgresConnection.connect(owner.asService.forEveryone, logger: testLogger)
            #expect(try await service.query("SELECT add_ledger_month('2031-01-01')").rows[0].decode(as: Bool.self))
            let report = try await Check.run(on: service)
            let organizations = Wall.ofThisRun == .both ? 3 : 4
            #expect(report.violations == 0 && report.organizations == organizations, "\(report.findings.filter { $0.count > 0 })")
            #expect(report.figures.lastCommitAge != nil)
            await service.close()
            try await Self.takeBack(database, from: owner.user)
        }
    }

    /// Makes a role that owns the database and may do nothing else.
    private static func hand(_ database: PostgresConfiguration, to role: String) async throws -> PostgresConfiguration {
        let superuser = try await PostgresConnection.connect(database, logger: testLogger)
        try await superuser.script("CREATE ROLE \(role) LOGIN; ALTER DATABASE \(database.database) OWNER TO \(role)")
        await superuser.close()
        var owner = database
        owner.user = role
        return owner
    }

    private static func takeBack(_ database: PostgresConfiguration, from role: String) async throws {
        let superuser = try await PostgresConnection.connect(database, logger: testLogger)
        try await superuser.script("REASSIGN OWNED BY \(role) TO bursar; DROP OWNED BY \(role); DROP ROLE \(role)")
        await superuser.close()
    }

    /// What an older Bursar left: an organization with a team, and its owner's key.
    private static func fill(_ database: PostgresConfiguration, key: APIKeySecret) async throws {
        let pool = PostgresPool(database, size: 1, logger: testLogger)
        let store = Store(pool: pool)
        let organization = OrganizationID(at: .now())
        let owner = NewAPIKey(id: APIKeyID(at: .now()), name: "owner", holder: .role(.owner), secret: key)
        _ = try await store.createOrganization(organization, name: "Old", timeZone: "UTC", ownerKey: owner)
        _ = try await store.createTeam(TeamID(at: .now()), of: organization, name: "Before", costCenter: nil)
        await pool.shutdown()
    }
}
