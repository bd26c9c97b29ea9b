/// `bursar import-contract`: what an organization agreed with providers, from a table.
import ArgumentParser
import Budgets
import Foundation
import Store

struct ImportContract: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write an organization's contracted prices from a CSV file.",
        discussion: """
            A line with percent_off is a discount on a provider's list prices as they are now, on all its models or on those that model \
            matches; every other line is an explicit price for a million units. A later line goes before an earlier one.

                provider,model,usage_kind,service_tier,amount_per_million,percent_off
                openai,,,,,12.5
                ,gpt-4o,input,,2.1,

            Contracted prices go before list prices, kind by kind, and hold until the next contract. What is more than three times off the \
            list waits in `bursar price-proposals`, unless --accept names the model. A second import of the same file changes nothing.
            """)

    @Argument(help: ArgumentHelp("The table.", valueName: "file"))
    var file: String

    @Option(name: .long, help: ArgumentHelp("Whose contract it is.", valueName: "org_…"))
    var organization: String

    @Option(name: .long, help: ArgumentHelp("When the prices come into force; may be past. (default: now)", valueName: "RFC 3339"))
    var validFrom: String?

    @Option(name: .long, help: ArgumentHelp("Write this model's prices however far they are off; may be given again.", valueName: "model"))
    var accept: [String] = []

    @Flag(name: .long, help: "Show what would change, and change nothing.")
    var dryRun = false

    @OptionGroup(title: "Database") var database: DatabaseOptions

    func run() async throws {
        guard let id = OrganizationID(organization), id != .platform else { throw ValidationError("--organization is no organization.") }
        let now = Instant.now()
        guard let validFrom = self.validFrom.map({ Instant(rfc3339: $0) }) ?? now else {
            throw ValidationError("--valid-from must be an RFC 3339 time such as 2026-01-01T00:00:00Z.")
        }
        guard let data = FileManager.default.contents(atPath: file), let text = String(validating: data, as: UTF8.self) else {
            throw CommandError("cannot read \(file) as UTF-8")
        }
        let source = URL(filePath: file).lastPathComponent
        let (accepted, dryRun) = (Set(accept), dryRun)
        do {
            let lines = try [ContractLine](csv: text)
            let changes = try await database.withStore { store in
                try await store.importContract(
                    lines, of: id, source: source, validFrom: validFrom, at: now, accepting: accepted, dryRun: dryRun)
            }
            Terminal.say(ChangesReport(changes: changes, isDryRun: dryRun, isVerbose: true).lines.joined(separator: "\n"))
        } catch let fault as ContractFault {
            throw CommandError("\(source), line \(fault.line + 2): \(fault)")
        }
    }
}
