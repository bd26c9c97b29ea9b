/// Random months, open, closing and closed: ledger, roll-ups, statement and every export agree to the last digit (law 5).
import Budgets
import Foundation
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Chargeback

@Suite("Every form of a month") struct AgreementTests {
    private typealias Entry = ChargebackWorld.Entry

    private let september = StatementMonth("2025-09")!
    private let october = StatementMonth("2025-10")!
    private let now = Instant(rfc3339: "2025-12-01T00:00:00Z")!

    /// September, to be closed before October's entries are booked; some of those correct it.
    private static func entries(_ generator: inout SeededGenerator) -> (september: [Entry], october: [Entry]) {
        func entry(_ month: Int, corrects: Bool = false) -> ChargebackWorld.Entry {
            let kinds: [(String, Int64?)] = [("input", 1), ("output", 2), ("thought", nil), ("cached_input", nil)]
            let day = Int.random(in: 2...29, using: &generator)
            let hour = Int.random(in: 0...23, using: &generator)
            let minute = [0, 14, 15, 59].randomElement(using: &generator) ?? 0
            let feature = ["chat", "=cmd()", "a,\"b\"", nil].randomElement(using: &generator) ?? nil
            let chosen = kinds.filter { _ in Bool.random(using: &generator) }
            return ChargebackWorld.Entry(
                at: String(format: "2025-%02d-%02dT%02d:%02d:07Z", month, day, hour, minute),
                attribution: UInt64.random(in: 1...6, using: &generator), feature: feature,
                corrects: corrects ? String(format: "2025-09-%02dT%02d:30:00Z", Int.random(in: 2...29, using: &generator), hour) : nil,
                lines: chosen.map { ($0.0, Int64.random(in: 0...9_999_999, using: &generator), $0.1) })
        }
        return (
            (0..<Int.random(in: 1...15, using: &generator)).map { _ in entry(9) },
            (0..<Int.random(in: 0...40, using: &generator)).map { number in entry(10, corrects: number % 5 == 0) }
        )
    }

    @Test("agrees with every other", arguments: 0..<6)
    func agrees(round: Int) async throws {
        let seed = ProcessInfo.processInfo.environment["BURSAR_TEST_SEED"].flatMap { UInt64($0) } ?? .random(in: 0 ... .max)
        var generator = SeededGenerator(seed: seed &+ UInt64(round))
        let (before, entries) = Self.entries(&generator)
        let rolledUp = Int.random(in: 0...entries.count, using: &generator)
        try await withDatabase { database in
            let world = ChargebackWorld(database: database)
            // Names that alternate, and cells that a spreadsheet would run.
            try await world.create(costCenters: ["CC-1", nil, "CC-2", "=CC", "CC-1", "CC,3"], before)
            let pool = PostgresPool(database, size: 2, logger: testLogger)
            let serving = PostgresPool(database.serving, size: 2, logger: testLogger)
            let store = Store(pool: serving).store(of: world.organization)
            try await world.close(september, store, at: now)
            for entry in entries[..<rolledUp] { try await world.book(entry) }
            _ = try await pool.withConnection { connection in
                try connection.query(RollUps.adopt)
                while try RollUps.step(world.organization, maximumEntries: 3, on: connection) {}
            }
            // A project that moves to another team and another cost centre: what was booked stays where it was.
            let moved = try await world.move(project: 1, toTeam: "Find", costCenter: "CC-7")
            for entry in entries[rolledUp...] {
                var entry = entry
                if entry.attribution == 1 { entry.attribution = moved }
                try await world.book(entry)
            }
            var expected = try await finance(world, store, entries, &generator)
            expected += try await prepay(world, store, &generator)
            let open = try await files(of: world, store)
            try check(open, entries, expected, seed)
            try await checkStore(world, store, entries, expected, seed)
            let term = try await term(of: world, store, seed)
            try await world.close(october, store, at: now)
            try await world.renameEverything()
            let closed = try await files(of: world, store)
            for (format, bytes) in open where closed[format] != bytes { Issue.record("\(format) is another once closed, seed \(seed)") }
            try await checkStore(world, store, entries, expected, seed)
            #expect(try await self.term(of: world, store, seed) == term, "draws are others once closed, seed \(seed)")
            let report = try await pool.withConnection { try Check.run(world.organization, on: $0) }
            for finding in report.findings where finding.fact.law == 5 && !finding.fact.name.contains("settled") {
                #expect(finding.count == 0, "\(finding.samples), seed \(seed)")
            }
            await serving.shutdown()
            await pool.shutdown()
        }
    }

