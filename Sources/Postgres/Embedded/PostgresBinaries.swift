/// Where the server's programs are.
import Foundation

/// A directory that holds `postgres` and `initdb`.
struct PostgresBinaries: Sendable {
    let directory: String
    var postgres: String { directory + "/postgres" }
    var initdb: String { directory + "/initdb" }

    /// For an existing cluster Debian's directory of its major version; then `PATH`; then the newest of Debian's.
    static func find(clusterVersion: String?, environment: [String: String]) throws(EmbeddedPostgresError) -> PostgresBinaries {
        let debian = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: debian)) ?? [])
            .sorted { (Int($0) ?? 0, $0) > (Int($1) ?? 0, $1) }
        let candidates =
            [clusterVersion].compactMap(\.self).map { "\(debian)/\($0)/bin" }
            + (environment["PATH"] ?? "").split(separator: ":").map(String.init)
            + versions.map { "\(debian)/\($0)/bin" }
        for candidate in candidates where candidate.hasPrefix("/") {
            let found = PostgresBinaries(directory: candidate)
            if [found.postgres, found.initdb].allSatisfy(FileManager.default.isExecutableFile) { return found }
        }
        throw EmbeddedPostgresError(
            "--embedded needs the Postgres server's programs, and neither PATH nor \(debian) has them. "
                + "Install them (Debian and Ubuntu: apt-get install postgresql), or use --database-url.")
    }
}
