/// `bursar check`: holds a database, also of a system at work, against the laws.
import ArgumentParser
import Budgets
import Foundation
import JSON
import Postgres
import Store

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Hold a database against the laws.",
        discussion: """
            Finds what contradicts a law: counters that are not the sum of the ledger, roll-ups that are not, reservations settled \
            twice, alerts without deliveries and the like. Changes nothing and may run while calls are decided; it reads everything, \
            so it takes about a minute for a million entries. Memory stays constant. The exit status is 0 when all is well, 2 when \
            something contradicts, 1 when the check could not be made.
            """)

    @Option(
        name: .long, help: ArgumentHelp("Only this organization. (default: all)", valueName: "org_…"),
        transform: { text in
            guard let id = OrganizationID(text) else { throw ValidationError("'\(text)' is no organization's id.") }
            return id
        })
    var organization: OrganizationID?

    @Flag(help: "Print one JSON object instead of the table.")
    var json = false

    @OptionGroup(title: "Database") var database: DatabaseOptions

    /// Longer than one fact of the largest organization takes, shorter than a forgotten terminal.
    private static let statementTimeout: Duration = .seconds(6 * 3600)

    func run() async throws {
        let logger = commandLogger()
        let report = try await database.withDatabase(logger: logger) { configuration in
            var patient = configuration
            patient.statementTimeout = Self.statementTimeout
            let connection = try await PostgresConnection.connect(patient, logger: logger)
            let result: Result<CheckReport, any Error>
            do { result = .success(try await Check.run(organization, on: connection)) } catch { result = .failure(error) }
            await connection.close()
            return try result.get()
        }
        Terminal.say(json ? report.json.text : report.table)
        if report.violations > 0 { throw ExitCode(2) }
    }
}

extension CheckReport {
    var json: JSON {
        .object([
            ("violations", .number(violations)), ("organizations", .number(organizations)),
            (
                "facts",
                .array(
                    findings.map { finding in
                        .object([
                            ("fact", .string(finding.fact.name)), ("law", finding.fact.law.map { .number($0) } ?? .null),
                            ("meaning", .string(finding.fact.meaning)), ("violations", .number(finding.count)),
                            (
                                "samples",
                                .array(
                                    finding.samples.map { sample in
                                        .object([
                                            ("organization", .string(sample.organization.description)), ("what", .string(sample.what)),
                                        ])
                                    })
                            ),
                        ])
                    })
            ),
            (
                "figures",
                .object([
                    ("last_commit_age_seconds", figures.lastCommitAge.map { .number($0) } ?? .null),
                    ("oldest_hold_age_seconds", figures.oldestHoldAge.map { .number($0) } ?? .null),
                    ("entries_not_rolled_up", .number(figures.entriesNotRolledUp)),
                    ("deliveries_beyond_lease", .number(figures.deliveriesBeyondLease)),
                ])
            ),
        ])
    }

    /// For people: a line a fact, below it what contradicts.
    var table: String {
        var lines = findings.flatMap { finding in
            let law = finding.fact.law.map { "law \($0)" } ?? ""
            let verdict = finding.count == 0 ? "holds" : "\(finding.count) VIOLATIONS"
            return [
                "\(law.padding(toLength: 6, withPad: " ", startingAt: 0))  \(finding.fact.meaning.padding(toLength: 76, withPad: " ", startingAt: 0))  \(verdict)"
            ] + finding.samples.map { "          \($0.organization): \($0.what)" }
        }
        func age(_ seconds: Int64?) -> String { seconds.map { "\($0) s ago" } ?? "none" }
        lines += [
            "", "organizations            \(organizations)", "last commit              \(age(figures.lastCommitAge))",
            "oldest open hold         \(age(figures.oldestHoldAge))", "entries not rolled up    \(figures.entriesNotRolledUp)",
            "deliveries beyond lease  \(figures.deliveriesBeyondLease)",
        ]
        return lines.joined(separator: "\n")
    }
}
