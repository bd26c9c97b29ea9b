/// `bursar bootstrap`: from an empty database to the first API call.
import ArgumentParser
import Budgets
import JSON
import Postgres
import Store

struct Bootstrap: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the first organization and print its keys, once.",
        discussion: """
            Makes an organization, an operator key (which makes further organizations and fills the catalogue) and an owner key \
            (which does everything within this organization). Only hashes of the keys are kept: what is printed now is printed \
            never again. If an organization of that name exists, this says so and changes nothing.
            """)

    @Option(name: .long, help: ArgumentHelp("The organization's name.", valueName: "name"))
    var name = "My organization"

    @Option(name: .long, help: ArgumentHelp("Its IANA time zone, which decides when days and months begin.", valueName: "zone"))
    var timeZone = "UTC"

    @Flag(name: .long, help: #"Print {"organization":…,"operator_key":…,"owner_key":…} for scripts; keys are null if it existed."#)
    var json = false

    @OptionGroup(title: "Database") var database: DatabaseOptions

    func validate() throws {
        guard (1...200).contains(name.unicodeScalars.count) else { throw ValidationError("--name must have 1 to 200 characters.") }
        guard Zone(timeZone) != nil else { throw ValidationError("--time-zone must be an IANA name such as Europe/Berlin.") }
    }

    func run() async throws {
        let logger = commandLogger()
        let organization = FirstOrganization(name: name, timeZone: timeZone, at: .now())
        let outcome = try await database.withDatabase(logger: logger) { configuration in
            _ = try await Migrator(configuration, logger: logger).migrate()
            let connection = try await PostgresConnection.connect(configuration, logger: logger)
            let result: Result<FirstOrganization.Outcome, any Error>
            do { result = .success(try await organization.create(on: connection)) } catch { result = .failure(error) }
            await connection.close()
            return try result.get()
        }
        switch outcome {
        case .created: Terminal.say(json ? keys(organization) : text(organization))
        case .exists(let id):
            Terminal.note("An organization named «\(name)» exists (\(id)); nothing was changed.")
            if json { Terminal.say(keys(id, nil)) }
        }
    }

    private func keys(_ organization: FirstOrganization) -> String { keys(organization.id, organization) }

    private func keys(_ id: OrganizationID, _ made: FirstOrganization?) -> String {
        var line = JSONWriter()
        line.object { line in
            line.field("organization", id.description)
            line.field("operator_key", made?.operatorSecret.text)
            line.field("owner_key", made?.ownerSecret.text)
        }
        return String(decoding: line.bytes, as: UTF8.self)
    }

    private func text(_ made: FirstOrganization) -> String {
        """
        organization  \(made.id)  \(name)
        operator key  \(made.operatorSecret.text)
        owner key     \(made.ownerSecret.text)

        The keys are shown only now; keep them. Next, with a running server:

            curl http://127.0.0.1:8080/v1/organization -H 'Authorization: Bearer \(made.ownerSecret.text)'
        """
    }
}
