/// `bursar reprice`: books corrections for a span whose prices were wrong.
import ArgumentParser
import Budgets
import Postgres
import Store

struct Reprice: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Price what was booked in a span again, and book the difference as corrections.",
        discussion: """
            First put the price right: POST /v1/prices/{id}/correct for one that was wrong from its beginning, or a contract with a past \
            --valid-from. Then this shows, by model, what the calls of the span cost and what they should have; --apply books it. Each \
            changed call is taken back to the last digit and booked again, in its own time; counters of budgets in dollars follow. Nothing that \
            was booked is rewritten. Running it again changes nothing.
            """)

    @Option(name: .long, help: ArgumentHelp("Whose calls.", valueName: "org_…"))
    var organization: String

    @Option(name: .long, help: ArgumentHelp("The beginning of the span.", valueName: "RFC 3339"))
    var from: String

    @Option(name: .long, help: ArgumentHelp("Its end, not included. (default: now)", valueName: "RFC 3339"))
    var to: String?

    @Option(name: .long, help: ArgumentHelp("Only models that match. (default: all)", valueName: "pattern"))
    var model: String?

    @Flag(name: .long, help: "Book the corrections; without it they are only shown.")
    var apply = false

    @OptionGroup(title: "Database") var database: DatabaseOptions

    func run() async throws {
        let now = Instant.now()
        guard let id = OrganizationID(organization), id != .platform else { throw ValidationError("--organization is no organization.") }
        guard let from = Instant(rfc3339: self.from), let to = self.to.map({ Instant(rfc3339: $0) }) ?? now, from < to else {
            throw ValidationError("--from and --to must be RFC 3339 times, one before the other.")
        }
        let pattern = model.flatMap { Pattern($0) }
        guard model == nil || pattern != nil else { throw ValidationError("--model must be a pattern.") }
        let isPreview = !apply
        let report = try await database.withStore { store in
            do {
                return try await store.reprice(
                    RepricingSpan(from: from, to: to, models: pattern), of: id, isPreview: isPreview, at: now)
            } catch AdminRefusal.notFound {
                throw CommandError("there is no organization \(id)")
            }
        }
        Terminal.say(Self.text(report, isPreview: isPreview))
    }

    static func text(_ report: RepricingReport, isPreview: Bool) -> String {
        var lines = ["\(report.entries) calls looked at, \(report.corrected) \(isPreview ? "would be corrected" : "corrected")"]
        for (model, line) in report.models.sorted(by: { $0.key < $1.key }) {
            lines.append("  \(model): \(line.entries) calls, \(line.before.plain) → \(line.after.plain)")
        }
        lines.append("difference \(report.difference.plain) USD")
        if report.unpriced > 0 { lines.append("\(report.unpriced) calls have no price for some kind and stay as they are") }
        if isPreview, report.corrected > 0 { lines.append("Nothing is booked yet: --apply does.") }
        return lines.joined(separator: "\n")
    }
}
