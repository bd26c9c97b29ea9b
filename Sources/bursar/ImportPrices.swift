/// `bursar import-prices`: fills the platform's catalogue from a price list, and says what it would change and what it left out.
import ArgumentParser
import Budgets
import Foundation
import Postgres
import Store

struct ImportPrices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fill the catalogue with models and their prices.",
        discussion: """
            Reads LiteLLM's model_prices_and_context_window.json or a list in Bursar's own format; without FILE, the list built into \
            this binary. Amounts are taken exactly from the text; what cannot be represented exactly, or is not understood, is \
            reported and left out, never rounded. Prices are effective-dated: a changed one ends now and the new one begins, and \
            what is booked keeps the price it had. A second import of the same file changes nothing.

            A price that became more than three times dearer or cheaper, that changed from or to free, or that does not fit the model's \
            others, is held back. Look at it and decide with `bursar price-proposals`, or import again with --accept MODEL.
            """)

    @Argument(help: ArgumentHelp("The price list. (default: the built-in one)", valueName: "file"))
    var file: String?

    @Flag(name: .long, help: "Show what would change, and change nothing.")
    var dryRun = false

    @Option(name: .long, help: ArgumentHelp("Write this model's changes however large they are; may be given again.", valueName: "model"))
    var accept: [String] = []

    @Flag(name: .long, help: "List every change and everything left out, not only how many.")
    var verbose = false

    @OptionGroup(title: "Database") var database: DatabaseOptions

    func run() async throws {
        let logger = commandLogger()
        let list = try ImportPrices.list(file)
        let (accepted, dryRun) = (Set(accept), dryRun)
        let changes = try await database.withDatabase(logger: logger) { configuration in
            _ = try await Migrator(configuration, logger: logger).migrate()
            let pool = PostgresPool(configuration, size: 1, logger: logger)
            let changes: Result<PriceChanges, any Error>
            do {
                changes = .success(
                    try await pool.withConnection {
                        try $0.importPrices(list, at: .now(), accepting: accepted, dryRun: dryRun)
                    })
            } catch {
                changes = .failure(error)
            }
            await pool.shutdown()
            return try changes.get()
        }
        Terminal.say(ImportReport(list: list, changes: changes, isDryRun: dryRun, isVerbose: verbose).text)
    }

    /// The price list in a file, or the built-in one.
    static func list(_ file: String?) throws -> PriceList {
        guard let file else { return try PriceList.builtIn() }
        guard let data = FileManager.default.contents(atPath: file) else { throw CommandError("cannot read \(file)") }
        return try PriceList(json: Array(data), name: URL(filePath: file).lastPathComponent)
    }
}

/// What an import did, for people.
struct ImportReport {
    let list: PriceList
    let changes: PriceChanges
    let isDryRun: Bool
    let isVerbose: Bool

    var text: String {
        let rates = list.models.reduce(0) { $0 + $1.rates.count }
        let changed = ChangesReport(changes: changes, isDryRun: isDryRun, isVerbose: isVerbose)
        return (["\(list.title): \(list.models.count) models, \(rates) rates"] + changed.lines + missing + leftOut).joined(separator: "\n")
    }

    private var missing: [String] {
        ["input", "output", "cached_input", "cache_write_5m"].compactMap { kind in
            let count = list.modelsLacking(kind)
            let of = kind.hasPrefix("cache") ? " with a price of input" : ""
            return count == 0 ? nil : "no price   \(count) models\(of) have no standard price of \(kind)"
        }
    }

    private var leftOut: [String] {
        PriceNote.Reason.allCases.flatMap { reason in
            let notes = list.notes.filter { $0.reason == reason }
            if notes.isEmpty { return [String]() }
            let what = reason == .suspicious ? "look at" : "left out"
            let fields = Set(notes.map(\.field)).filter { !$0.isEmpty }.sorted()
            var lines = ["\(what)   \(notes.count) × \(reason.rawValue)"]
            if isVerbose {
                lines += notes.map { "  \($0.model): \($0.field)" }
            } else if reason == .unknownField {
                lines.append("  " + fields.joined(separator: ", "))
            }
            return lines
        }
    }
}

/// What changed, or would, in a catalogue.
struct ChangesReport {
    let changes: PriceChanges
    let isDryRun: Bool
    let isVerbose: Bool

    var lines: [String] {
        var lines = [
            "\(isDryRun ? "would add" : "added")      \(changes.newModels.count) models, \(changes.newRates.count) rates",
            "\(isDryRun ? "would change" : "changed")   \(changes.changedModels.count) models, \(changes.changedRates.count) rates",
            "unchanged  \(changes.unchangedRates) rates",
        ]
        if isVerbose { lines += changes.changedRates.map { "  \(describe($0, $0.old?.amountPerMillion))" } }
        if !changes.heldBack.isEmpty {
            lines.append("HELD BACK  \(changes.heldBack.count) implausible prices; look at them, then bursar price-proposals")
            lines += changes.heldBack.prefix(isVerbose ? .max : 20).map { "  \(describe($0.change, $0.current))  \($0.reason.rawValue)" }
        }
        if changes.unlistedRates > 0 { lines.append("kept       \(changes.unlistedRates) rates in force that the list does not state") }
        return lines
    }

    private func describe(_ change: PriceChanges.RateChange, _ current: Money?) -> String {
        let slot = change.slot
        let band = slot.contextFrom > 0 ? " from \(slot.contextFrom) input tokens" : ""
        let tier = slot.serviceTier == Rate.standardTier ? "" : " (\(slot.serviceTier))"
        return "\(change.model) \(slot.kind)\(tier)\(band): \(current?.plain ?? "unknown") → \(change.amountPerMillion.plain)"
    }
}
