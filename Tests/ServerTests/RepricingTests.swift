/// Re-pricing a span: what a wrong price booked is taken back and booked again, to the last digit, and every law still holds.
import Budgets
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct RepricingTests {
    private func reprice(
        _ served: Served, isPreview: Bool, from: Instant = Instant.now().adding(seconds: -3600), models: String? = nil
    ) async throws -> RepricingReport {
        let pool = PostgresPool(served.database, size: 1, logger: testLogger)
        let store = Store(pool: pool)
        let organization = try #require(OrganizationID(try await served.owner.get("/v1/organization").id))
        let span = RepricingSpan(from: from, to: Instant.now().adding(seconds: 3600), models: models.flatMap { Pattern($0) })
        let report = try await store.reprice(span, of: organization, isPreview: isPreview, at: .now())
        await pool.shutdown()
        return report
    }

    private func contradictions(_ served: Served) async throws -> [String] {
        let pool = PostgresPool(served.database, size: 1, logger: testLogger)
        let report = try await pool.withConnection { connection in try Check.run(on: connection) }
        await pool.shutdown()
        return report.findings.filter { $0.count > 0 }.map { "\($0.fact.name): \($0.samples.map(\.what))" }
    }

    private func correct(_ served: Served, _ kind: String, to amount: JSON) async throws {
        let prices = try await served.owner.get("/v1/prices?model=model-a")
        let id = try #require(prices.body["data"]?.array?.first { $0["usage_kind"]?.string == kind }?["id"]?.string, "\(prices)")
        let right = try await served.owner.post("/v1/prices/\(id)/correct", ["amount_per_million": amount, "source": "a letter"])
        try #require(right.status == 201, "\(right)")
    }

    @Test("a price found wrong: shown, booked, counted by budgets and statement, and done once")
    func wrongPrice() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let dollars = try await world.budget("3")
            let tokens = try await world.budget(10_000_000, unit: "tokens")
            for (id, tokens) in [("a", 1_000_000), ("b", 2_000_000)] as [(String, Int64)] {
                let event: JSON = ["request_id": .string(id), "model": "model-a", "usage": ["input": .number(tokens), "output": 7]]
                let booked = try await world.caller.post("/v1/usage", ["events": [event]])
                #expect(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
            }
            #expect(try await reprice(served, isPreview: true).corrected == 0, "nothing is wrong yet")
            try await correct(served, "input", to: "1.5")
            let shown = try await reprice(served, isPreview: true)
            #expect(shown.entries == 2 && shown.corrected == 2 && shown.difference == Money("1.5"), "\(shown)")
            #expect(shown.models["model-a"]?.before == Money("3.000028") && shown.models["model-a"]?.after == Money("4.500028"))
            func settled(_ budget: String) async throws -> JSON? {
                try await served.owner.get("/v1/budgets/\(budget)/periods").body["data"]?[0]?["settled"]
            }
            #expect(try await settled(dollars)?["amount"] == "3.000028000000", "shown is not booked")
            #expect(try await reprice(served, isPreview: true, models: "other*").entries == 0)

            #expect(try await reprice(served, isPreview: false) == shown)
            #expect(try await settled(dollars)?["amount"] == "4.500028000000")
            #expect(try await settled(tokens) == 3_000_014, "what was used was not in doubt")
            let month = String(try #require(try await served.owner.get("/v1/teams").body["data"]?[0]?["created_at"]?.string).prefix(7))
            let statement = try await served.owner.get("/v1/statements/\(month)")
            #expect(statement.body["cost"]?["amount"] == "4.500028000000" && statement.body["calls"] == 2, "\(statement)")
            let refused = try await world.reserve("more")
            #expect(refused.code == "budget_exceeded", "the next decision knows: \(refused)")
            #expect(try await contradictions(served) == [])

            let again = try await reprice(served, isPreview: false)
            #expect(again.corrected == 0 && again.entries == 2, "\(again)")
            try await correct(served, "input", to: "1")
            #expect(try await reprice(served, isPreview: false).difference == Money("-1.5"), "what was corrected can be corrected")
            #expect(try await settled(dollars)?["amount"] == "3.000028000000")
            #expect(try await contradictions(served) == [])
        }
    }

    @Test("a kind without a price stays as it is until it has one, from whenever that holds")
    func unpriced() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let held = try await world.reserve("r", input: 1000, output: 100)
            let settled = try await world.caller.post(
                "/v1/reservations/\(held.id)/settle", ["usage": ["input": 100, "cached_input": 900, "output": 10]])
            // Without a price the cached tokens cost what was left of the hold.
            #expect(settled.body["cost"]?["amount"] == "0.001200000000", "\(settled)")
            #expect(try await reprice(served, isPreview: false).unpriced == 1)
            let price = try await served.owner.post(
                "/v1/prices",
                ["model": "model-a", "usage_kind": "cached_input", "amount_per_million": "0.1", "valid_from": "2020-01-01T00:00:00Z"])
            #expect(price.status == 201, "\(price)")
            let report = try await reprice(served, isPreview: false)
            // 100 × 1 + 900 × 0.1 + 10 × 2 dollars a million.
            #expect(report.unpriced == 0 && report.models["model-a"]?.after == Money("0.00021"), "\(report)")
            #expect(try await contradictions(served) == [])
        }
    }
}
