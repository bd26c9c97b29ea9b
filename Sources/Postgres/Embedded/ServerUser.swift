/// Whom the server runs as. Postgres refuses to be root, so root lends it another user.
import Foundation
import Glibc

/// The user of the server's process and files.
struct ServerUser: Sendable {
    let uid: uid_t
    let gid: gid_t

    /// Whoever runs us; for root the owner of the cluster if there is one, or else `postgres`, or else a new user `bursar`.
    static func choose(cluster: String) throws(EmbeddedPostgresError) -> ServerUser {
        guard geteuid() == 0 else { return ServerUser(uid: geteuid(), gid: getegid()) }
        if let owner = owner(of: cluster), owner.uid != 0 { return owner }
        if let user = named("postgres") ?? named("bursar") { return user }
        let program = "/usr/sbin/useradd"
        let result = try ChildProcess.run(
            [program, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "bursar"],
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
        guard result.status == 0, let user = named("bursar") else {
            throw EmbeddedPostgresError("root needs a user to run Postgres as, and \(program) could not make one: \(result.output)")
        }
        return user
    }

    /// The command that runs `arguments` as this user, in the same process.
    func command(_ arguments: [String]) throws(EmbeddedPostgresError) -> [String] {
        if uid == geteuid() { return arguments }
        guard let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].first(where: FileManager.default.isExecutableFile) else {
            throw EmbeddedPostgresError("root needs setpriv to run Postgres as another user; install util-linux")
        }
        return [setpriv, "--reuid=\(uid)", "--regid=\(gid)", "--clear-groups", "--inh-caps=-all", "--"] + arguments
    }

    /// Whether this user can pass through the directory.
    func canEnter(_ directory: String) throws(EmbeddedPostgresError) -> Bool {
        if uid == geteuid() { return true }
        return try ChildProcess.run(command(["/usr/bin/test", "-x", directory]), environment: [:]).status == 0
    }

    /// Makes a directory that nobody else may look into; an existing one must be of that kind already.
    func makePrivate(_ directory: String) throws(EmbeddedPostgresError) {
        if unsafe mkdir(directory, 0o700) == 0 {
            guard unsafe chown(directory, uid, gid) == 0 else { throw EmbeddedPostgresError("cannot hand over \(directory)", code: errno) }
            return
        }
        guard errno == EEXIST else { throw EmbeddedPostgresError("cannot make \(directory)", code: errno) }
        var status = stat()
        guard unsafe lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == uid, status.st_mode & 0o077 == 0
        else { throw EmbeddedPostgresError("\(directory) exists and is not private to the server's user; remove it") }
    }

    private static func owner(of path: String) -> ServerUser? {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? ServerUser(uid: status.st_uid, gid: status.st_gid) : nil
    }

    private static func named(_ name: String) -> ServerUser? {
        guard let entry = unsafe getpwnam(name) else { return nil }
        return unsafe ServerUser(uid: entry.pointee.pw_uid, gid: entry.pointee.pw_gid)
    }
}
