/// The second wall (law 8) by itself: what Postgres shows and takes under the service's role, and which roles may serve at all.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@Suite("Walls")
struct WallsTests {
    private static let mine = OrganizationID(high: 1, low: 1)
    private static let theirs = OrganizationID(high: 2, low: 2)

    /// Two organizations with a team each.
    private func withTenants(_ body: (_ owner: PostgresConnection, _ service: PostgresConnection) async throws -> Void) async throws {
        try await withDatabase { database in
            let owner = try await PostgresConnection.connect(database, logger: testLogger)
            for organization in [Self.mine, Self.theirs] {
                try await owner.query("INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(organization), 'N', 'UTC')")
                try await owner.query("INSERT INTO teams (organization_id, id, name) VALUES (\(organization), \(organization), 'N')")
            }
            let service = try await PostgresConnection.connect(database.asService, logger: testLogger)
            try await body(owner, service)
            await service.close()
            await owner.close()
        }
    }

    private func teams(_ connection: PostgresConnection) async throws -> [OrganizationID] {
        try await connection.query("SELECT organization_id FROM teams ORDER BY organization_id").rows.map {
            try $0.decode(as: OrganizationID.self)
        }
    }

    @Test("a transaction sees the rows of whom it states, one that states nobody sees none, and nothing is left to the next one")
    func seeing() async throws {
        try await withTenants { _, service in
            #expect(try await teams(service) == [])
            await service.state(.only([Self.mine]))
            #expect(try await teams(service) == [Self.mine])
            let inside = try await service.flight(["SELECT count(*) FROM teams", "SELECT count(*) FROM organizations"])
            #expect(try inside.map { try $0.rows[0].decode(as: Int64.self) } == [1, 1])
            try await service.query("BEGIN")
            try await service.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            #expect(try await teams(service) == [Self.mine])
            try await service.query("COMMIT")
            await service.state(.only([Self.mine, Self.theirs]))
            #expect(try await teams(service) == [Self.mine, Self.theirs])
            await service.state(.everyone)
            #expect(try await teams(service) == [Self.mine, Self.theirs])
            await service.state(nil)
            #expect(try await teams(service) == [])
            try await service.query("SELECT set_config('bursar.organizations', '{NULL}', false)")
            #expect(try await teams(service) == [])
            try await service.query("SELECT set_config('bursar.organizations', 'everyone', false)")
            await #expect(throws: PostgresError.self) { try await teams(service) }
        }
    }

    @Test("what is stated for a session holds until another is, also over a transaction that failed, and one that failed to state it")
    func lasting() async throws {
        try await withTenants { _, service in
            for organization in [Self.mine, Self.theirs] {
                await service.state(.only([organization]), isLasting: true)
                await #expect(throws: PostgresError.self) { try await service.flight(["SELECT count(*) FROM teams", "SELECT 1 / 0"]) }
                let seen = [try await teams(service), try await teams(service)]
                #expect(seen == [[organization], [organization]])
            }
        }
    }

