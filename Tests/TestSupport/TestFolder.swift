/// The folder of this test process: all clusters of the run live in it, and none outlives the run.
import Foundation
import Glibc
import Postgres
import Synchronization

/// Runs `body` with a directory of its own below the run's folder, where a server's user may enter, too; empty unless it is to
/// hold a new `cluster`.
public func withFolder<Value>(
    cluster: Bool = false, isolation: isolated (any Actor)? = #isolation, _ body: (String) async throws -> Value
) async throws -> Value {
    let path = try TestFolder.shared.get().path + "/folder-\(folderNumber.wrappingAdd(1, ordering: .relaxed).newValue)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o711])
    let value = try await withTestLog {
        if cluster { try await copyCluster(to: path) }
        return try await body(path)
    }
    try FileManager.default.removeItem(atPath: path)
    return value
}

private let folderNumber = Atomic(0)

enum TestFolder {
    /// Made on first use.
    static let shared = Result { try TemporaryFolder(prefix: "bursar-tests", parent: parent) }

    /// In memory if there is room, because a new cluster is a thousand files; what tests kill are processes, not machines.
    private static var parent: String {
        var space = statvfs()
        let enough = 2 << 30
        return statvfs("/dev/shm", &space) == 0 && Int(space.f_bavail) * Int(space.f_frsize) > enough ? "/dev/shm" : "/tmp"
    }
}
