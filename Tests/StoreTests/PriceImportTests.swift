// Importing prices must never rewrite what a past call was priced with, and must be seen by every organization at once.
import Budgets
import Postgres
import TestSupport
import Testing

@testable import Store

@Suite struct PriceImportTests {
    private let tenant = OrganizationID(high: 1, low: 1)
    private let before = Instant(seconds: 1_700_000_000)
    private let after = Instant(seconds: 1_800_000_000)

    private func list(_ input: String, output: String = "1e-05", provider: String = "openai") throws -> PriceList {
        try PriceList(
            json: Array(
                #"{"m":{"litellm_provider":"\#(provider)","input_cost_per_token":\#(input),"output_cost_per_token":\#(output)}}"#.utf8),
            name: "test")
    }

    private func withConnection(_ body: @Sendable (isolated PostgresConnection) throws -> Void) async throws {
        try await withDatabase { configuration in
            let pool = PostgresPool(configuration, size: 1, logger: testLogger)
            try await pool.withConnection { [tenant] connection in
                try connection.flight([
                    "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(tenant), 'Acme', 'UTC')",
                    "INSERT INTO fences (organization_id) VALUES (\(tenant))",
                ])
                try body(connection)
            }
            await pool.shutdown()
        }
    }

    @Test("An import is seen by every organization; the same one again changes nothing and disturbs nobody")
    func idempotent() async throws {
        let list = try list("2.5e-06")
        try await withConnection { [tenant, before, after] connection in
            func fences(_ connection: isolated PostgresConnection) throws -> [Fence] {
                let read = try Fences.decode(try connection.query(Fences.read([.platform, tenant])))
                return [try #require(read[.platform]), try #require(read[tenant])]
            }
            let plan = try connection.importPrices(list, at: before, dryRun: true)
            #expect(plan.newModels.count == 1 && plan.newRates.count == 2)
            #expect(try fences(connection) == [Fence(version: 1, configurationVersion: 1), Fence(version: 1, configurationVersion: 1)])
            #expect(try connection.query("SELECT 1::bigint FROM prices").rows.isEmpty)

            let first = try connection.importPrices(list, at: before)
            #expect(first.newModels == plan.newModels && first.newRates == plan.newRates)
            #expect(try fences(connection) == [Fence(version: 2, configurationVersion: 2), Fence(version: 2, configurationVersion: 2)])

            let second = try connection.importPrices(list, at: after)
            #expect(second.isEmpty && second.unchangedRates == 2)
            #expect(try fences(connection) == [Fence(version: 2, configurationVersion: 2), Fence(version: 2, configurationVersion: 2)])
        }
    }

    @Test("A new amount ends the old price and begins another; the past keeps its own")
    func change() async throws {
        let lists = (try list("2.5e-06"), try list("2e-06", provider: "azure"))
        try await withConnection { [before, after] connection in
            _ = try connection.importPrices(lists.0, at: before)
            let changes = try connection.importPrices(lists.1, at: after)
            #expect(changes.changedModels.map(\.provider) == ["azure"])
            #expect(changes.changedRates.map(\.slot.kind) == ["input"])
            let rows = try connection.query(
                "SELECT amount_per_million, valid_from, valid_to, source FROM prices WHERE usage_kind = 'input' ORDER BY valid_from"
            ).rows.map { try $0.decode(as: (Amount, Instant, Instant?, String).self) }
            #expect(rows.map(\.0.plain) == ["2.5", "2"])
            #expect(rows.map(\.1) == [before, after])
            #expect(rows.map(\.2) == [after, nil])
            #expect(try connection.query("SELECT provider FROM models").rows.map { try $0.decode(as: String.self) } == ["azure"])
        }
    }

    @Test("What a list is silent about stays as it is known")
    func silence() async throws {
        let lists = try [#""max_output_tokens":4096,"#, "", #""max_output_tokens":8192,"#].map { maximum in
            try PriceList(json: Array(#"{"m":{\#(maximum)"litellm_provider":"p","input_cost_per_token":1e-06}}"#.utf8), name: "test")
        }
        try await withConnection { [before, after] connection in
            for (list, expected) in zip(lists, [4096, 4096, 8192] as [Int64]) {
                _ = try connection.importPrices(list, at: expected == 4096 ? before : after)
                let maximum = try connection.query("SELECT max_output_tokens FROM models").rows.map { try $0.decode(as: Int64?.self) }
                #expect(maximum == [expected])
            }
            #expect(try connection.importPrices(lists[1], at: after).isEmpty)
        }
    }

    @Test("An implausible change is held back until the model is accepted by name")
    func heldBack() async throws {
        let lists = (try list("1e-06"), try list("1e-05"))
        try await withConnection { [before, after] connection in
            _ = try connection.importPrices(lists.0, at: before)
            let held = try connection.importPrices(lists.1, at: after)
            #expect(held.heldBack.count == 1 && held.isEmpty)
            #expect(try connection.importPrices(lists.1, at: after).heldBack.count == 1, "and again")
            let waiting = try connection.query("SELECT state, reason, current_amount, amount_per_million FROM price_proposals").rows.map {
                try $0.decode(as: (String, String, Amount?, Amount).self)
            }
            #expect(waiting.map(\.0) == ["proposed"] && waiting.map(\.1) == ["too_large"], "it waits once")
            #expect(waiting.map { $0.2?.plain } == ["1"] && waiting.map(\.3.plain) == ["10"])
            #expect(try connection.query("SELECT 1::bigint FROM prices").rows.count == 2)
            let accepted = try connection.importPrices(lists.1, at: after, accepting: ["m"])
            #expect(accepted.changedRates.count == 1 && accepted.heldBack.isEmpty)
        }
    }
}