    /// What finance does in the month: a fee, a credit, a wrong price put right and re-priced, and rules for shared costs.
    /// - Returns: what the month costs then.
    private func finance(
        _ world: ChargebackWorld, _ store: Store, _ entries: [Entry], _ generator: inout SeededGenerator
    ) async throws -> Amount {
        let fee = Amount(pico: Int128.random(in: 1...9_999_999_999_999, using: &generator))
        try await world.adjust(fee, project: 2, at: "2025-10-05T00:00:00Z", store, now: now)
        try await world.adjust(Amount(pico: -1_000_003), project: 3, at: "2025-10-06T00:00:00Z", store, now: now)
        var charged = Amount.zero
        for kind in [ChargeKind.fee, .tax, .unusedCommitment] {
            let amount = Amount(pico: Int128.random(in: 1...9_999_999_999_999, using: &generator))
            try await world.adjust(amount, as: kind, feature: "c", project: 2, at: "2025-10-07T00:00:00Z", store, now: now)
            charged += amount
        }
        let right = PriceCorrection(
            id: PriceID(at: now), replacing: ChargebackWorld.price("input"), amountPerMillion: Amount(whole: 3), source: "a letter")
        _ = try await store.correctPrice(right, of: world.organization)
        let span = october.span(in: try #require(Zone("Europe/Berlin")))
        let report = try await store.reprice(
            RepricingSpan(from: span.start, to: span.end, models: nil), of: world.organization, isPreview: false, at: now)
        // Three dollars instead of one, where every kind has a price and the call is of the month itself.
        let difference = entries.filter { $0.corrects == nil && $0.lines.allSatisfy { $0.price != nil } }.flatMap(\.lines)
            .filter { $0.kind == "input" }.reduce(Amount.zero) { $0 + ChargebackWorld.Entry.cost($1.quantity, 2) }
        #expect(report.difference == difference)
        let methods = SplitMethod.allCases.shuffled(using: &generator)
        // A chain: what the second gives on is its own cost and its part of the first's.
        for (source, receivers, method) in [(1, [2, 3], methods[0]), (2, [4, 5, 6], methods[1])] as [(UInt64, [UInt64], SplitMethod)] {
            let percents = receivers.count == 2 ? ["33.3333", "66.6667"] : ["0.0001", "49.9999", "50"]
            let split = CostSplit(
                id: CostSplitID(at: now), source: ChargebackWorld.project(source), method: method,
                receivers: zip(receivers, percents).map {
                    .init(project: ChargebackWorld.project($0), percent: method == .percent ? Amount($1) : nil)
                })
            let new = NewCostSplit(
                split: split, name: "Shared \(source)", fromMonth: october, untilMonth: nil, setBy: ChargebackWorld.apiKey)
            _ = try await store.createCostSplit(new, of: world.organization)
        }
        return entries.reduce(fee + charged - Amount(pico: 1_000_003) + difference) { $0 + $1.cost }
    }

    /// Money that is paid in advance, for terms that begin in the month, and what nobody will have used of it.
    /// - Returns: what of that is charged to a project.
    private func prepay(_ world: ChargebackWorld, _ store: Store, _ generator: inout SeededGenerator) async throws -> Amount {
        var charged = Amount.zero
        for number in 0..<Int.random(in: 0...3, using: &generator) {
            let day = Int.random(in: 1...31, using: &generator)
            let until = ["2025-11-01", "2025-11-16", "2026-01-01"].randomElement(using: &generator)
            let record = try await store.createCommitment(
                NewCommitment(
                    id: CommitmentID(at: now.adding(seconds: Int64(number))), name: "=Prepaid, \(number)", provider: "openai",
                    models: Bool.random(using: &generator) ? [] : ["gpt-*"],
                    amount: Amount(pico: Int128.random(in: 1...40_000_000_000_000, using: &generator)),
                    fromDate: try #require(CivilDate(year: 2025, month: 10, day: day)), untilDate: try #require(CivilDate(until ?? "")),
                    purchaseMonth: october),
                of: world.organization)
            guard Bool.random(using: &generator) else { continue }
            let amount = Amount(pico: Int128.random(in: 1...record.amount.pico, using: &generator))
            try await world.adjust(
                amount, as: .unusedCommitment, feature: record.id.description, project: 1, at: "2025-10-31T12:00:00Z", store, now: now)
            charged += amount
        }
        return charged
    }

    /// Equality 4, as a reader of the files of a whole term finds it: what was bought is what was used, and what was not.
    /// - Returns: what was used of each.
    private func term(of world: ChargebackWorld, _ store: Store, _ seed: UInt64) async throws -> [String: Amount] {
        let export = try await StatementExport(store: store, organization: world.organization)
        var (rows, found) = ([[String: String]](), [String: Amount]())
        for month in october.through(try #require(StatementMonth("2025-12"))) {
            var bytes: [UInt8] = []
            try await export.write(try await export.plan(.focus14, month: month)) { bytes += $0 }
            rows += CSVReader.table(bytes)
        }
        for (id, own) in Dictionary(grouping: rows, by: { $0["CommitmentDiscountId"] ?? "" }) where id.hasPrefix("cmt_") {
            let (bought, spent) = (own.filter { $0["ChargeCategory"] == "Purchase" }, own.filter { $0["ChargeCategory"] == "Usage" })
            let whole = try sum(bought, "BilledCost")
            #expect(try bought.count == 1 && sum(spent, "EffectiveCost") == whole, "\(id), seed \(seed)")
            #expect(try sum(spent, "CommitmentDiscountQuantity") == whole && sum(spent, "BilledCost") == .zero, "\(id), seed \(seed)")
            let used = try sum(spent.filter { $0["CommitmentDiscountStatus"] == "Used" }, "EffectiveCost")
            #expect(used >= .zero && used <= whole, "\(id), seed \(seed)")
            found[id] = used
        }
        return found
    }

    private func files(of world: ChargebackWorld, _ store: Store) async throws -> [StatementFormat: [UInt8]] {
        let export = try await StatementExport(store: store, organization: world.organization)
        var files: [StatementFormat: [UInt8]] = [:]
        for format in StatementFormat.allCases {
            var bytes: [UInt8] = []
            let plan = try await export.plan(format, month: october)
            let (total, file) = try await export.write(plan) { bytes += $0 }
            files[format] = bytes
            #expect(file.byteCount == Int64(bytes.count))
            let manifest = export.manifest(plan, total, file)
            #expect(manifest["rows"]?.int64 == file.rowCount && manifest["sha256"]?.string == file.hash)
        }
        return files
    }

    private func sum(_ rows: [[String: String]], _ column: String) throws -> Amount {
        try rows.reduce(.zero) { sum, row in
            let text = row[column] ?? ""
            return text.isEmpty ? sum : sum + (try #require(Amount(text)))
        }
    }

    private func check(
        _ files: [StatementFormat: [UInt8]], _ entries: [ChargebackWorld.Entry], _ cost: Amount, _ seed: UInt64
    ) throws {
        let settlement = Settlement(of: cost)
        for format in [StatementFormat.csv, .csvSummary] {
            let rows = CSVReader.table(try #require(files[format]))
            let lines = rows.filter { $0["row"] == "line" }
            #expect(try sum(lines, "cost_usd") == cost, "\(format), seed \(seed)")
            #expect(try sum(lines, "requests") == Amount(whole: Int64(entries.count)), "\(format), seed \(seed)")
            #expect(rows.first { $0["row"] == "total" }?["cost_usd"] == cost.description, "\(format), seed \(seed)")
            #expect(rows.first { $0["row"] == "payable" }?["cost_usd"] == settlement.payable.description, "\(format), seed \(seed)")
            #expect(!lines.contains { $0.values.contains { $0.hasPrefix("=") } })
        }
        for (format, version) in [(StatementFormat.focus12, FOCUSVersion.v12), (.focus14, .v14)] {
            let bytes = try #require(files[format])
            let rows = CSVReader.table(bytes)
            // What was paid for in advance is billed when it is bought; it costs whoever uses it, and what nobody uses costs as well.
            let own = rows.filter { $0["CommitmentDiscountId"]?.hasPrefix("cmt_") == true }
            let charged = try sum(own.filter { $0["SubAccountId"] != "" && $0["CommitmentDiscountStatus"] == "Unused" }, "EffectiveCost")
            let drawn = try sum(own.filter { $0["CommitmentDiscountStatus"] == "Used" }, "EffectiveCost")
            let billed = cost - charged - drawn + (try sum(own, "BilledCost"))
            #expect(try sum(rows, "BilledCost") == Settlement(of: billed).payable, "\(format), seed \(seed)")
            let unused = try sum(own.filter { $0["CommitmentDiscountStatus"] == "Unused" }, "EffectiveCost")
            let effective = try sum(rows.filter { $0["ChargeDescription"] != "Rounding" }, "EffectiveCost")
            #expect(effective == cost - charged + unused, "\(format), seed \(seed)")
            let corrections = entries.filter { $0.corrects != nil }
            let corrected = rows.filter { $0["ChargeClass"] == "Correction" }
            #expect(try sum(corrected, "BilledCost") == corrections.reduce(.zero) { $0 + $1.cost }, "\(format), seed \(seed)")
            let units = entries.flatMap(\.lines).filter { $0.price != nil }.reduce(0) { $0 + $1.quantity }
            let used = rows.filter { $0["ConsumedUnit"] == "Tokens" }
            #expect(try sum(used, "ConsumedQuantity") == Amount(whole: units), "\(format), seed \(seed)")
            // Read as somebody else would.
            let records = CSVReader.read(bytes)
            var checker = FOCUSChecker(version)
            #expect(records[0] == FOCUSColumn.all(of: version).map(\.name))
            for record in records.dropFirst() { try checker.check(record) }
        }
        let bill = try JSON.parse(try #require(files[.json]))["total"]?["billed"]?.string.flatMap { Amount($0) } ?? cost
        let focus = CSVReader.table(try #require(files[.focus14]))
        #expect(try sum(focus.filter { $0["ChargeDescription"] != "Rounding" }, "BilledCost") == bill, "seed \(seed)")
        let journal = CSVReader.table(try #require(files[.journal]))
        #expect(try sum(journal, "debit_usd") == sum(journal, "credit_usd"), "seed \(seed)")
        #expect(try sum(journal.filter { $0["account"] == "LLM-CLEARING" }, "credit_usd") == settlement.payable, "seed \(seed)")
        let json = try JSON.parse(try #require(files[.json]))
        #expect(json["total"]?["cost"]?.string == cost.description && json["total"]?["calls"]?.int64 == Int64(entries.count))
        let lines = json["lines"]?.array ?? []
        #expect(try lines.reduce(Amount.zero) { $0 + (try #require(($1["cost"]?.string).flatMap { Amount($0) })) } == cost, "seed \(seed)")
        for source in [1, 2] as [UInt64] {
            let own = lines.filter { $0["project"]?.string == ChargebackWorld.project(source).description }
            let left = try own.reduce(Amount.zero) { $0 + (try #require(($1["cost"]?.string).flatMap { Amount($0) })) }
            #expect(left == .zero, "a shared project keeps nothing, seed \(seed)")
        }
        #expect(lines.compactMap { $0["line"]?.int64 } == Array(1...Int64(max(1, lines.count))).prefix(lines.count).map { $0 })
    }

    private func checkStore(
        _ world: ChargebackWorld, _ store: Store, _ entries: [ChargebackWorld.Entry], _ cost: Amount, _ seed: UInt64
    ) async throws {
        let zone = try #require(Zone("Europe/Berlin"))
        let export = try await StatementExport(store: store, organization: world.organization)
        let summary = try await export.summary(month: october)
        #expect(summary["cost"]?["amount"]?.string == cost.description && summary["calls"]?.int64 == Int64(entries.count), "seed \(seed)")
        for dimensions in [[], [.team, .costCenter], [.model, .feature]] as [[SpendDimension]] {
            let rows = try #require(try await store.spend(of: world.organization, in: [october.span(in: zone)], by: dimensions))
            #expect(rows.map(\.cost).reduce(.zero, +) == cost, "\(dimensions), seed \(seed)")
        }
    }
}
