/// `bursar dump`: the file that `bursar apply` would make this organization of.
import ArgumentParser

struct Dump: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write an organization as a file for apply.",
        discussion: """
            Teams, projects, tiers, budgets, endpoints and the organization's own models, in YAML on standard output. Applied at once it \
            changes nothing; applied later it undoes what was changed since. Secrets are never in it: environment variables stand in \
            their place, which only matter where the endpoint is not there yet.
            """)

    @OptionGroup(title: "Server") var server: SetupServer

    func run() async throws {
        try await server.withAPI { api in
            var dump = try SetupDump(try await SetupState.read(api, models: true))
            Terminal.say(String(try dump.text().dropLast()))
        }
    }
}
