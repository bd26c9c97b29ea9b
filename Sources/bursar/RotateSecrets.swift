/// `bursar rotate-secrets`: everything that an old secret key sealed is sealed with the new one.
import ArgumentParser
import Foundation
import Postgres
import Store

struct RotateSecrets: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Seal all secrets anew with the first key of the secret key file.",
        discussion: """
            The file has a key a line: the first one seals, all of them open. To change the key while replicas are at work: append the \
            new key as the last line and restart them, so that each can open what others will seal; move it to the first line and \
            restart them; run this; remove the old line. Broken off half-way nothing is lost: run it again. The exit status is 2 when \
            something is sealed with a key that the file does not have.
            """)

    @Option(help: ArgumentHelp("The file with the new key first, then the old ones. (default: that of --embedded)", valueName: "file"))
    var secretKeyFile: String?

    @OptionGroup(title: "Database") var database: DatabaseOptions

    func run() async throws {
        let logger = commandLogger()
        let keys = try SecretKey.read(secretKeyFile ?? (database.dataDirectory ?? ".bursar") + "/secret-key")
        let sealer = try Sealer(masterKey: keys[0], oldKeys: Array(keys.dropFirst()))
        let outcome = try await database.withDatabase(logger: logger) { configuration in
            let pool = PostgresPool(configuration, size: 1, logger: logger)
            let result: Result<Store.SealedAnew, any Error>
            do { result = .success(try await Store(pool: pool).sealAnew(with: sealer)) } catch { result = .failure(error) }
            await pool.shutdown()
            return try result.get()
        }
        Terminal.say("sealed anew: \(outcome.sealedAnew)")
        guard outcome.unopened > 0 else { return }
        Terminal.note("\(outcome.unopened) values are sealed with a key that is not in the file; they were left as they are.")
        throw ExitCode(2)
    }
}
