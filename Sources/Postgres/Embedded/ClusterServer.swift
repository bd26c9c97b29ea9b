/// Starting and stopping the server of a private cluster, whatever state the last one was left in.
import Foundation
import Glibc

extension Cluster {
    /// How long a start may take: crash recovery reads at most `max_wal_size`.
    private static let startDeadline = Duration.seconds(120)
    /// How long the last server's orphaned processes get to notice its death.
    private static let orphanDeadline = Duration.seconds(2)
    /// The server's log starts anew beyond this; the one before it is kept.
    private static let longestLog = 1 << 20

    /// The server that runs on these files, ready for connections; starts one if there is none.
    func runningServer() throws(EmbeddedPostgresError) -> (ServerProcess, socketDirectory: String) {
        if let lock = LockFile(directory: directory) {
            let server = ServerProcess(pid: lock.pid)
            if server.serves(clusterName: name, directory: directory) { return try awaitReady(server, isChild: false) }
            // The number belongs to nobody, to another program or to a zombie: Postgres alone could not tell, and would refuse.
            unsafe unlink(directory + "/postmaster.pid")
        }
        try endOrphans()
        return try awaitReady(launch(), isChild: true)
    }

    /// Ends the server: sessions are cut off, everything is written; after the deadline it is left to crash recovery.
    func stop(_ server: ServerProcess) {
        for (signal, patience) in [(SIGINT, Duration.seconds(30)), (SIGQUIT, .seconds(5)), (SIGKILL, .seconds(5))] {
            if !server.send(signal) || server.waitForEnd(timeout: patience) { return }
        }
    }

    private func launch() throws(EmbeddedPostgresError) -> ServerProcess {
        var status = stat()
        if unsafe stat(log, &status) == 0, status.st_size > Cluster.longestLog { unsafe rename(log, log + ".1") }
        let output = unsafe Glibc.open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw EmbeddedPostgresError("cannot write \(log)", code: errno) }
        defer { close(output) }
        var settings = self.settings
        settings["unix_socket_directories"] = try socketDirectory()
        let options = settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
        let command = try user.command([binaries.postgres, "-D", directory] + options)
        return ServerProcess(pid: try ChildProcess.spawn(command, environment: Cluster.environment, output: output))
    }

    private func awaitReady(
        _ server: ServerProcess, isChild: Bool
    ) throws(EmbeddedPostgresError) -> (ServerProcess, socketDirectory: String) {
        let start = ContinuousClock.now
        while ContinuousClock.now - start < Cluster.startDeadline {
            if let lock = LockFile(directory: directory), lock.pid == server.pid, lock.isReady { return (server, lock.socketDirectory) }
            // Asked over and over because the file is the only sign of readiness that every build of Postgres gives.
            if server.waitForEnd(timeout: .milliseconds(5)) {
                if !isChild { return try runningServer() }
                throw EmbeddedPostgresError("Postgres did not start; the end of \(log):\n\(endOfLog)")
            }
        }
        throw EmbeddedPostgresError("Postgres is not ready after \(Cluster.startDeadline); see \(log)")
    }

    /// A postmaster that was killed leaves processes behind, which keep a new one from starting until they notice. Those that do
    /// not are killed: none of their work can be committed any more.
    private func endOrphans() throws(EmbeddedPostgresError) {
        let start = ContinuousClock.now
        for orphan in ServerProcess.all(clusterName: name) {
            if orphan.waitForEnd(timeout: max(.zero, Cluster.orphanDeadline - (ContinuousClock.now - start))) { continue }
            orphan.send(SIGKILL)
            guard orphan.waitForEnd(timeout: .seconds(5)) else {
                throw EmbeddedPostgresError("process \(orphan.pid) of an earlier Postgres in \(directory) cannot be ended")
            }
        }
    }

    private var endOfLog: String {
        let lines = (try? String(contentsOfFile: log, encoding: .utf8))?.split(separator: "\n") ?? []
        return lines.suffix(8).joined(separator: "\n")
    }

    /// For a small machine that Postgres shares with us. Statements are not logged: they would carry what people spend.
    private var settings: [String: String] {
        var all = [
            "cluster_name": name, "listen_addresses": "", "unix_socket_permissions": "0700", "port": "5432",
            "max_connections": isDurable ? "100" : "300", "shared_buffers": isDurable ? "128MB" : "64MB", "huge_pages": "off",
            "synchronous_commit": "on",
            "wal_sync_method": "open_datasync",  // one call instead of write and sync: measured 130 against 190 µs a commit
            "fsync": "on", "full_page_writes": "on", "wal_level": "replica", "max_wal_size": "1GB",
            "min_wal_size": "256MB",  // segments kept to be written again: a new one stalls every commit for some 50 ms
            "checkpoint_timeout": "15min", "autovacuum_naptime": "15s", "jit": "off", "random_page_cost": "1.1",
            "timezone": "UTC", "log_timezone": "UTC", "log_line_prefix": "%m [%p] ", "log_min_messages": "log",
            "log_min_error_statement": "panic", "log_checkpoints": "off",
        ]
        if !isDurable { all.merge(["fsync": "off", "full_page_writes": "off", "autovacuum": "off"]) { _, new in new } }
        return all
    }
}
