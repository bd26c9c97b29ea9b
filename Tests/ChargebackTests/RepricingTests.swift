/// A wrong price of a closed month: the month stays the same bytes, and what it should have cost is a correction in the open one.
import Budgets
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Chargeback

@Suite("Re-pricing closed months") struct RepricingTests {
    private let september = StatementMonth("2025-09")!
    private let december = StatementMonth("2025-12")!
    private let now = Instant(rfc3339: "2025-12-02T12:00:00Z")!

    @Test("the difference is booked in the open month, of the day of the calls; and can itself be corrected")
    func closed() async throws {
        try await withDatabase { database in
            let world = ChargebackWorld(database: database)
            try await world.create(
                costCenters: ["CC-1"],
                [
                    .init(at: "2025-09-10T12:00:00Z", attribution: 1, feature: "chat", lines: [("input", 1_000_000, 1)]),
                    .init(at: "2025-09-11T12:00:00Z", attribution: 1, lines: [("output", 3, 2)]),
                ])
            let pool = PostgresPool(database, size: 2, logger: testLogger)
            let serving = PostgresPool(database.serving, size: 2, logger: testLogger)
            let store = Store(pool: serving).store(of: world.organization)
            try await world.close(september, store, at: now)
            let frozen = try await file(.json, september, world, store)
            let focus = try await file(.focus14, september, world, store)

            let span = RepricingSpan(from: september.span(in: .utc).start, to: september.span(in: .utc).end, models: nil)
            func reprice(isPreview: Bool = false) async throws -> RepricingReport {
                try await store.reprice(span, of: world.organization, isPreview: isPreview, at: now)
            }
            var wrong = ChargebackWorld.price("input")
            func correct(to amount: Int64) async throws {
                let right = PriceCorrection(
                    id: PriceID(at: now), replacing: wrong, amountPerMillion: Amount(whole: amount), source: "letter")
                wrong = try await store.correctPrice(right, of: world.organization).id
            }
            try await correct(to: 3)
            let shown = try await reprice(isPreview: true)
            #expect(shown.entries == 2 && shown.corrected == 1 && shown.difference == Amount(whole: 2))
            #expect(try await reprice() == shown)
            #expect(try await reprice().corrected == 0, "once")
            let corrections = CSVReader.table(try await file(.focus14, december, world, store))
            #expect(corrections.map { $0["ChargeClass"] } == ["Correction", "Correction"])
            #expect(Set(corrections.map { $0["BilledCost"] }) == ["-1.000000000000", "3.000000000000"])
            #expect(corrections.allSatisfy { $0["ChargePeriodStart"] == "2025-09-09T22:00:00Z" && $0["x_Feature"] == "chat" })

            try await correct(to: 2)
            #expect(try await reprice().difference == Amount(whole: -1), "what corrects a closed month is found by the time of its call")
            let json = try JSON.parse(try await file(.json, december, world, store))
            #expect(json["total"]?["cost"] == "1.000000000000" && json["total"]?["calls"] == 0, "\(json.text)")
            #expect(try await file(.json, september, world, store) == frozen)
            #expect(try await file(.focus14, september, world, store) == focus)
            let report = try await pool.withConnection { try Check.run(world.organization, on: $0) }
            for finding in report.findings where finding.fact.law == 5 { #expect(finding.count == 0, "\(finding.samples)") }
            await serving.shutdown()
            await pool.shutdown()
        }
    }

    private func file(
        _ format: StatementFormat, _ month: StatementMonth, _ world: ChargebackWorld, _ store: Store
    ) async throws -> [UInt8] {
        let export = try await StatementExport(store: store, organization: world.organization)
        var bytes: [UInt8] = []
        try await export.write(try await export.plan(format, month: month)) { bytes += $0 }
        return bytes
    }
}
