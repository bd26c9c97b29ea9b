/// The server as a process: found again after we died, waited for without asking over and over, told to stop.
import CPostgres
import Foundation
import Glibc

/// A running postmaster, our child or somebody else's.
struct ServerProcess: Hashable, Sendable {
    let pid: pid_t

    /// Waits until the process has ended, `timeout` has passed or `wakeUp` is readable; blocks the thread. True when it has ended.
    func waitForEnd(timeout: Duration?, wakeUp: Int32 = -1) -> Bool {
        let descriptor = bursar_open_process(pid)
        guard descriptor >= 0 || errno != ESRCH else { return true }
        defer { if descriptor >= 0 { close(descriptor) } }
        let start = ContinuousClock.now
        while true {
            let left = timeout.map { max(0, Int32(($0 - (ContinuousClock.now - start)) / .milliseconds(1))) }
            var watched = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0),
            ]
            // Kernels without pidfd_open (before 5.3, some sandboxes) leave nothing but asking twice a second.
            let wait = descriptor >= 0 ? left ?? -1 : min(left ?? 500, 500)
            let ready = unsafe poll(&watched, 2, wait)
            if ready < 0, errno == EINTR { continue }
            if watched[0].revents != 0 || (descriptor < 0 && kill(pid, 0) != 0 && errno == ESRCH) {
                reap()
                return true
            }
            if watched[1].revents != 0 || left.map({ $0 <= wait }) ?? false { return false }
        }
    }

    /// Tells the server something; false when it is gone.
    @discardableResult func send(_ signal: Int32) -> Bool { kill(pid, signal) == 0 }

    /// Takes a dead child's exit status, so that its number is free again; nothing for the child of another.
    private func reap() {
        var status: Int32 = 0
        _ = unsafe waitpid(pid, &status, WNOHANG)
    }

    /// Whether the process is alive and is the server of this cluster. Its command line says so to every user; one that was started
    /// under another path is told by its working directory, and taken for the server when that cannot be read.
    func serves(clusterName: String, directory: String) -> Bool {
        guard let commandLine = ServerProcess.commandLine(pid), ServerProcess.isPostgres(commandLine) else { return false }
        if commandLine.contains(clusterName) { return true }
        guard let working = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd") else { return true }
        return working == directory
    }

    /// Every process of the server whose `cluster_name` this is: each shows it in its title.
    static func all(clusterName: String) -> [ServerProcess] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { pid in
            commandLine(pid).map { isPostgres($0) && $0.contains(clusterName) } ?? false
        }.map(ServerProcess.init)
    }

    private static func isPostgres(_ commandLine: String) -> Bool {
        let program = commandLine.prefix { $0 != "\0" && $0 != ":" }
        return program == "postgres" || program.hasSuffix("/postgres")
    }

    private static func commandLine(_ pid: pid_t) -> String? {
        FileManager.default.contents(atPath: "/proc/\(pid)/cmdline").map { String(decoding: $0, as: UTF8.self) }
    }
}

/// `postmaster.pid`: what a starting server writes about itself (manual §73.1, `miscadmin.h`).
struct LockFile {
    let pid: pid_t
    let socketDirectory: String
    let isReady: Bool

    init?(directory: String) {
        guard let data = FileManager.default.contents(atPath: directory + "/postmaster.pid") else { return nil }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard let pid = lines.first.flatMap({ pid_t($0) }), pid > 0 else { return nil }
        self.pid = pid
        socketDirectory = lines.count > 4 ? String(lines[4]) : ""
        isReady = lines.count > 7 && lines[7].hasPrefix("ready")
    }
}
