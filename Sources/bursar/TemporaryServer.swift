/// A whole Bursar in this process on a Postgres of its own that disappears afterwards: what `bench` and `demo` load.
import Foundation
import Logging
import Postgres
import Server
import ServiceLifecycle
import Store

/// A server that listens on loopback while the body of `withTemporaryServer` runs.
struct TemporaryServer: Sendable {
    let host = "127.0.0.1"
    let port: Int
    /// As its owner.
    let database: PostgresConfiguration
}

/// Starts Postgres in a temporary folder and the server on a free port, and removes all of it afterwards. Postgres is as durable as in
/// production: what `bench` measures includes the wait for the disk.
func withTemporaryServer<T: Sendable>(
    _ body: @escaping @Sendable (TemporaryServer) async throws -> T
) async throws -> T {
    let folder = try TemporaryFolder(prefix: "bursar-temporary", parent: "/tmp")
    let postgres = try await EmbeddedPostgres.start(in: folder.path, logger: quiet)
    let result: Result<T, any Error>
    do {
        try await prepare(postgres.configuration, logger: quiet)
        result = .success(try await withServer(postgres.configuration, body))
    } catch {
        result = .failure(error)
    }
    await postgres.stop()
    folder.remove()
    return try result.get()
}

private func withServer<T: Sendable>(
    _ database: PostgresConfiguration, _ body: @escaping @Sendable (TemporaryServer) async throws -> T
) async throws -> T {
    let (ports, listening) = AsyncStream.makeStream(of: Int.self)
    var settings = ServerSettings(database: database.asService, secretKey: (0..<32).map { _ in UInt8.random(in: 0...255) })
    settings.port = 0
    settings.hasBareRoute = true
    settings.allowTargets = ["127.0.0.0/8"]
    let group = try buildServer(settings, logger: quiet) { listening.yield($0) }
    return try await withThrowingTaskGroup(of: T?.self) { tasks in
        tasks.addTask {
            defer { listening.finish() }
            try await group.run()
            return nil
        }
        tasks.addTask {
            var iterator = ports.makeAsyncIterator()
            guard let port = await iterator.next() else { throw ServerNotStarted() }
            let result: Result<T, any Error>
            do { result = .success(try await body(TemporaryServer(port: port, database: database))) } catch { result = .failure(error) }
            await group.triggerGracefulShutdown()
            return try result.get()
        }
        var result: T?
        while let value = try await tasks.next() { result = value ?? result }
        guard let result else { throw ServerNotStarted() }
        return result
    }
}

private struct ServerNotStarted: Error, CustomStringConvertible {
    let description = "the server ended before it listened"
}
