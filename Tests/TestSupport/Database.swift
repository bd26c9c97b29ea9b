/// A real database for each test that wants one: cloned from a migrated template in a cluster that the whole run shares.
import Foundation
public import Postgres
import Store
import Synchronization

/// Runs `body` with a fresh database, which has our schema unless `migrated` is false. It is dropped afterwards; when `body`
/// throws it is kept, and its coordinates are printed. The cluster does not survive a crash of the machine: tests that kill a
/// server use `isolatedPostgres`.
public func withDatabase<Value>(
    migrated: Bool = true, isolation: isolated (any Actor)? = #isolation, _ body: (PostgresConfiguration) async throws -> Value
) async throws -> Value {
    try await withTestLog { try await freshDatabase(migrated: migrated, body) }
}

private func freshDatabase<Value>(
    migrated: Bool, isolation: isolated (any Actor)? = #isolation, _ body: (PostgresConfiguration) async throws -> Value
) async throws -> Value {
    let cluster = try await SharedCluster.shared.cluster()
    let name = "test_\(databaseNumber.wrappingAdd(1, ordering: .relaxed).newValue)"
    try await administer(cluster.configuration, "CREATE DATABASE \(name) TEMPLATE \(migrated ? SharedCluster.template : "template1")")
    var configuration = cluster.configuration
    configuration.database = name
    // Asked for by nobody here, but known to all that connects.
    configuration.password = secret("the-password-of-the-database")
    configuration.connectTimeout = patience
    do {
        let value = try await body(configuration)
        try await administer(cluster.configuration, "DROP DATABASE \(name) WITH (FORCE)")
        return value
    } catch {
        try? TestFolder.shared.get().keep()
        print("kept for you until the next run: psql -h \(configuration.hosts[0].name) -U \(configuration.user) \(name)")
        throw error
    }
}

private let databaseNumber = Atomic(0)

/// Hundreds of tests at once on two cores keep even a healthy cluster waiting.
private let patience: Duration = .seconds(60)

/// Runs statements that need a connection to another database, such as CREATE DATABASE.
func administer(_ configuration: PostgresConfiguration, _ sql: String) async throws {
    var maintenance = configuration
    maintenance.database = "postgres"
    maintenance.statementTimeout = patience
    maintenance.connectTimeout = patience
    maintenance.lockTimeout = .zero
    let connection = try await PostgresConnection.connect(maintenance, logger: testLogger)
    do {
        try await connection.script(sql)
        await connection.close()
    } catch {
        await connection.close()
        throw error
    }
}

/// Makes our schema, and lets the service's role log in.
func migrate(_ configuration: PostgresConfiguration) async throws {
    _ = try await Migrator(configuration, logger: testLogger).migrate()
    let connection = try await PostgresConnection.connect(configuration, logger: testLogger)
    try await ServiceRole.allowLogin(on: connection)
    await connection.close()
}

/// The run's cluster, started by the first test that asks.
private actor SharedCluster {
    static let shared = SharedCluster()
    static let template = "bursar_template"
    private var starting: Task<EmbeddedPostgres, any Error>?

    func cluster() async throws -> EmbeddedPostgres {
        // A task, because those who ask while it starts must wait for the same start.
        let task = starting ?? Task { try await SharedCluster.start() }
        starting = task
        return try await task.value
    }

    private static func start() async throws -> EmbeddedPostgres {
        let folder = try TestFolder.shared.get()
        let cluster = try await EmbeddedPostgres.start(in: folder.path + "/shared", isDurable: false, logger: testLogger)
        try await administer(cluster.configuration, "CREATE DATABASE \(template)")
        var configuration = cluster.configuration
        configuration.database = template
        configuration.connectTimeout = patience
        try await migrate(configuration)
        return cluster
    }
}
