/// A server of one test's own, to be killed, stopped and started.
import Foundation
import Glibc
public import Postgres
import Store
import Synchronization

/// The server of one test. Durable, unlike the shared one: what it has acknowledged survives `kill`.
public final class IsolatedPostgres: Sendable {
    /// How to reach its database; stays true across kills and starts.
    public let configuration: PostgresConfiguration
    private let dataDirectory: String
    private let uses: Mutex<[EmbeddedPostgres]>

    fileprivate init(dataDirectory: String, use: EmbeddedPostgres) {
        self.dataDirectory = dataDirectory
        configuration = use.configuration
        uses = Mutex([use])
    }

    /// The server's process.
    public var pid: Int32 { uses.withLock { $0.last?.serverPID ?? 0 } }

    /// `kill -9` of the server; returns when it is dead.
    public func kill() { end(SIGKILL) }

    /// An orderly, fast shutdown; returns when it is done.
    public func stop() { end(SIGINT) }

    /// Starts the server again, recovery included; returns when it accepts connections.
    public func start() async throws {
        let use = try await EmbeddedPostgres.start(in: dataDirectory, logger: testLogger)
        uses.withLock { $0.append(use) }
    }

    private func end(_ signal: Int32) {
        let pid = pid
        Glibc.kill(pid, signal)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    fileprivate func close() async {
        for use in uses.withLock({ $0 }) { await use.stop() }
        try? FileManager.default.removeItem(atPath: dataDirectory)
    }
}

/// Runs `body` with a server of its own, which has our schema unless `migrated` is false, and removes it afterwards.
public func isolatedPostgres<Value>(
    migrated: Bool = true, isolation: isolated (any Actor)? = #isolation, _ body: (IsolatedPostgres) async throws -> Value
) async throws -> Value {
    try await withTestLog { try await ownPostgres(migrated: migrated, body) }
}

private func ownPostgres<Value>(
    migrated: Bool, isolation: isolated (any Actor)? = #isolation, _ body: (IsolatedPostgres) async throws -> Value
) async throws -> Value {
    let dataDirectory = try TestFolder.shared.get().path + "/isolated-\(serverNumber.wrappingAdd(1, ordering: .relaxed).newValue)"
    try await copyCluster(to: dataDirectory)
    let use = try await EmbeddedPostgres.start(in: dataDirectory, logger: testLogger)
    let server = IsolatedPostgres(dataDirectory: dataDirectory, use: use)
    do {
        if migrated { try await migrate(server.configuration) }
        let value = try await body(server)
        await server.close()
        return value
    } catch {
        await server.close()
        throw error
    }
}

private let serverNumber = Atomic(0)

/// Puts a new cluster into a data directory. `initdb` costs a second of both cores, a copy of its result does not.
public func copyCluster(to dataDirectory: String) async throws {
    let pristine = try await PristineCluster.shared.path()
    try FileManager.default.createDirectory(
        atPath: dataDirectory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
    let copy = try Process.run(URL(fileURLWithPath: "/bin/cp"), arguments: ["-a", pristine, dataDirectory + "/postgres"])
    copy.waitUntilExit()
}

/// A cluster that has never been used, made by the first test that asks.
private actor PristineCluster {
    static let shared = PristineCluster()
    private var making: Task<String, any Error>?

    func path() async throws -> String {
        // A task, because those who ask meanwhile must wait for the same one.
        let task =
            making
            ?? Task {
                let folder = try TestFolder.shared.get().path + "/pristine"
                let cluster = try await EmbeddedPostgres.start(in: folder, isDurable: false, logger: testLogger)
                await cluster.stop()
                return cluster.directory
            }
        making = task
        return try await task.value
    }
}
