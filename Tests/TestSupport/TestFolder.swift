/// The folder of this test process: all clusters of the run live in it, and none outlives the run.
import Foundation
import Glibc
import Synchronization

/// Runs `body` with a directory of its own below the run's folder, where a server's user may enter, too; empty unless it is to
/// hold a new `cluster`.
public func withFolder<Value>(
    cluster: Bool = false, isolation: isolated (any Actor)? = #isolation, _ body: (String) async throws -> Value
) async throws -> Value {
    let path = try TestFolder.shared.get().path + "/folder-\(folderNumber.wrappingAdd(1, ordering: .relaxed).newValue)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o711])
    if cluster { try await copyCluster(to: path) }
    let value = try await body(path)
    try FileManager.default.removeItem(atPath: path)
    return value
}

private let folderNumber = Atomic(0)

/// A folder that a shell, which watches us through a pipe, empties and removes when this process ends, however it ends.
final class TestFolder: Sendable {
    let path: String
    private let lifeline: FileHandle

    /// Made on first use; also removes what runs left behind whose watcher was killed, or which were kept to look at.
    static let shared = Result { try TestFolder() }

    private static let prefix = "bursar-tests-"

    /// In memory if there is room, because a new cluster is a thousand files; what tests kill are processes, not machines. Short,
    /// because Unix sockets live here.
    private static var parent: String {
        var space = statvfs()
        let enough = 2 << 30
        return statvfs("/dev/shm", &space) == 0 && Int(space.f_bavail) * Int(space.f_frsize) > enough ? "/dev/shm" : "/tmp"
    }

    private init() throws {
        let temporary = TestFolder.parent
        path = "\(temporary)/\(TestFolder.prefix)\(getpid())"
        let old = try FileManager.default.contentsOfDirectory(atPath: temporary).filter { name in
            guard name.hasPrefix(TestFolder.prefix), let pid = pid_t(name.dropFirst(TestFolder.prefix.count)) else { return false }
            return pid == getpid() || (kill(pid, 0) != 0 && errno == ESRCH)
        }
        let sweep = try TestFolder.shell("for folder in \"$@\"; do clean \"$folder\"; done", old.map { "\(temporary)/\($0)" }, input: nil)
        sweep.waitUntilExit()
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o711])
        let pipe = Pipe()
        lifeline = pipe.fileHandleForWriting
        let watch = "trap '' INT TERM HUP; cat; if [ -z \"${CI:-}\" ] && [ -e \"$1/kept\" ]; then exit 0; fi; clean \"$1\""
        _ = try TestFolder.shell(watch, [path], input: pipe)
    }

    /// Leaves the folder and its servers for a person to look at; the next run removes them. Not on a build machine (`CI` set).
    func keep() { _ = FileManager.default.createFile(atPath: path + "/kept", contents: nil) }

    private static func shell(_ script: String, _ arguments: [String], input: Pipe?) throws -> Process {
        let clean = """
            clean() {
                for file in "$1"/*/postgres/postmaster.pid; do
                    [ -e "$file" ] || continue
                    read -r pid < "$file"
                    kill -QUIT "$pid" 2>/dev/null || continue
                    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                        kill -0 "$pid" 2>/dev/null && sleep 0.1
                    done
                done
                rm -rf "$1"
            }
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", clean + "\n" + script, "sh"] + arguments
        process.standardInput = input ?? FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}