    @Test("nothing can be written for others, moved to them, changed or removed there")
    func writing() async throws {
        try await withTenants { owner, service in
            await service.state(.only([Self.mine]))
            let refused = await #expect(throws: PostgresError.self) {
                try await service.query("INSERT INTO teams (organization_id, id, name) VALUES (\(Self.theirs), \(Self.mine), 'M')")
            }
            #expect(refused?.sqlState == "42501")
            let moved = await #expect(throws: PostgresError.self) {
                try await service.query("UPDATE teams SET organization_id = \(Self.theirs), name = 'M'")
            }
            #expect(moved?.sqlState == "42501")
            let changed = try await service.query("UPDATE teams SET name = 'M' WHERE organization_id = \(Self.theirs)")
            let removed = try await service.query("DELETE FROM teams WHERE organization_id = \(Self.theirs)")
            #expect(changed.affected == 0 && removed.affected == 0)
            let left = try await owner.query("SELECT name FROM teams WHERE name = 'N'")
            #expect(left.rows.count == 2)
        }
    }

    @Test("what has happened cannot be rewritten by the service, not even for everyone")
    func appendOnly() async throws {
        try await withTenants { _, service in
            await service.state(.everyone)
            for query in [
                "UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events", "DELETE FROM ledger_entries",
                "UPDATE ledger_entries SET cost = 0", "TRUNCATE teams CASCADE", "ALTER TABLE teams DISABLE ROW LEVEL SECURITY",
                "SET ROLE bursar",
            ] as [Query] {
                let refused = await #expect(throws: PostgresError.self) { try await service.query(query) }
                #expect(refused?.sqlState == "42501", "\(query.sql)")
            }
        }
    }

    @Test("what runs as the owner does not take a temporary table of the service's for one of ours")
    func temporaryTables() async throws {
        try await withTenants { owner, service in
            try await service.script("CREATE TEMPORARY TABLE ledger_entries_default (LIKE ledger_entries)")
            #expect(try await service.query("SELECT add_ledger_month('2031-01-01')").rows[0].decode(as: Bool.self))
            let parent = try await owner.query(
                "SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = 'ledger_entries_2031_01'::regclass")
            #expect(try parent.rows[0].decode(as: String.self) == "ledger_entries")
        }
    }

    @Test("a month that has left is the owner's alone, also after the next migration")
    func detachedMonth() async throws {
        try await withTenants { owner, _ in
            try await owner.script(
                """
                SELECT add_ledger_month('2020-01-01'); SELECT detach_ledger_month('2020-01-01'); SELECT raise_walls()
                """)
            let granted = try await owner.query(
                "SELECT has_table_privilege('bursar_service', 'ledger_entries_2020_01', 'SELECT, INSERT, UPDATE, DELETE')")
            #expect(try granted.rows[0].decode(as: Bool.self) == false)
        }
    }

    @Test("an owner who may not make roles is told who must, before anything is changed, and migrates when it is there")
    func plainOwner() async throws {
        try await isolatedPostgres(migrated: false) { postgres in
            let superuser = try await PostgresConnection.connect(postgres.configuration, logger: testLogger)
            try await superuser.query("CREATE ROLE plain LOGIN")
            try await superuser.query("CREATE DATABASE plain OWNER plain")
            var plain = postgres.configuration
            (plain.user, plain.database) = ("plain", "plain")
            let migrator = Migrator(plain, logger: testLogger)
            await #expect(throws: MigrationError.serviceRoleMissing(owner: "plain")) { try await migrator.migrate() }
            #expect(try await migrator.pending().count == Migration.all.count)
            try await superuser.query("CREATE ROLE bursar_service NOLOGIN")
            #expect(try await migrator.migrate().count == Migration.all.count)
            await superuser.close()
        }
    }

    @Test("a superuser, a role with BYPASSRLS, an owner and a role without rights are not fit to serve; the service's role is")
    func fitness() async throws {
        try await withDatabase { database in
            let owner = try await PostgresConnection.connect(database, logger: testLogger)
            let suffix = String(UInt64.random(in: 0 ... .max), radix: 36)
            let (bypassing, owning, member, stranger) = ("b\(suffix)", "o\(suffix)", "m\(suffix)", "s\(suffix)")
            try await owner.script(
                """
                CREATE ROLE \(bypassing) LOGIN BYPASSRLS IN ROLE bursar_service; CREATE ROLE \(owning) LOGIN IN ROLE bursar_service;
                CREATE ROLE \(member) LOGIN IN ROLE bursar_service; CREATE ROLE \(stranger) LOGIN;
                ALTER TABLE detached_months OWNER TO \(owning);
                """)
            func unfitness(_ user: String) async throws -> String {
                var configuration = database
                configuration.user = user
                let connection = try await PostgresConnection.connect(configuration, logger: testLogger)
                let found = try await ServiceRole.unfitness(on: connection)
                await connection.close()
                return found ?? "fit"
            }
            #expect(try await unfitness("bursar").contains("is a superuser"))
            #expect(try await unfitness(bypassing).contains("has BYPASSRLS"))
            #expect(try await unfitness(owning).contains("owns the tables"))
            #expect(try await unfitness(stranger).contains("has no rights"))
            #expect(try await unfitness(member) == "fit")
            #expect(try await unfitness(ServiceRole.name) == "fit")
            try await owner.script(
                """
                ALTER TABLE detached_months OWNER TO bursar;
                DROP ROLE \(bypassing); DROP ROLE \(owning); DROP ROLE \(member); DROP ROLE \(stranger)
                """)
            await owner.close()
        }
    }
}

extension PostgresConnection {
    fileprivate func state(_ tenants: Tenants?, isLasting: Bool = false) {
        isPreambleLasting = isLasting
        preamble = isLasting ? tenants?.lastingStatement : tenants?.statement
    }
}
