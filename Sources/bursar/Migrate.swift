/// `bursar migrate`: brings the database to the schema this binary knows, as the owner of the tables. The server's role has no right to.
import ArgumentParser
import Store

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the database to this version's schema.",
        discussion: """
            Applies the migrations that are missing, each in one Postgres transaction, under an advisory lock: several may run at \
            once. A migration that was changed after it had been applied is refused, and so is a schema newer than this bursar. Run it \
            as the owner of the tables; it makes the role bursar_service, of which the server's own role is to be a member.
            """)

    @OptionGroup(title: "Database") var database: DatabaseOptions

    func run() async throws {
        let logger = commandLogger()
        let applied = try await database.withDatabase(logger: logger) { try await Migrator($0, logger: logger).migrate() }
        for migration in applied { Terminal.say("applied \(migration.name)") }
        Terminal.say("the schema is at version \(Migration.all.count)")
    }
}
