/// Folders for clusters that must not outlive this process: of tests, of `bench`, of `demo`. An interrupted or killed process cannot
/// clean up after itself, so another one does.
import Foundation
import Glibc
import Synchronization

/// A folder that a shell, which watches us through a pipe, removes when this process ends, however it ends, after it has killed the
/// servers whose data directories are in it.
package final class TemporaryFolder: Sendable {
    package let path: String
    private let lifeline: FileHandle
    private let watcher: Process

    /// Makes a folder named after this process below `parent`, which should be short, because Unix sockets live here. Removes what
    /// earlier processes left behind whose watcher was killed, too, or which was kept.
    package init(prefix: String, parent: String) throws {
        let number = TemporaryFolder.count.wrappingAdd(1, ordering: .relaxed).newValue
        path = "\(parent)/\(prefix)-\(getpid())-\(number)"
        let old = try FileManager.default.contentsOfDirectory(atPath: parent).filter { name in
            guard name.hasPrefix(prefix + "-"),
                let pid = name.dropFirst(prefix.count + 1).split(separator: "-").first.flatMap({ pid_t($0) })
            else { return false }
            return kill(pid, 0) != 0 && errno == ESRCH
        }
        let sweep = "for folder in \"$@\"; do clean \"$folder\"; done"
        try TemporaryFolder.shell(sweep, old.map { "\(parent)/\($0)" }, input: nil).waitUntilExit()
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o711])
        let pipe = Pipe()
        lifeline = pipe.fileHandleForWriting
        let watch = "trap '' INT TERM HUP; cat; if [ -z \"${CI:-}\" ] && [ -e \"$1/kept\" ]; then exit 0; fi; clean \"$1\""
        watcher = try TemporaryFolder.shell(watch, [path], input: pipe)
    }

    /// Leaves the folder and its servers for a person to look at; the next run removes them. Not on a build machine (`CI` set).
    package func keep() { _ = FileManager.default.createFile(atPath: path + "/kept", contents: nil) }

    /// Removes it now and waits until it is gone; blocks the thread for moments. Does nothing the second time.
    package func remove() {
        try? lifeline.close()
        watcher.waitUntilExit()
    }

    private static let count = Atomic(0)

    private static func shell(_ script: String, _ arguments: [String], input: Pipe?) throws -> Process {
        let clean = """
            clean() {
                for file in "$1"/postgres/postmaster.pid "$1"/*/postgres/postmaster.pid; do
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
