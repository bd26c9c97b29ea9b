/// Contracts and quarantine through the API: agreed prices are billed, implausible ones wait, a wrong one is put right beside itself, and other
/// names of a model are billed as the model.
import Budgets
import JSON
import Testing

@testable import Server

@Suite(.serialized) struct ContractedPriceTests {
    /// The world, and a model of the platform at $10 a million input tokens and $20 a million output tokens since 2020.
    private func withListed(_ body: @escaping @Sendable (Served, World) async throws -> Void) async throws {
        try await withServer { served in
            let platform = served.caller(served.operatorKey)
            let model = try await platform.post("/v1/models", ["name": "model-x", "provider": "acme", "aliases": ["model-x-latest"]])
            try #require(model.status == 201, "\(model)")
            for (kind, amount) in [("input", "10"), ("output", "20")] {
                let price = try await platform.post(
                    "/v1/prices",
                    [
                        "model": "model-x", "usage_kind": .string(kind), "amount_per_million": .string(amount),
                        "valid_from": "2020-01-01T00:00:00Z",
                    ])
                try #require(price.status == 201, "\(price)")
            }
            try await body(served, try await World.make(served))
        }
    }

    private func book(_ world: World, _ request: String, model: JSON = "model-x") async throws -> Caller.Answer {
        try await world.caller.post(
            "/v1/usage", ["events": [["request_id": .string(request), "model": model, "usage": ["input": 1_000_000]]]])
    }

    private func cost(_ answer: Caller.Answer) -> String? { answer.body["results"]?[0]?["cost"]?["amount"]?.string }

    @Test("a percentage off is shown, then written as explicit prices and billed; the same again changes nothing")
    func contract() async throws {
        try await withListed { served, world in
            let lines: JSON = [["provider": "acme", "percent_off": "15"]]
            let shown = try await served.owner.post("/v1/contracted-prices", ["lines": lines, "source": "deal", "dry_run": true])
            #expect(shown.status == 200 && shown.body["new"] == 2, "\(shown)")
            #expect(cost(try await book(world, "before")) == "10.000000000000", "shown is not written")
            let written = try await served.owner.post("/v1/contracted-prices", ["lines": lines, "source": "deal"])
            #expect(written.body["new"] == 2 && written.body["held_back"] == 0, "\(written)")
            #expect(cost(try await book(world, "after")) == "8.500000000000")
            let again = try await served.owner.post("/v1/contracted-prices", ["lines": lines, "source": "deal"])
            #expect(again.body["new"] == 0 && again.body["unchanged"] == 2, "\(again)")
            let unknown = try await served.owner.post(
                "/v1/contracted-prices",
                ["lines": [["provider": "acme", "percent_off": "1"], ["provider": "x", "percent_off": "1"]], "source": "s"])
            #expect(unknown.faults == ["/lines/1 unknown_reference"], "\(unknown)")
            #expect(
                try await served.caller(served.operatorKey).post("/v1/contracted-prices", ["lines": lines, "source": "s"]).status == 403)
        }
    }

    @Test("an implausible price waits; approved it is billed, rejected it is not proposed again")
    func quarantine() async throws {
        try await withListed { served, world in
            func agree(_ amount: JSON) async throws -> Caller.Answer {
                try await served.owner.post(
                    "/v1/contracted-prices",
                    ["lines": [["model": "model-x", "usage_kind": "input", "amount_per_million": amount]], "source": "deal"])
            }
            let held = try await agree("1")
            #expect(held.body["held_back"] == 1 && held.body["held"]?[0]?["reason"] == "too_large", "\(held)")
            #expect(cost(try await book(world, "held")) == "10.000000000000")
            let list = try await served.owner.get("/v1/price-proposals")
            let proposal = try #require(list.body["data"]?[0]?["id"]?.string, "\(list)")
            #expect(list.body["data"]?[0]?["current_per_million"]?["amount"] == "10.000000000000")
            let approved = try await served.owner.post("/v1/price-proposals/\(proposal)/approve")
            #expect(approved.body["state"] == "approved", "\(approved)")
            #expect(cost(try await book(world, "approved")) == "1.000000000000")
            #expect(try await served.owner.post("/v1/price-proposals/\(proposal)/reject").code == "in_use")

            #expect(try await agree("30").body["held_back"] == 1)
            #expect(try await agree("31").body["held_back"] == 1)
            let waiting = try await served.owner.get("/v1/price-proposals")
            #expect(waiting.body["data"]?.array?.compactMap { $0["amount_per_million"]?["amount"] } == ["31.000000000000"], "\(waiting)")
            let last = try #require(waiting.body["data"]?[0]?["id"]?.string)
            #expect(try await served.owner.post("/v1/price-proposals/\(last)/reject").body["state"] == "rejected")
            #expect(try await agree("31").body["held_back"] == 1)
            #expect(try await served.owner.get("/v1/price-proposals").body["data"] == [])
            let events = try await served.owner.get("/v1/audit-events?target=\(last)")
            #expect(events.body["data"]?[0]?["action"] == "price_proposal.changed", "\(events)")
        }
    }

    @Test("a wrong price is put right for its own time and stays on record; another name of a model is billed as the model")
    func corrected() async throws {
        try await withListed { served, world in
            let platform = served.caller(served.operatorKey)
            #expect(cost(try await book(world, "alias", model: "model-x-latest")) == "10.000000000000")
            let list = try await platform.get("/v1/prices?model=model-x")
            let wrong = try #require(
                list.body["data"]?.array?.first { $0["usage_kind"] == "input" }?["id"]?.string, "\(list)")
            let right = try await platform.post(
                "/v1/prices/\(wrong)/correct", ["amount_per_million": "12", "source": "the provider's letter"])
            #expect(right.status == 201 && right.body["valid_from"] == "2020-01-01T00:00:00Z", "\(right)")
            #expect(cost(try await book(world, "corrected")) == "12.000000000000")
            #expect(cost(try await book(world, "alias corrected", model: "model-x-latest")) == "12.000000000000")
            #expect(try await platform.get("/v1/prices/\(wrong)").body["replaced_by"]?.string == right.id)
            #expect(try await platform.post("/v1/prices/\(wrong)/correct", ["amount_per_million": "1", "source": "s"]).code == "in_use")
            let now = try await served.owner.get("/v1/prices?model=model-x")
            #expect(now.body["data"]?.array?.count == 2, "\(now)")
            let taken = try await platform.post("/v1/models", ["name": "other", "provider": "p", "aliases": ["model-x"]])
            #expect(taken.code == "name_taken", "\(taken)")
        }
    }
}
