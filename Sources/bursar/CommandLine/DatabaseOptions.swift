/// The options of every subcommand that needs Postgres: a private one, or one of the user's.
import ArgumentParser
import Configuration
import Foundation
import Logging
import Postgres
import Store

struct DatabaseOptions: ParsableArguments {
    @Flag(name: .long, help: "Use a private Postgres, which is started if it does not run and stopped by the last who uses it.")
    var embedded = false

    @Option(name: .long, help: ArgumentHelp("Where the private Postgres keeps its data. (default: .bursar)", valueName: "path"))
    var dataDirectory: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Your Postgres, such as postgresql://user@host1,host2/bursar; or set DATABASE_URL, or PGHOST….", valueName: "url"))
    var databaseURL: String?

    @Option(name: .long, help: ArgumentHelp("A file with settings, JSON or YAML.", valueName: "file"))
    var config: String?

    func validate() throws {
        if embedded, databaseURL != nil { throw ValidationError("--embedded and --database-url exclude each other.") }
    }

    /// What these options say, by setting.
    var flags: [String: ConfigValue] {
        var flags: [String: ConfigValue] = [:]
        if embedded { flags["embedded"] = ConfigValue(.bool(true), isSecret: false) }
        if let dataDirectory { flags["data_directory"] = ConfigValue(.string(dataDirectory), isSecret: false) }
        if let databaseURL { flags["database_url"] = ConfigValue(.string(databaseURL), isSecret: true) }
        return flags
    }

    /// Runs `body` with the database that these options, the environment and the file name. A private server runs meanwhile. Who is at
    /// the command line is an operator: sessions are about everyone.
    /// Throws `CommandError` when nothing names one, and what `body` throws.
    func withDatabase<Value>(logger: Logger, _ body: (PostgresConfiguration) async throws -> Value) async throws -> Value {
        let layers = try await ConfigurationLayers(flags: flags, environment: ProcessInfo.processInfo.environment, file: config)
        switch try DatabaseChoice(layers).place {
        case .external(let database): return try await body(database.forEveryone)
        case .embedded(let directory):
            let server = try await EmbeddedPostgres.start(in: directory, logger: logger)
            do {
                let value = try await body(server.configuration.forEveryone)
                await server.stop()
                return value
            } catch {
                await server.stop()
                throw error
            }
        }
    }
}

/// Makes a private Postgres ready to be served from: our schema, and the service's role that can log in.
func prepare(_ owner: PostgresConfiguration, logger: Logger) async throws {
    _ = try await Migrator(owner, logger: logger).migrate()
    let connection = try await PostgresConnection.connect(owner, logger: logger)
    try await ServiceRole.allowLogin(on: connection)
    await connection.close()
}

/// Which database the layers name. The first layer that names any decides, so a flag beats a DATABASE_URL left in the environment.
struct DatabaseChoice: Sendable {
    enum Place: Sendable {
        case embedded(directory: String)
        case external(PostgresConfiguration)
    }

    let place: Place
    let source: String

    init(_ layers: ConfigurationLayers) throws {
        for layer in layers.layers {
            if try layer.find("embedded", .bool, { if case .bool(let value) = $0 { value } else { nil } }) == true {
                place = .embedded(directory: try layers.string("data_directory")?.value ?? ".bursar")
                source = layer.place(of: "embedded")
                return
            }
            if let url = try layer.find("database_url", .string, { if case .string(let value) = $0 { value } else { nil } }) {
                place = .external(try PostgresConfiguration(url: url))
                source = layer.place(of: "database_url")
                return
            }
            let environment = layers.environment
            if case .environment = layer.kind, let name = ["DATABASE_URL", "PGHOST"].first(where: { environment[$0] != nil }) {
                place = .external(try PostgresConfiguration(environment: environment))
                source = "environment \(name)"
                return
            }
        }
        throw CommandError("no database is named: say --embedded for a private Postgres, or --database-url URL (or set DATABASE_URL)")
    }
}
