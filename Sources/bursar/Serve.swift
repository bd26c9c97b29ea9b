/// `bursar serve`: the server, and with --embedded the Postgres under it, from one command to one orderly end.
import ArgumentParser
import Foundation
import Logging
import Postgres
import Server
import Store

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the server.",
        discussion: """
            Listens until SIGTERM or SIGINT; then calls under way finish and it exits with 0. When it is ready it prints one line with \
            its URL and what to do next. A private Postgres is migrated first; yours by `bursar migrate`, as the owner of the tables. \
            This server's own role must be another one, with no way around the walls between tenants: a member of bursar_service, \
            which `bursar migrate` makes. It refuses to start as the owner, a superuser or with BYPASSRLS.
            """)

    @OptionGroup(title: "Server") var server: ServeOptions
    @OptionGroup(title: "Database") var database: DatabaseOptions

    @Flag(help: "Show every setting and where it came from, secrets masked, and do nothing else.")
    var printConfiguration = false

    func run() async throws {
        let flags = server.flags.merging(database.flags) { first, _ in first }
        let layers = try await ConfigurationLayers(
            flags: flags, environment: ProcessInfo.processInfo.environment, file: database.config)
        let found = try FoundSettings(layers)
        if printConfiguration { return Terminal.say(found.table) }

        let level = found.logLevel
        LoggingSystem.bootstrap { label in
            var log = JSONLog(label: label)
            log.logLevel = level
            return log
        }
        let logger = Logger(label: "bursar")
        switch found.database.place {
        case .external(let configuration):
            try await serve(found.settings(database: configuration, secretKeys: found.secretKeys ?? []), embedded: nil, logger: logger)
        case .embedded(let directory):
            Terminal.progress("Starting Postgres in \(directory) (the first time takes a few seconds)")
            let postgres = try await EmbeddedPostgres.start(in: directory, logger: logger)
            do {
                let keys = try found.secretKeys ?? SecretKey.makeOrRead(in: directory)
                try await prepare(postgres.configuration, logger: logger)
                let settings = found.settings(database: postgres.configuration.asService, secretKeys: keys)
                try await serve(settings, embedded: postgres, logger: logger)
                await postgres.stop()
            } catch {
                await postgres.stop()
                throw error
            }
        }
    }

    private func serve(_ settings: ServerSettings, embedded: EmbeddedPostgres?, logger: Logger) async throws {
        try await requireFitness(settings.database, logger)
        let isNew = try await isWithoutOrganizations(settings.database, logger)
        try await runServer(settings, underneath: embedded.map { [$0] } ?? [], logger: logger) { port in
            Terminal.say(readyLine(settings, port: port, isNew: isNew))
        }
    }

    /// The role must be one before which the walls stand, and the schema one that this bursar knows.
    private func requireFitness(_ database: PostgresConfiguration, _ logger: Logger) async throws {
        let connection = try await PostgresConnection.connect(database, logger: logger)
        let unfitness = try await ServiceRole.unfitness(on: connection)
        await connection.close()
        if let unfitness { throw CommandError(unfitness) }
        if try await !Migrator(database, logger: logger).pending().isEmpty {
            throw CommandError("the schema is older than this bursar: run `bursar migrate` as the owner of the tables")
        }
    }

    private func isWithoutOrganizations(_ database: PostgresConfiguration, _ logger: Logger) async throws -> Bool {
        let connection = try await PostgresConnection.connect(database.forEveryone, logger: logger)
        let count = try await FirstOrganization.count(on: connection)
        await connection.close()
        return count == 0
    }

    /// The one line of standard output: where it is, and the command that comes next.
    private func readyLine(_ settings: ServerSettings, port: Int, isNew: Bool) -> String {
        let host = settings.host.contains(":") ? "[\(settings.host)]" : settings.host
        let url = "http://\(host):\(port)"
        guard isNew else { return "Bursar is ready at \(url) · API: \(url)/openapi.yaml" }
        let program = CommandLine.arguments.first ?? "bursar"
        var command = [program, "bootstrap"]
        if database.embedded { command.append("--embedded") }
        if let directory = database.dataDirectory { command += ["--data-directory", directory] }
        if let file = database.config { command += ["--config", file] }
        if database.databaseURL != nil { command += ["--database-url", "…"] }
        return "Bursar is ready at \(url) · next: \(command.joined(separator: " "))"
    }
}
