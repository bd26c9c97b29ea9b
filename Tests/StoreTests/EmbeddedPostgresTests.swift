/// The private server on its bad days: killed, orphaned, half made, far down a long path, used by two at once.
import Foundation
import Glibc
import Logging
import Postgres
import ServiceLifecycle
import TestSupport
import Testing

@Suite("Embedded Postgres")
struct EmbeddedPostgresTests {
    @Test("it listens on its socket only, checks pages and forces commits to disk")
    func settings() async throws {
        try await withServer { server in
            let connection = try await connect(server)
            for (name, value) in [
                ("listen_addresses", ""), ("data_checksums", "on"), ("fsync", "on"), ("synchronous_commit", "on"),
                ("full_page_writes", "on"), ("server_encoding", "UTF8"),
            ] {
                let shown = try await connection.query("SELECT current_setting(\(name))").rows[0].decode(as: String.self)
                #expect(shown == value, "\(name)")
            }
            await connection.close()
            var status = stat()
            #expect(stat(server.directory, &status) == 0 && status.st_mode & 0o777 == 0o700)
            #expect(geteuid() != 0 || status.st_uid != 0)
        }
    }

    @Test("what was written is there after a stop, and the server is gone meanwhile")
    func stopAndStart() async throws {
        try await withFolder(cluster: true) { folder in
            let first = try await EmbeddedPostgres.start(in: folder, logger: testLogger)
            try await write(first)
            await first.stop()
            #expect(kill(first.serverPID, 0) != 0)
            let second = try await EmbeddedPostgres.start(in: folder, logger: testLogger)
            #expect(try await count(second) == 1)
            await second.stop()
        }
    }

    @Test("two uses share one server, and the last one stops it")
    func sharing() async throws {
        try await withFolder(cluster: true) { folder in
            let (first, second) = try await (
                EmbeddedPostgres.start(in: folder, logger: testLogger), EmbeddedPostgres.start(in: folder, logger: testLogger)
            )
            #expect(first.serverPID == second.serverPID)
            await first.stop()
            try await write(second)
            await second.stop()
            #expect(kill(second.serverPID, 0) != 0)
        }
    }

    @Test("a server that was killed is started again by its supervisor, with all that was acknowledged")
    func supervision() async throws {
        try await withFolder(cluster: true) { folder in
            let (messages, continuation) = AsyncStream.makeStream(of: String.self)
            let logger = Logger(label: "test") { _ in MessageStream(continuation: continuation) }
            let server = try await EmbeddedPostgres.start(in: folder, logger: logger)
            try await write(server)
            let dead = server.serverPID
            let group = ServiceGroup(services: [server], logger: testLogger)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                kill(dead, SIGKILL)
                for await message in messages where message == "Postgres runs again" { break }
                #expect(server.serverPID != dead)
                #expect(try await count(server) == 1)
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
            }
            #expect(kill(server.serverPID, 0) != 0)
        }
    }

    @Test("a server killed while nobody watched is recovered at the next start")
    func recovery() async throws {
        try await isolatedPostgres(migrated: false) { server in
            let connection = try await PostgresConnection.connect(server.configuration, logger: testLogger)
            try await connection.script("CREATE TABLE written (n bigint); INSERT INTO written VALUES (1)")
            server.kill()
            try await server.start()
            let again = try await PostgresConnection.connect(server.configuration, logger: testLogger)
            #expect(try await again.query("SELECT count(*) FROM written").rows[0].decode(as: Int.self) == 1)
            await again.close()
            await connection.close()
        }
    }

    @Test("a lock file whose number now belongs to another program, or to another Postgres, is no obstacle")
    func staleLockFile() async throws {
        try await isolatedPostgres(migrated: false) { other in
            for pid in [getpid(), other.pid] {
                try await withFolder(cluster: true) { folder in
                    let first = try await EmbeddedPostgres.start(in: folder, logger: testLogger)
                    try await write(first)
                    await first.stop()
                    try "\(pid)\n\(first.directory)\n0\n5432\n\(first.directory)\n\n0\nready\n".write(
                        toFile: first.directory + "/postmaster.pid", atomically: false, encoding: .utf8)
                    let second = try await EmbeddedPostgres.start(in: folder, logger: testLogger)
                    #expect(try await count(second) == 1)
                    await second.stop()
                }
            }
        }
    }

    @Test("a cluster that was only half made is made anew")
    func halfMade() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/postgres.unfinished/base", withIntermediateDirectories: true)
            let server = try await EmbeddedPostgres.start(in: folder, logger: testLogger)
            try await write(server)
            await server.stop()
        }
    }

    @Test("a path too long for a socket's address is no obstacle")
    func longPath() async throws {
        try await withFolder { folder in
            let deep = folder + "/" + String(repeating: "very-long-", count: 12)
            let server = try await EmbeddedPostgres.start(in: deep, logger: testLogger)
            #expect(server.directory.utf8.count > 107)
            try await write(server)
            await server.stop()
            try FileManager.default.removeItem(atPath: server.configuration.hosts[0].name)
        }
    }

    private func withServer(_ body: (EmbeddedPostgres) async throws -> Void) async throws {
        try await withFolder(cluster: true) { folder in
            let server = try await EmbeddedPostgres.start(in: folder, logger: testLogger)
            try await body(server)
            await server.stop()
        }
    }

    private func connect(_ server: EmbeddedPostgres) async throws -> PostgresConnection {
        try await PostgresConnection.connect(server.configuration, logger: testLogger)
    }

    private func write(_ server: EmbeddedPostgres) async throws {
        let connection = try await connect(server)
        try await connection.script("CREATE TABLE written (n bigint); INSERT INTO written VALUES (1)")
        await connection.close()
    }

    private func count(_ server: EmbeddedPostgres) async throws -> Int {
        let connection = try await connect(server)
        let count = try await connection.query("SELECT count(*) FROM written").rows[0].decode(as: Int.self)
        await connection.close()
        return count
    }
}

/// Hands on what is logged, so that a test can wait for it.
private struct MessageStream: LogHandler {
    let continuation: AsyncStream<String>.Continuation
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { continuation.yield(event.message.description) }
}
