/// A private Postgres for people who have none: `serve --embedded`, the demo and the tests. It listens on a Unix socket only,
/// outlives a killed Bursar and is found again, and is stopped by the last process that uses it.
import CPostgres
import Foundation
import Glibc
public import Logging
public import ServiceLifecycle
import Synchronization

/// One use of the cluster in a data directory. Any number of processes may use the same one at a time.
public final class EmbeddedPostgres: Service {
    /// How to reach the server as its owner. Stays true across restarts of the server.
    public let configuration: PostgresConfiguration
    /// Where Postgres keeps its files: inside the data directory, or where a link there leads.
    public var directory: String { cluster.directory }
    /// The server's process; another one after a restart.
    public var serverPID: Int32 { server.withLock { $0.pid } }

    private let cluster: Cluster
    private let startLock: FileLock
    private let useLock: FileLock
    private let server: Mutex<ServerProcess>
    private let isStopped = Mutex(false)
    private let logger: Logger

    /// Finds the server running in `dataDirectory`, or starts it, making the cluster and the database `bursar` the first time.
    /// As root it runs as another user. `isDurable: false` is for tests only: nothing is forced to disk. Throws
    /// `EmbeddedPostgresError` with the way out, or the `PostgresError` of the first connection.
    public static func start(in dataDirectory: String, isDurable: Bool = true, logger: Logger) async throws -> EmbeddedPostgres {
        let postgres = try await onOwnThread {
            try EmbeddedPostgres(dataDirectory: dataDirectory, isDurable: isDurable, logger: logger)
        }
        do {
            try await postgres.createDatabase()
            return postgres
        } catch {
            await postgres.stop()
            throw error
        }
    }

    private init(dataDirectory: String, isDurable: Bool, logger: Logger) throws {
        let path = URL(fileURLWithPath: dataDirectory).standardizedFileURL.path
        try Cluster.makeDirectory(path)
        let startLock = try FileLock(path: path + "/start.lock")
        self.startLock = startLock
        useLock = try FileLock(path: path + "/use.lock")
        self.logger = logger
        try startLock.lock(.exclusive)
        defer { startLock.unlock() }
        try useLock.lock(.shared)
        cluster = try Cluster.open(dataDirectory: path, isDurable: isDurable)
        let (process, socketDirectory) = try cluster.runningServer()
        server = Mutex(process)
        configuration = PostgresConfiguration(host: .init(socketDirectory), user: Cluster.role, database: "bursar")
    }

    /// Starts the server again whenever it dies, until graceful shutdown or cancellation; then gives up the use of it. List it
    /// before everything that needs Postgres.
    public func run() async throws {
        try await cancelWhenGracefulShutdown { [self] in
            let wakeUp = try WakeUp()
            var failures = 0
            while await hasEnded(wakeUp) {
                logger.error("Postgres has ended; starting it again", metadata: ["pid": "\(serverPID)"])
                do {
                    try await onOwnThread { [self] in try restart() }
                    failures = 0
                    logger.notice("Postgres runs again", metadata: ["pid": "\(serverPID)"])
                } catch {
                    failures += 1
                    logger.critical("Postgres cannot be started again", metadata: ["reason": "\(error)"])
                    // A disk that is full or the like: no signal tells when it is not. At most 5 s apart.
                    do { try await Task.sleep(for: .milliseconds(100 << min(failures, 6))) } catch { break }
                }
            }
        }
        await stop()
    }

    /// Gives up the use of the server and, when no other process uses it, stops it. Does nothing the second time.
    public func stop() async {
        let wasStopped = isStopped.withLock { isStopped in
            defer { isStopped = true }
            return isStopped
        }
        if wasStopped { return }
        try? await onOwnThread { [self] in
            try startLock.lock(.exclusive)
            defer { startLock.unlock() }
            if useLock.tryExclusive() { cluster.stop(server.withLock { $0 }) }
            useLock.unlock()
        }
    }

    private func restart() throws {
        try startLock.lock(.exclusive)
        defer { startLock.unlock() }
        let (process, _) = try cluster.runningServer()
        server.withLock { $0 = process }
    }

    private func hasEnded(_ wakeUp: WakeUp) async -> Bool {
        let current = server.withLock { $0 }
        return await withTaskCancellationHandler {
            (try? await onOwnThread { current.waitForEnd(timeout: nil, wakeUp: wakeUp.readEnd) }) ?? false
        } onCancel: {
            wakeUp.signal()
        }
    }

    private func createDatabase() async throws {
        var maintenance = configuration
        maintenance.database = "postgres"
        let connection = try await PostgresConnection.connect(maintenance, logger: logger)
        do {
            if try await connection.query("SELECT 1::bigint FROM pg_database WHERE datname = 'bursar'").rows.isEmpty {
                try await connection.script("CREATE DATABASE bursar")
            }
            await connection.close()
        } catch {
            await connection.close()
            // Duplicate: another process was first.
            guard error.sqlState == "42P04" || error.sqlState == "23505" else { throw error }
        }
    }
}

/// A pipe that a blocked thread watches, because it cannot be cancelled otherwise.
private final class WakeUp: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32

    init() throws {
        var ends: [Int32] = [0, 0]
        guard unsafe pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { throw EmbeddedPostgresError("cannot make a pipe", code: errno) }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    func signal() {
        var byte: UInt8 = 1
        _ = unsafe write(writeEnd, &byte, 1)
    }
}

/// Runs blocking work on a thread of its own: the cooperative pool must not wait for files, locks and processes.
func onOwnThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let thread = Thread { continuation.resume(with: Result { try body() }) }
        thread.stackSize = 1 << 19
        thread.name = "embedded"
        thread.start()
    }
}
