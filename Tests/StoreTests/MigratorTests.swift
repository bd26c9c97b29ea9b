/// The migrator against a real server: what is applied once, what is refused, and two replicas at once.
import Foundation
import Postgres
import Store
import TestSupport
import Testing

@Suite("Migrations")
struct MigratorTests {
    private static let one = Migration(version: 1, name: "0001_one", sql: "CREATE TABLE one (n bigint)")
    private static let two = Migration(version: 2, name: "0002_two", sql: "CREATE TABLE two (n bigint); CREATE TABLE three (n bigint)")

    @Test("the embedded migrations are the files of the folder")
    func embedded() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../Migrations").standardized
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(names == Migration.all.map { $0.name + ".sql" })
        for migration in Migration.all {
            #expect(try migration.sql == String(contentsOf: folder.appending(path: migration.name + ".sql"), encoding: .utf8))
            #expect(migration.name.hasPrefix(String(format: "%04d_", migration.version)))
        }
    }

    @Test("what is missing is applied in order, once")
    func once() async throws {
        try await withDatabase(migrated: false) { database in
            try await expect([Self.one], applied: [Self.one], to: database)
            try await expect([Self.one, Self.two], applied: [Self.two], to: database)
            try await expect([Self.one, Self.two], applied: [], to: database)
        }
    }

    @Test("a changed, a newer and a misnumbered migration are refused")
    func refusals() async throws {
        try await withDatabase(migrated: false) { database in
            _ = try await migrate(database, [Self.one, Self.two])
            let changed = Migration(version: 1, name: "0001_one", sql: Self.one.sql + " ")
            await #expect(throws: MigrationError.changed(name: "0001_one")) { try await migrate(database, [changed, Self.two]) }
            await #expect(throws: MigrationError.newer(database: 2, binary: 1)) { try await migrate(database, [Self.one]) }
            let four = Migration(version: 4, name: "0004_four", sql: "SELECT 1")
            await #expect(throws: MigrationError.misnumbered(expected: 3, found: "0004_four")) {
                try await migrate(database, [Self.one, Self.two, four])
            }
        }
    }

    @Test("a file that fails leaves nothing behind and can be applied when mended")
    func failure() async throws {
        try await withDatabase(migrated: false) { database in
            let broken = Migration(version: 2, name: "0002_two", sql: "CREATE TABLE two (n bigint); SELECT no_such_thing()")
            await #expect(throws: PostgresError.self) { try await migrate(database, [Self.one, broken]) }
            try await expect([Self.one, Self.two], applied: [Self.two], to: database)
        }
    }

    @Test("a file may ask to run outside a transaction")
    func noTransaction() async throws {
        try await withDatabase(migrated: false) { database in
            let index = Migration(version: 2, name: "0002_i", sql: "-- no transaction\nCREATE INDEX CONCURRENTLY i ON one (n)")
            try await expect([Self.one, index], applied: [Self.one, index], to: database)
        }
    }

    @Test("of eight replicas that start at once, one migrates")
    func replicas() async throws {
        try await withDatabase(migrated: false) { database in
            let applied = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 { group.addTask { try await Migrator(database, logger: testLogger).migrate().count } }
                return try await group.reduce(0, +)
            }
            #expect(applied == Migration.all.count)
        }
    }

    private func expect(_ migrations: [Migration], applied: [Migration], to database: PostgresConfiguration) async throws {
        let result = try await migrate(database, migrations)
        #expect(result == applied)
    }

    private func migrate(_ database: PostgresConfiguration, _ migrations: [Migration]) async throws -> [Migration] {
        try await Migrator(database, migrations: migrations, logger: testLogger).migrate()
    }
}
