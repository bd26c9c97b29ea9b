/// `bursar apply`: an organization as a file says, for platform teams that keep it in git.
import ArgumentParser
import Foundation
import Store

struct Apply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make teams, projects, tiers, budgets and endpoints as a file says.",
        discussion: """
            FILE is YAML, or JSON, with what should be there; `bursar dump` writes one of what is there.

                organization: {default_tier: Standard}
                tiers:
                  - {name: Standard, rank: 1, models: [gpt-4o-mini, claude-haiku-*], max_output_tokens: 4096}
                teams:
                  - name: Search
                    cost_center: CC-4410
                    budgets:
                      - {name: monthly, unit: usd, period: month, amount: 5000}
                    projects:
                      - name: Ranker
                        tier: Standard
                        budgets: [{name: daily, unit: requests, period: day, amount: 20000}]
                endpoints:
                  - {name: spend, kind: slack, url: "${ENV:SLACK_URL}", events: [budget.*], about: [{team: Search}]}

            Fields are those of the API (openapi/bursar.yaml). Things are known by their names, which are unique in their parent: another \
            name is another thing. What the file leaves out of a thing stays as it is; null empties it. A cost centre may have a change \
            ahead: {name: CC-1, next: CC-2, from: 2027-01-01T00:00:00Z}. The organization's own models stand in models.

            What is there and not in the file is named, and stays, unless you say --archive-missing; a list that the file does not \
            have at all is not looked at. Secrets of endpoints are read from environment variables when the endpoint is made, and \
            neither compared nor changed later: rotate them with POST /v1/endpoints/{id}/rotate-secret.

            Everything goes through the API with the key of an organization's owner or admin, one change after the other. What breaks \
            off says how far it came, and the same command does the rest; a change that somebody else made meanwhile is not overwritten.

            The exit status is 0 when everything is as the file says, 1 when something failed; with --dry-run 2 when there is something \
            to do.
            """)

    @Option(name: .shortAndLong, help: ArgumentHelp("The file; - for standard input.", valueName: "file"))
    var file: String

    @Flag(name: .long, help: "Say what would be done, and do nothing.") var dryRun = false

    @Flag(name: .long, help: "Archive what the file's lists do not have.") var archiveMissing = false

    @OptionGroup(title: "Server") var server: SetupServer

    /// What is waiting to be done with --dry-run.
    static let pending = ExitCode(2)
    /// Far more than an organization at its bounds; only a wrong file is longer.
    private static let longestFile = 64 << 20

    func run() async throws {
        let wanted = try SetupFile(try text(), name: file == "-" ? "standard input" : file, now: .now())
        let secrets = SetupSecrets(environment: ProcessInfo.processInfo.environment)
        try await server.withAPI { api in
            let state = try await SetupState.read(
                api, models: wanted.sections.contains(SetupSection(parent: .organization, kind: .model)))
            let plan = try SetupPlan(wanted, state, secrets, archivesMissing: archiveMissing)
            for key in plan.missing { Terminal.say("! \(key) is not in the file, and stays: --archive-missing archives it") }
            if dryRun {
                for step in plan.steps { Terminal.say("\(step)") }
                if !plan.steps.isEmpty { throw Self.pending }
                return
            }
            var run = SetupRun(api, wanted, state, secrets)
            try await run.run(plan.steps, say: Terminal.say)
        }
    }

    private func text() throws -> String {
        let handle = file == "-" ? FileHandle.standardInput : FileHandle(forReadingAtPath: file)
        guard let handle, let data = try handle.read(upToCount: Self.longestFile + 1) else { throw CommandError("cannot read \(file)") }
        guard data.count <= Self.longestFile, let text = String(validating: data, as: UTF8.self) else {
            throw CommandError("\(file) is no text, or longer than \(Self.longestFile) bytes")
        }
        return text
    }
}
