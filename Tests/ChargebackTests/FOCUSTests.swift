/// The FOCUS export against the specification: our checker catches what the official validator does not, and that one finds nothing
/// but its own defects.
import Budgets
import Foundation
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Chargeback

@Suite("FOCUS") struct FOCUSTests {
    /// A month with every recipe there is: usage at list price, usage without a price, calls without usage, corrections of a closed
    /// month, everything that people book, a shared cost, what was paid for in advance and used, in part, or not at all, and the rounding.
    private func month(_ format: StatementFormat) async throws -> [UInt8] {
        try await withDatabase { database in
            let world = ChargebackWorld(database: database)
            try await world.create(
                costCenters: ["CC-1", nil, "CC-3"],
                [
                    .init(at: "2025-10-09T10:00:00Z", attribution: 3, lines: [("input", 77, 1)]),
                    .init(
                        at: "2025-10-05T10:00:00Z", attribution: 1, feature: "chat",
                        lines: [("input", 8_400_001, 1), ("output", 2_100_007, 2)]),
                    .init(at: "2025-10-06T10:00:00Z", attribution: 2, lines: [("input", 333, 1), ("thought", 11, nil)]),
                    .init(at: "2025-10-07T10:00:00Z", attribution: 1, lines: []),
                    .init(at: "2025-10-08T10:00:00Z", attribution: 1, corrects: "2025-09-30T10:00:00Z", lines: [("input", 1000, 1)]),
                ])
            let pool = PostgresPool(database.serving, size: 1, logger: testLogger)
            let store = Store(pool: pool).store(of: world.organization)
            try await book(world, store)
            let export = try await StatementExport(store: store, organization: world.organization)
            var bytes: [UInt8] = []
            try await export.write(try await export.plan(format, month: StatementMonth("2025-10")!)) { bytes += $0 }
            await pool.shutdown()
            return bytes
        }
    }

