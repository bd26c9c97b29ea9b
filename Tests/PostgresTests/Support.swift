// What the tests of this target share: a connection to a fresh database.
import Postgres
import TestSupport

/// Runs `body` on a connection to a fresh database, on the connection's own thread.
func onConnection<T: Sendable>(
    _ change: (inout PostgresConfiguration) -> Void = { _ in },
    _ body: @Sendable (isolated PostgresConnection) async throws -> T
) async throws -> T {
    try await withDatabase { configuration in
        var configuration = configuration
        change(&configuration)
        let connection = try await PostgresConnection.connect(configuration, logger: testLogger)
        let result = try await run(body, on: connection)
        await connection.close()
        return result
    }
}

func run<T: Sendable>(
    _ body: @Sendable (isolated PostgresConnection) async throws -> T, on connection: isolated PostgresConnection
) async throws -> T {
    try await body(connection)
}

/// The `PostgresError` that `body` throws; nil when it throws none.
func failure(_ body: () async throws -> Void) async -> PostgresError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? PostgresError
    }
}

/// The same on the connection's own thread.
func failure(on connection: isolated PostgresConnection, _ body: (isolated PostgresConnection) throws -> Void) -> PostgresError? {
    do {
        try body(connection)
        return nil
    } catch {
        return error as? PostgresError
    }
}
