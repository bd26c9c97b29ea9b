/// The files of a private cluster: made once, found again, moved out of the way where the server's user cannot reach them.
import Foundation
import Glibc

/// A cluster on disk and how its server is started. Its methods block; callers hold the data directory's start lock.
struct Cluster: Sendable {
    /// Postgres' own directory, without links.
    let directory: String
    let user: ServerUser
    let binaries: PostgresBinaries
    let isDurable: Bool

    /// A name that is in the title of each of the server's processes, and in no other's.
    var name: String { "bursar-" + Cluster.fingerprint(directory) }
    /// What the server has to say; kept beside the cluster.
    var log: String { (directory as NSString).deletingLastPathComponent + "/postgres.log" }

    static let role = "bursar"
    static let environment = ["PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"]
    /// Socket addresses hold 107 bytes (`sockaddr_un`).
    private static let longestSocketDirectory = 107 - "/.s.PGSQL.5432".utf8.count

    /// Finds the cluster of this data directory, or makes it. A half-made one is started over: it gets its name only when done.
    static func open(dataDirectory: String, isDurable: Bool) throws(EmbeddedPostgresError) -> Cluster {
        let path = dataDirectory + "/postgres"
        let version = try? String(contentsOfFile: path + "/PG_VERSION", encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        let binaries = try PostgresBinaries.find(clusterVersion: version, environment: ProcessInfo.processInfo.environment)
        let user = try ServerUser.choose(cluster: path)
        if version == nil { try create(at: path, user: user, binaries: binaries, isDurable: isDurable) }
        return Cluster(directory: try realPath(path), user: user, binaries: binaries, isDurable: isDurable)
    }

    /// Where clients find the server; a short directory elsewhere when the cluster's own path does not fit into an address.
    func socketDirectory() throws(EmbeddedPostgresError) -> String {
        if directory.utf8.count <= Cluster.longestSocketDirectory { return directory }
        let short = "/tmp/" + name
        try user.makePrivate(short)
        return short
    }

    private static func create(
        at path: String, user: ServerUser, binaries: PostgresBinaries, isDurable: Bool
    ) throws(EmbeddedPostgresError) {
        var home = (path as NSString).deletingLastPathComponent
        if try !user.canEnter(home) {
            // A data directory below root's own: the server's user gets one that it can reach, and a link leads there.
            home = "/var/lib/bursar/" + fingerprint(path)
            try makeDirectory(home)
        }
        let unfinished = home + "/postgres.unfinished"
        try? FileManager.default.removeItem(atPath: unfinished)
        try user.makePrivate(unfinished)
        let arguments = [
            binaries.initdb, "--pgdata=" + unfinished, "--username=" + role, "--auth=trust", "--encoding=UTF8", "--locale=C",
            "--data-checksums",
        ]
        let result = try ChildProcess.run(user.command(arguments + (isDurable ? [] : ["--no-sync"])), environment: environment)
        guard result.status == 0 else { throw EmbeddedPostgresError("initdb failed:\n\(result.output)") }
        let finished = home + "/postgres"
        guard unsafe rename(unfinished, finished) == 0 else { throw EmbeddedPostgresError("cannot make \(finished)", code: errno) }
        if finished != path, unsafe symlink(finished, path) != 0 { throw EmbeddedPostgresError("cannot make \(path)", code: errno) }
    }

    /// Makes the directory and those above it; others may pass through, because the server's user must.
    static func makeDirectory(_ path: String) throws(EmbeddedPostgresError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        } catch {
            throw EmbeddedPostgresError("cannot make the directory \(path)", code: errno)
        }
    }

    private static func realPath(_ path: String) throws(EmbeddedPostgresError) -> String {
        guard let resolved = unsafe realpath(path, nil) else { throw EmbeddedPostgresError("cannot find \(path)", code: errno) }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    /// FNV-1a, 64 bits: a short name for a path.
    private static func fingerprint(_ text: String) -> String {
        let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