    /// One of each kind, and a rule by which the third project's cost is shared.
    private func book(_ world: ChargebackWorld, _ store: Store) async throws {
        let now = Instant(rfc3339: "2025-10-20T00:00:00Z")!
        for (kind, amount, feature) in [
            (.adjustment, "-0.5", nil), (.credit, "-5", nil), (.fee, "100", "support"), (.tax, "19.01", nil),
            (.unusedCommitment, "12.34", "tokens-2025"),
        ] as [(ChargeKind, String, String?)] {
            try await world.adjust(
                try #require(Amount(amount)), as: kind, feature: feature, project: 1, at: "2025-10-10T00:00:00Z", store, now: now)
        }
        let split = CostSplit(
            id: CostSplitID(at: now), source: ChargebackWorld.project(3), method: .even,
            receivers: [1, 2].map { .init(project: ChargebackWorld.project($0), percent: nil) })
        let new = NewCostSplit(
            split: split, name: "Shared", fromMonth: try #require(StatementMonth("2025-10")), untilMonth: nil,
            setBy: ChargebackWorld.apiKey)
        _ = try await store.createCostSplit(new, of: world.organization)
        for (name, amount, from, until, invoice) in [
            ("Short", "0.000100000001", "2025-10-06", "2025-10-09", nil), ("Long", "5", "2025-10-09", "2025-11-01", "INV, 7"),
        ] as [(String, String, String, String, String?)] {
            let commitment = try await store.createCommitment(
                NewCommitment(
                    id: CommitmentID(at: now), name: name, provider: "openai", amount: try #require(Amount(amount)),
                    fromDate: try #require(CivilDate(from)), untilDate: try #require(CivilDate(until)),
                    purchaseMonth: try #require(StatementMonth("2025-10")), invoice: invoice),
                of: world.organization)
            guard name == "Long" else { continue }
            try await world.adjust(
                try #require(Amount("0.9")), as: .unusedCommitment, feature: commitment.id.description, project: 2,
                at: "2025-10-31T00:00:00Z", store, now: now)
        }
    }

    @Test("rows follow the recipes")
    func recipes() async throws {
        let rows = CSVReader.table(try await month(.focus14))
        func row(_ description: String) throws -> [String: String] {
            try #require(rows.first { $0["ChargeDescription"]?.hasPrefix(description) == true })
        }
        let input = try #require(rows.first { $0["PricingQuantity"] == "8.400001000000" })
        #expect(input["ListCost"] == "8.400001000000" && input["BilledCost"] == "8.400001000000" && input["ChargeClass"] == "")
        #expect(input["ConsumedQuantity"] == "8400001.000000000000" && input["ConsumedUnit"] == "Tokens")
        #expect(input["PricingUnit"] == "1000000 Tokens")
        #expect(input["ChargePeriodStart"] == "2025-10-04T22:00:00Z" && input["ChargePeriodEnd"] == "2025-10-05T22:00:00Z")
        #expect(input["BillingPeriodStart"] == "2025-09-30T22:00:00Z" && input["BillingPeriodEnd"] == "2025-10-31T23:00:00Z")
        #expect(input["InvoiceId"] == "CB-2025-10-1" && input["SkuMeter"] == "Input Tokens" && input["x_RequestCount"] == "1")
        let output = try #require(rows.first { $0["SkuMeter"] == "Output Tokens" })
        #expect(output["ListUnitPrice"] == "2.000000000000" && output["x_RequestCount"] == "0", "calls count once")
        let correction = try #require(rows.first { $0["ChargeClass"] == "Correction" })
        #expect(correction["ChargePeriodStart"] == "2025-09-29T22:00:00Z" && correction["BillingPeriodStart"] == "2025-09-30T22:00:00Z")
        let unpriced = try row("Thought Tokens without a known price")
        #expect(unpriced["ChargeCategory"] == "Adjustment" && unpriced["SkuId"] == "")
        #expect(unpriced["x_UnpricedQuantity"] == "11.000000000000")
        #expect(try row("Calls without usage")["x_RequestCount"] == "1")
        let rounding = try row("Rounding")
        #expect(rounding["BilledCost"] == rounding["EffectiveCost"] && rounding["ServiceSubcategory"] == "Cost Management")
        let credit = try row("Credit")
        #expect(credit["ChargeCategory"] == "Credit" && credit["EffectiveCost"] == "-5.000000000000" && credit["SkuId"] == "")
        #expect(try row("Adjustment")["ChargeCategory"] == "Adjustment")
        let tax = try row("Tax")
        #expect(tax["ChargeCategory"] == "Tax" && tax["BilledCost"] == "19.010000000000" && tax["PricingQuantity"] == "")
        let fee = try row("Fee, support")
        #expect(fee["ChargeCategory"] == "Usage" && fee["ChargeFrequency"] == "One-Time" && fee["PricingUnit"] == "Units")
        #expect(fee["ListUnitPrice"] == "100.000000000000" && fee["PricingQuantity"] == "1.000000000000" && fee["ConsumedQuantity"] != "")
        let (bought, unused) = (try row("Commitment, tokens-2025"), try row("Unused commitment, tokens-2025"))
        #expect(bought["ChargeCategory"] == "Purchase" && unused["ChargeCategory"] == "Usage")
        #expect(bought["BilledCost"] == "12.340000000000" && bought["EffectiveCost"] == "0.000000000000")
        #expect(unused["BilledCost"] == "0.000000000000" && unused["EffectiveCost"] == "12.340000000000")
        #expect(unused["CommitmentDiscountStatus"] == "Unused" && unused["PricingCategory"] == "Committed")
        for row in [bought, unused] {
            #expect(row["CommitmentDiscountId"] == "commitment-tokens-2025" && row["ResourceId"] == "commitment-tokens-2025")
            #expect(row["CommitmentDiscountQuantity"] == "12.340000000000" && row["ListCost"] == "12.340000000000")
        }
        // Of 333 units a hundred were paid for in advance, and what was left did not pay for one more.
        let border = rows.filter { $0["CommitmentDiscountName"] == "Short" || $0["ContractedCost"] == "0.000233000000" }
        #expect(border.map { $0["CommitmentDiscountStatus"] } == ["Used", "", "", "Unused"])
        #expect(border.map { $0["BilledCost"] } == ["0.000000000000", "0.000233000000", "0.000100000001", "0.000000000000"])
        #expect(border.map { $0["EffectiveCost"] } == ["0.000100000000", "0.000233000000", "0.000000000000", "0.000000000001"])
        let long = rows.filter { $0["CommitmentDiscountName"] == "Long" }
        #expect(long.compactMap { $0["EffectiveCost"] }.compactMap { Amount($0) }.reduce(.zero, +) == Amount(whole: 5))
        #expect(try row("Commitment, Long, invoice INV, 7")["BilledCost"] == "5.000000000000")
        #expect(try row("Unused commitment, Long")["EffectiveCost"] == "4.999923000000")
        #expect(try row("Unused commitment charged, Long")["SubAccountName"] == "Project 2")
        #expect(try row("Unused commitment charged to a project, Long")["EffectiveCost"] == "-0.900000000000")
        let shared = rows.filter { $0["x_SplitId"] != "" }
        #expect(shared.count == 3 && shared.filter { $0["AllocatedMethodId"] == "SPLIT-EVEN-1" }.count == 2)
        #expect(rows[0].keys.contains("ServiceProviderName") && !rows[0].keys.contains("ProviderName"))
    }

    /// What the official validator lets pass (measured), and more.
    static let mutations: [(column: String, value: String)] = [
        ("ChargePeriodStart", "2025-10-04 22:00:00"), ("ChargePeriodStart", "2025-10-04T22:00:00+02:00"),
        ("ChargePeriodStart", "2025-10-04T22:00:00.123Z"), ("ChargeCategory", "usage"), ("ListCost", "99.000000000000"),
        ("ContractedCost", "8.400000000000"), ("Tags", #"{"team":["a"]}"#), ("BilledCost", "+8.400001"), ("BilledCost", "8,4"),
        ("PricingUnit", "1M tokens"), ("BillingCurrency", "usd"), ("ServiceSubcategory", "LLM"), ("BilledCost", "8"),
        ("ChargeClass", "Other"),
        ("PricingQuantity", ""), ("SkuId", ""), ("ConsumedQuantity", ""), ("ConsumedUnit", ""), ("BillingAccountId", ""),
        ("ChargePeriodEnd", "2025-10-04T22:00:00Z"), ("ChargePeriodEnd", "2025-12-04T22:00:00Z"), ("ListUnitPrice", "-1.000000000000"),
        ("SkuPriceDetails", "{"), ("x_RequestCount", "1.0"), ("ChargeFrequency", "Monthly"), ("ResourceType", ""),
    ]

    @Test("a row that breaks a rule is refused")
    func checks() async throws {
        let records = CSVReader.read(try await month(.focus12))
        let header = records[0]
        let place = try #require(header.firstIndex(of: "PricingQuantity"))
        let good = try #require(records.first { $0[place] == "8.400001000000" })
        var fine = FOCUSChecker(.v12)
        try fine.check(good)
        try fine.finish(invoice: "CB-2025-10-1", payable: Amount("8.400001")!)
        #expect(throws: FOCUSViolation.self, "another sum") { try fine.finish(invoice: "CB-2025-10-1", payable: Amount("8.41")!) }
        #expect(throws: FOCUSViolation.self, "another invoice") { try fine.finish(invoice: "CB-2025-10-2", payable: Amount("8.400001")!) }
        for (column, value) in Self.mutations {
            var cells = good
            cells[try #require(header.firstIndex(of: column))] = value
            var checker = FOCUSChecker(.v12)
            #expect(throws: FOCUSViolation.self, "\(column) = \(value)") { try checker.check(cells) }
        }
        var checker = FOCUSChecker(.v12)
        #expect(throws: FOCUSViolation.self) { try checker.check(Array(good.dropLast())) }
        // Of a commitment, what was bought without what became of it; and usage of what nobody used.
        let about = try #require(header.firstIndex(of: "ChargeDescription"))
        var half = FOCUSChecker(.v12)
        try half.check(try #require(records.first { $0[about] == "Commitment, tokens-2025" }))
        #expect(throws: FOCUSViolation.self) { try half.finish(invoice: "CB-2025-10-1", payable: Amount("12.34")!) }
        var unused = try #require(records.first { $0[about] == "Unused commitment, tokens-2025" })
        try half.check(unused)
        try half.finish(invoice: "CB-2025-10-1", payable: Amount("12.34")!)
        for column in ["ConsumedQuantity", "ConsumedUnit"] {
            unused[try #require(header.firstIndex(of: column))] = column == "ConsumedUnit" ? "Tokens" : "1.000000000000"
        }
        #expect(throws: FOCUSViolation.self) { try half.check(unused) }
        // What was paid for in advance is not billed again, and costs as much as it says.
        let status = try #require(header.firstIndex(of: "CommitmentDiscountStatus"))
        let used = try #require(records.first { $0[status] == "Used" })
        var whole = FOCUSChecker(.v12)
        try whole.check(used)
        #expect(throws: FOCUSViolation.self, "used and never bought") { try whole.finish(invoice: "CB-2025-10-1", payable: .zero) }
        for (column, value) in [
            ("BilledCost", "0.000100000000"), ("CommitmentDiscountQuantity", "0.000101000000"), ("CommitmentDiscountStatus", ""),
            ("CommitmentDiscountId", ""), ("PricingCategory", "Standard"), ("EffectiveCost", "0.000099000000"),
            ("ConsumedQuantity", ""), ("PricingQuantity", "0.000101000000"), ("CommitmentDiscountQuantity", ""),
        ] {
            var cells = used
            cells[try #require(header.firstIndex(of: column))] = value
            var checker = FOCUSChecker(.v12)
            #expect(throws: FOCUSViolation.self, "\(column) = \(value)") { try checker.check(cells) }
        }
    }

    /// Rules of model 1.2.0.1 in validator 2.2.1 that are wrong themselves: `InvoiceId` must be null, without a condition; and the
    /// condition of `CommitmentDiscountStatus` is the wrong way round.
    static let defects: Set<String> = [
        "InvoiceId-C-004-C", "CommitmentDiscountStatus-C-000-C", "CommitmentDiscountStatus-C-002-C", "CommitmentDiscountStatus-C-004-C",
    ]
    static let criteria = [
        "ACCOUNT_NAMING", "MULTIPLE_SUB_ACCOUNT_TYPES", "NEGOTIATED_PRICING", "PUBLIC_PRICE_LIST", "USAGE_MEASUREMENT", "UNIT_PRICING",
        "SUB_ACCOUNT", "TAGGING", "MULTIPLE_PRICING_CATEGORIES", "COMMITMENT_DISCOUNT",
    ].map { $0 + "_SUPPORTED" }.joined(separator: ",")

    /// Where `make focus` puts it.
    static let validator = URL(fileURLWithPath: #filePath).appending(path: "../../../.build/focus-validator").standardized

    @Test(
        "the official validator 2.2.1 finds nothing but its own defects",
        .enabled(if: FileManager.default.isExecutableFile(atPath: validator.path + "/bin/focus-validator"), "run `make focus` once"))
    func official() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "bursar-focus-\(UInt64.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(try await month(.focus12)).write(to: folder.appending(path: "month.csv"))
        // It opens its list of currencies relative to where it runs.
        let library = try FileManager.default.contentsOfDirectory(atPath: Self.validator.path + "/lib").first { $0.hasPrefix("python3") }
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/focus_validator",
            withDestinationPath: Self.validator.path + "/lib/\(try #require(library))/site-packages/focus_validator")
        let process = Process()
        process.executableURL = Self.validator.appending(path: "bin/focus-validator")
        process.currentDirectoryURL = folder
        process.arguments = [
            "--data-file", "month.csv", "--validate-version", "1.2", "--block-download", "--applicability-criteria", Self.criteria,
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        let failures = text.split(separator: "\n").filter { $0.hasPrefix("❌") }
        let failed = Set(failures.compactMap { $0.dropFirst(2).split(separator: ":").first.map(String.init) })
        #expect(failed == Self.defects, "\(text.suffix(4000))")
        let passed = try #require(text.firstMatch(of: #/Pass: (\d+)/#)).1
        #expect(try #require(Int(passed)) >= 301, "a rule was skipped without a word")
    }
}
