/// Brings a database to the schema that this binary knows. Plain SQL only, and a shipped file is never edited: the database
/// remembers the checksum of each, so an edit is refused instead of silently missing.
public import Logging
public import Postgres

/// Why a database cannot be brought to our schema; each is for a person to resolve.
public enum MigrationError: Error, Hashable, CustomStringConvertible {
    /// The files are not numbered 1, 2, 3…
    case misnumbered(expected: Int, found: String)
    /// A file was edited after it had been applied here.
    case changed(name: String)
    /// The database was migrated by a newer Bursar.
    case newer(database: Int, binary: Int)
    /// The walls between tenants need the service's role, and the owner of the database may not make one.
    case serviceRoleMissing(owner: String)

    public var description: String {
        switch self {
        case .misnumbered(let expected, let found):
            "migration \(found) should have number \(expected): migrations are numbered from 1 without gaps"
        case .changed(let name):
            "migration \(name) was changed after it had been applied to this database; restore it and add a new one instead"
        case .newer(let database, let binary):
            "the database has schema \(database), this Bursar knows \(binary); run a newer Bursar"
        case .serviceRoleMissing(let owner):
            "the Postgres role \(ServiceRole.name) is missing and \(owner) may not make it: CREATE ROLE \(ServiceRole.name) NOLOGIN as a superuser"
        }
    }
}

/// Applies what is missing. Any number of replicas may do so at once: one works, the others wait for it.
public struct Migrator: Sendable {
    private let configuration: PostgresConfiguration
    private let migrations: [Migration]
    private let logger: Logger

    /// Both sides of the comparison: the database, whose role must own the schema, and our files.
    public init(_ configuration: PostgresConfiguration, migrations: [Migration] = Migration.all, logger: Logger) {
        self.configuration = configuration
        self.migrations = migrations
        self.logger = logger
    }

    /// Applies the missing migrations in order, each in one Postgres transaction unless its file says otherwise, and returns
    /// them. Throws `MigrationError` before anything is changed, or the `PostgresError` of the file that failed.
    public func migrate() async throws -> [Migration] {
        for (index, migration) in migrations.enumerated() where migration.version != index + 1 {
            throw MigrationError.misnumbered(expected: index + 1, found: migration.name)
        }
        var session = configuration
        session.applicationName = "bursar migrate"
        session.statementTimeout = .zero
        session.idleInTransactionTimeout = .zero
        session = session.forEveryone  // the walls stand before their owner, too
        let connection = try await PostgresConnection.connect(session, logger: logger)
        let result: Result<[Migration], any Error>
        do { result = .success(try await migrate(connection)) } catch { result = .failure(error) }
        await connection.close()  // gives the advisory lock back, too
        return try result.get()
    }

    /// What `migrate` would apply; changes nothing, and needs only to read.
    public func pending() async throws -> [Migration] {
        let connection = try await PostgresConnection.connect(configuration, logger: logger)
        let result: Result<[Migration], any Error>
        do { result = .success(Array(try await missing(connection))) } catch { result = .failure(error) }
        await connection.close()
        return try result.get()
    }

    private func migrate(_ connection: PostgresConnection) async throws -> [Migration] {
        if try await missing(connection).isEmpty { return [] }
        while try await connection.query("SELECT pg_try_advisory_lock(\(Migrator.lock))").rows[0].decode(as: Bool.self) == false {
            // Asked again instead of waited for: a waiting statement has a snapshot, and CREATE INDEX CONCURRENTLY of the replica
            // that holds the lock would wait for that in turn.
            try await Task.sleep(for: .milliseconds(100))
        }
        let missing = try await missing(connection)
        if missing.contains(where: { $0.sql.contains(ServiceRole.name) }) { try await ServiceRole.requireToBeMakeable(on: connection) }
        for migration in missing {
            try await apply(migration, on: connection)
            logger.info("migrated", metadata: ["migration": "\(migration.name)"])
        }
        // Nobody who adds a table has to think of its wall. Older schemas, which tests make, have none to raise.
        try await connection.script("DO $$ BEGIN IF to_regproc('raise_walls') IS NOT NULL THEN PERFORM raise_walls(); END IF; END $$")
        return Array(missing)
    }

    /// What the database lacks. Throws when it has something that we do not.
    private func missing(_ connection: isolated PostgresConnection) throws -> ArraySlice<Migration> {
        let exists = try connection.query("SELECT to_regclass('schema_migrations') IS NOT NULL").rows[0].decode(as: Bool.self)
        guard exists else { return migrations[...] }
        let rows = try connection.query("SELECT version, checksum FROM schema_migrations ORDER BY version").rows
        for (index, row) in rows.enumerated() {
            let (version, checksum) = try row.decode(as: (Int, String).self)
            guard index < migrations.count else { throw MigrationError.newer(database: rows.count, binary: migrations.count) }
            guard version == index + 1, checksum == migrations[index].checksum else {
                throw MigrationError.changed(name: migrations[index].name)
            }
        }
        return migrations[rows.count...]
    }

    private func apply(_ migration: Migration, on connection: isolated PostgresConnection) throws {
        if migration.version == 1 { try connection.script(Migrator.table) }
        let record: Query = """
            INSERT INTO schema_migrations (version, name, checksum)
            VALUES (\(migration.version), \(migration.name), \(migration.checksum))
            """
        if migration.needsNoTransaction {
            try connection.script(migration.sql)
            try connection.query(record)
        } else {
            try connection.transaction { connection in
                try connection.query(record)
                try connection.script(migration.sql)
            }
        }
    }

    /// An arbitrary number that all Bursars agree on: "bursar" in ASCII.
    private static let lock: Int64 = 0x6275_7273_6172

    /// The one table without `organization_id`: it belongs to the machinery, and each shard has its own.
    private static let table = """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            version    bigint PRIMARY KEY,
            name       text NOT NULL,
            checksum   text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """
}
