/// Prepaid spend over its whole term: bought, drawn, given back, run out, left over; what closed months have drawn stays, and what teams
/// are charged is the same with it and without.
import Budgets
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Chargeback

@Suite("Commitments", .timeLimit(.minutes(5))) struct CommitmentTests {
    private let september = StatementMonth("2025-09")!
    private let october = StatementMonth("2025-10")!
    private let november = StatementMonth("2025-11")!
    private let december = StatementMonth("2025-12")!
    private let now = Instant(rfc3339: "2026-02-05T00:00:00Z")!

    /// October uses $9, November $5; a million input units cost $1, output units $2.
    private func withWorld(_ body: (ChargebackWorld, Store, StatementExport) async throws -> Void) async throws {
        try await withDatabase { database in
            let world = ChargebackWorld(database: database)
            try await world.create(
                costCenters: ["CC-1", "CC-2"],
                [
                    .init(at: "2025-10-05T10:00:00Z", attribution: 2, lines: [("input", 5_000_000, 1)]),
                    .init(at: "2025-10-06T10:00:00Z", attribution: 1, lines: [("input", 2_000_000, 1), ("output", 1_000_000, 2)]),
                    .init(at: "2025-11-07T10:00:00Z", attribution: 1, lines: [("input", 5_000_001, 1), ("thought", 11, nil)]),
                ])
            let pool = PostgresPool(database.serving, size: 2, logger: testLogger)
            let store = Store(pool: pool).store(of: world.organization)
            try await body(world, store, try await StatementExport(store: store, organization: world.organization))
            await pool.shutdown()
        }
    }

    @discardableResult private func buy(
        _ amount: String, from: String, until: String, in month: StatementMonth? = nil, provider: String = "openai",
        models: [String] = [], _ world: ChargebackWorld, _ store: Store
    ) async throws -> CommitmentRecord {
        let fromDate = try #require(CivilDate(from))
        return try await store.createCommitment(
            NewCommitment(
                id: CommitmentID(at: now), name: "Prepaid", provider: provider, models: models, amount: try #require(Amount(amount)),
                fromDate: fromDate, untilDate: try #require(CivilDate(until)),
                purchaseMonth: month ?? StatementMonth(year: fromDate.year, month: fromDate.month)!, invoice: "INV-7"),
            of: world.organization)
    }

    private func rows(_ month: StatementMonth, _ export: StatementExport, _ format: StatementFormat = .focus14) async throws -> [[String:
        String]]
    {
        CSVReader.table(try await bytes(month, export, format))
    }

    private func bytes(_ month: StatementMonth, _ export: StatementExport, _ format: StatementFormat) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        try await export.write(try await export.plan(format, month: month)) { bytes += $0 }
        return bytes
    }

    private func sum(_ rows: [[String: String]], _ column: String) throws -> Amount {
        try rows.reduce(.zero) { $0 + (try #require(Amount($1[column] ?? ""))) }
    }

    /// What there is to say of a month in short: the parts of its only commitment, and what is billed.
    private func state(_ month: StatementMonth, _ export: StatementExport) async throws -> String {
        let json = try await export.commitments(month: month)
        let part = try #require(json["commitments"]?[0])
        func text(_ name: String) -> String { (part[name]?["amount"]?.string).flatMap { Amount($0) }?.plain ?? "?" }
        let billed = (json["billed"]?["amount"]?.string).flatMap { Amount($0) }?.plain ?? "?"
        return ["bought", "drawn_before", "drawn", "left", "unused", "charged"].map { "\($0) \(text($0))" }.joined(separator: ", ")
            + "; billed \(billed)"
    }

    @Test("bought once, drawn on month by month, and what is left at its end is unused; open or closed, it is the same")
    func term() async throws {
        try await withWorld { world, store, export in
            try await buy("20.50", from: "2025-10-06", until: "2025-12-01", in: september, world, store)
            let states = [
                (september, "bought 20.5, drawn_before 0, drawn 0, left 20.5, unused 0, charged 0; billed 20.5"),
                // The fifth is before the term.
                (october, "bought 0, drawn_before 0, drawn 4, left 16.5, unused 0, charged 0; billed 5"),
                (november, "bought 0, drawn_before 4, drawn 5.000001, left 11.499999, unused 11.499999, charged 0; billed 0"),
            ]
            for (month, expected) in states { #expect(try await state(month, export) == expected) }
            #expect(try await export.commitments(month: december)["commitments"]?.array?.isEmpty == true)
            let open = try await [september, october, november].asyncMap { try await bytes($0, export, .focus12) }
            for month in [september, october, november] { try await world.close(month, store, at: now) }
            for (month, expected) in states { #expect(try await state(month, export) == expected) }
            #expect(try await [september, october, november].asyncMap { try await bytes($0, export, .focus12) } == open)

            let term = try await [september, october, november].asyncMap { try await rows($0, export) }
            let bought = try #require(term[0].first { $0["ChargeCategory"] == "Purchase" })
            #expect(bought["BilledCost"] == "20.500000000000" && bought["EffectiveCost"] == "0.000000000000")
            #expect(bought["ListCost"] == "20.500000000000" && bought["ContractedCost"] == "20.500000000000")
            #expect(bought["ChargePeriodStart"] == "2025-10-05T22:00:00Z" && bought["ChargePeriodEnd"] == "2025-11-30T23:00:00Z")
            #expect(bought["BillingPeriodStart"] == "2025-08-31T22:00:00Z" && bought["ChargeFrequency"] == "One-Time")
            #expect(bought["ChargeDescription"] == "Commitment, Prepaid, invoice INV-7" && bought["ConsumedQuantity"] == "")
            #expect(bought["CommitmentDiscountQuantity"] == "20.500000000000" && bought["CommitmentDiscountStatus"] == "")
            #expect(bought["PricingCategory"] == "Standard" && bought["ResourceId"] == bought["CommitmentDiscountId"])
            #expect(bought["ServiceProviderName"] == "OpenAI" && bought["SubAccountId"] == "" && bought["Tags"] == "")
            let used = term[1].filter { $0["CommitmentDiscountStatus"] == "Used" }
            #expect(used.count == 2 && used.allSatisfy { $0["BilledCost"] == "0.000000000000" && $0["PricingCategory"] == "Committed" })
            #expect(used.allSatisfy { $0["EffectiveCost"] == "2.000000000000" && $0["CommitmentDiscountQuantity"] == "2.000000000000" })
            #expect(
                used.allSatisfy {
                    $0["ResourceType"] == "API Key" && $0["ChargeFrequency"] == "Usage-Based" && $0["x_CostCenter"] == "CC-1"
                })
            let unused = try #require(term[2].first { $0["CommitmentDiscountStatus"] == "Unused" })
            #expect(unused["EffectiveCost"] == "11.499999000000" && unused["BilledCost"] == "0.000000000000")
            #expect(unused["PricingUnit"] == "USD" && unused["PricingQuantity"] == "11.499999000000" && unused["ConsumedQuantity"] == "")
            #expect(unused["ChargePeriodStart"] == "2025-10-31T23:00:00Z" && unused["ChargePeriodEnd"] == "2025-11-30T23:00:00Z")
            // Equality 4, read over the whole term as somebody else would.
            let own = term.flatMap(\.self).filter { $0["CommitmentDiscountId"] != "" }
            #expect(try sum(own.filter { $0["ChargeCategory"] == "Usage" }, "EffectiveCost") == sum(own, "BilledCost"))
            #expect(try sum(own.filter { $0["ChargeCategory"] == "Usage" }, "CommitmentDiscountQuantity") == Amount("20.5"))
        }
    }

    @Test("the line at which it runs out is two rows; nobody is charged any other cost for it")
    func border() async throws {
        try await withWorld { world, store, export in
            let before = try await StatementFormat.allCases.asyncMap { try await bytes(october, export, $0) }
            // The fifth comes before the sixth, though its project's line does not.
            try await buy("6.50", from: "2025-10-01", until: "2026-01-01", models: ["gpt-*"], world, store)
            let rows = try await rows(october, export)
            let input = rows.filter { $0["SkuMeter"] == "Input Tokens" && $0["x_CostCenter"] == "CC-1" }
            #expect(input.map { $0["ConsumedQuantity"] } == ["1500000.000000000000", "500000.000000000000"])
            #expect(input.map { $0["BilledCost"] } == ["0.000000000000", "0.500000000000"])
            #expect(input.map { $0["EffectiveCost"] } == ["1.500000000000", "0.500000000000"])
            #expect(input.map { $0["PricingCategory"] } == ["Committed", "Standard"])
            #expect(input.map { $0["x_RequestCount"] } == ["1", "0"], "the call counts once")
            #expect(input[0]["x_StatementLine"] == input[1]["x_StatementLine"])
            // $9 are used: 6.50 of them were paid with what is billed here, the rest is billed as it is.
            #expect(try sum(rows, "BilledCost") == Amount(whole: 9))
            let after = try await StatementFormat.allCases.asyncMap { try await bytes(october, export, $0) }
            for (index, format) in StatementFormat.allCases.enumerated() {
                #expect((after[index] == before[index]) == [.csv, .csvSummary, .journal].contains(format), "\(format)")
            }
            let json = try JSON.parse(try await bytes(october, export, .json))
            #expect(json["total"]?["cost"] == "9.000000000000" && json["total"]?["billed"] == "9.000000000000")
            #expect(json["commitments"]?[0]?["drawn"] == "6.500000000000")
            let draws = json["lines"]?.array?.compactMap { $0["draws"]?[0]?["amount"]?.string } ?? []
            #expect(draws.sorted() == ["1.500000000000", "5.000000000000"])
            #expect(try await state(november, export).hasPrefix("bought 0, drawn_before 6.5, drawn 0, left 0,"))
        }
    }

    @Test("what a closed month has drawn stays: a commitment cannot begin in one, and one that it has is not taken back")
    func closed() async throws {
        try await withWorld { world, store, export in
            let record = try await buy("100", from: "2025-10-01", until: "2026-01-01", world, store)
            try await world.close(october, store, at: now)
            let frozen = try await StatementFormat.allCases.asyncMap { try await bytes(october, export, $0) }
            let refused = AdminRefusal.unfit(
                pointer: "/from_date",
                "is in a closed month, which stays as it is: begin with 2025-11-01, the first day that is open, and with what was left then"
            )
            await #expect(throws: refused) { try await buy("5", from: "2025-10-31", until: "2026-01-01", world, store) }
            let late = AdminRefusal.unfit(pointer: "/purchase_month", "is closed: the first that is open is 2025-11")
            await #expect(throws: late) { try await buy("5", from: "2025-11-01", until: "2026-01-01", in: october, world, store) }
            await #expect(throws: AdminRefusal.self) {
                try await store.cancelCommitment(record.id, of: world.organization, ifRevision: nil, at: now)
            }
            // One that is bought later ends sooner, and so is drawn on first: from the open month on.
            try await buy("2", from: "2025-11-01", until: "2025-12-01", world, store)
            #expect(try await StatementFormat.allCases.asyncMap { try await bytes(october, export, $0) } == frozen)
            let used = try await rows(november, export).filter { $0["CommitmentDiscountStatus"] == "Used" }
            #expect(used.map { $0["EffectiveCost"] } == ["2.000000000000", "3.000001000000"])
            for statement: Query in [
                "UPDATE commitment_draws SET drawn = 0", "DELETE FROM commitment_draws", "UPDATE commitments SET amount = 1",
                "DELETE FROM commitments",
                "INSERT INTO commitment_draws SELECT organization_id, statement_id, edition, gen_random_uuid(), starts_at, ends_at, 0, 0, 0 FROM commitment_draws",
            ] {
                await #expect(throws: PostgresError.self, "\(statement.sql)") { try await world.sql([statement]) }
            }
            // Opened again it can be taken back, and the month closes without it.
            for actor in ["a", "b"] {
                _ = try await store.reopen(october, of: world.organization, by: actor, reason: "r", at: now) { _ in false }
            }
            _ = try await store.cancelCommitment(record.id, of: world.organization, ifRevision: nil, at: now)
            await #expect(throws: AdminRefusal.alreadyDecided("cancelled")) {
                try await store.cancelCommitment(record.id, of: world.organization, ifRevision: nil, at: now)
            }
            try await world.close(october, store, at: now)
            #expect(try await rows(october, export).allSatisfy { $0["CommitmentDiscountId"] == "" })
        }
    }

    @Test("corrections of a closed month draw, and give back, in the month that they are booked in, up to the term's last")
    func corrections() async throws {
        try await withWorld { world, store, export in
            try await buy("6", from: "2025-10-01", until: "2025-12-01", world, store)
            try await world.close(october, store, at: now)
            // All of it is drawn. A call of October was two million units smaller, another becomes known late, and a third is of no term.
            try await world.book(
                .init(at: "2025-11-20T10:00:00Z", attribution: 1, corrects: "2025-10-06T10:00:00Z", lines: [("input", -2_000_000, 1)]))
            try await world.book(
                .init(at: "2025-11-21T10:00:00Z", attribution: 2, corrects: "2025-10-30T10:00:00Z", lines: [("output", 250_000, 2)]))
            try await world.book(
                .init(at: "2025-11-21T10:00:00Z", attribution: 2, corrects: "2025-09-29T10:00:00Z", lines: [("input", 7, 1)]))
            #expect(
                try await state(november, export)
                    == "bought 0, drawn_before 6, drawn 0, left 0, unused 0, charged 0; billed 3.500008")
            let used = try await rows(november, export).filter { $0["CommitmentDiscountStatus"] == "Used" }
            let amounts = used.map { "\($0["ChargeClass"] ?? "") \($0["EffectiveCost"] ?? "")" }.sorted()
            #expect(amounts == [" 1.500000000000", "Correction -2.000000000000", "Correction 0.500000000000"], "\(used)")
            try await world.close(november, store, at: now)
            // The term is over, and what it came to is closed.
            try await world.book(
                .init(at: "2025-12-03T10:00:00Z", attribution: 1, corrects: "2025-11-07T10:00:00Z", lines: [("input", -1_000_000, 1)]))
            let late = try await rows(december, export)
            #expect(late.map { $0["BilledCost"] } == ["-1.000000000000"] && late[0]["CommitmentDiscountId"] == "")
        }
    }

    @Test("what nobody used can be charged to a project, and shared; the commitment's own sums stay")
    func charged() async throws {
        try await withWorld { world, store, export in
            let record = try await buy("10", from: "2025-10-01", until: "2025-11-01", world, store)
            #expect(try await state(october, export) == "bought 10, drawn_before 0, drawn 9, left 1, unused 1, charged 0; billed 10")
            for (amount, at) in [("0.75", "2025-10-31T12:00:00Z"), ("0.25", "2025-11-02T12:00:00Z")] {
                try await world.adjust(
                    try #require(Amount(amount)), as: .unusedCommitment, feature: record.id.description, project: 1, at: at, store, now: now
                )
            }
            await #expect(throws: AdminRefusal.unknownReference(pointer: "/feature")) {
                try await world.adjust(
                    Amount(whole: 1), as: .unusedCommitment, feature: "\(CommitmentID(high: 7, low: 7))", project: 1,
                    at: "2025-11-02T12:00:00Z", store, now: now)
            }
            #expect(try await state(october, export) == "bought 10, drawn_before 0, drawn 9, left 1, unused 1, charged 0.75; billed 10")
            #expect(
                try await state(november, export) == "bought 0, drawn_before 9, drawn 0, left 1, unused 0, charged 0.25; billed 5.000001")
            for (month, cost) in [(october, "0.75"), (november, "0.25")] {
                let rows = try await rows(month, export).filter { $0["CommitmentDiscountStatus"] == "Unused" }
                let project = rows.filter { $0["SubAccountId"] == ChargebackWorld.project(1).description }
                #expect(try sum(project, "EffectiveCost") == Amount(cost) && sum(rows, "BilledCost") == .zero)
                #expect(try sum(rows, "EffectiveCost") == (month == october ? Amount(whole: 1) : .zero))
                #expect(
                    rows.allSatisfy { $0["CommitmentDiscountId"] == record.id.description && $0["CommitmentDiscountName"] == "Prepaid" })
                #expect(
                    try await export.summary(month: month)["cost"]?["amount"]?.string
                        == (month == october ? "9.750000000000" : "5.250001000000"))
            }
            try await world.close(october, store, at: now)
            #expect(try await state(october, export) == "bought 10, drawn_before 0, drawn 9, left 1, unused 1, charged 0.75; billed 10")
        }
    }
}

extension Sequence {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async throws -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
