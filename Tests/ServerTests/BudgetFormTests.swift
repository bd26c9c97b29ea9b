/// The budget form through the API: rules that choose the model, caps of a tier, limits and who set them.
import HTTPTypes
import JSON
import Testing

@testable import Server

@Suite(.serialized) struct BudgetFormTests {
    /// A second model at a tenth of the price.
    private func addCheapModel(_ world: World) async throws {
        _ = try await world.served.owner.post("/v1/models", ["name": "model-b", "provider": "acme"])
        for (kind, amount) in [("input", "0.1"), ("output", "0.2")] {
            let price = try await world.served.owner.post(
                "/v1/prices",
                [
                    "model": "model-b", "usage_kind": .string(kind), "amount_per_million": .string(amount),
                    "valid_from": "2020-01-01T00:00:00Z",
                ])
            try #require(price.status == 201, "\(price)")
        }
    }

    private func spend(_ tokens: Int64, _ requestID: JSON, _ world: World) async throws {
        let event: JSON = ["request_id": requestID, "model": "model-a", "usage": ["input": .number(tokens)]]
        let answer = try await world.caller.post("/v1/usage", ["events": [event]])
        try #require(answer.body["results"]?[0]?["status"] == "booked", "\(answer)")
    }

    @Test("from its percentage on a budget degrades: the answer says which model serves, why, and says it again when asked again")
    func degrade() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            try await addCheapModel(world)
            let budget = try await world.budget("1")
            let rule: JSON = ["degrade": ["from_percent": 80, "models": ["model-a": "model-b"]]]
            let changed = try await served.owner.patch("/v1/budgets/\(budget)", rule)
            #expect(changed.status == 200 && changed.body["limit_version"] == 1, "\(changed)")
            #expect(changed.body["degrade"]?["models"] == ["model-a": "model-b"])
            #expect(try await world.reserve("before").body["degraded"] == false)
            try await spend(800_000, "spent", world)
            let held = try await world.reserve("after")
            #expect(held.status == 201 && held.body["model"] == "model-b" && held.body["requested_model"] == "model-a", "\(held)")
            #expect(held.body["degraded"] == true && held.body["final_call"] == false)
            #expect(held.body["held"]?["amount"] == "0.000120000000")
            let why: JSON = [["kind": "degraded", "budget": .string(budget), "model": "model-b", "from_percent": 80]]
            #expect(held.body["substitutions"] == why)
            let again = try await world.reserve("after")
            #expect(again.text == held.text)
            let read = try await world.caller.get("/v1/reservations/\(held.id)")
            #expect(read.body["substitutions"] == why && read.body["degraded"] == true, "\(read)")
            let allowance = try await world.caller.get("/v1/allowance?model=model-a")
            #expect(allowance.body["allowed"] == true && allowance.body["model"] == "model-b", "\(allowance)")
            #expect(allowance.body["degraded"] == true && allowance.body["substitutions"] == why)
            let ended = try await served.owner.patch("/v1/budgets/\(budget)", ["degrade": nil])
            #expect(ended.body["degrade"] == .null)
            #expect(try await world.reserve("without").body["model"] == "model-a")
        }
    }

    @Test("after a block the final calls go through, marked, and what they cost beyond the amount is shown as overage")
    func finalCall() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            try await addCheapModel(world)
            let budget = try await world.budget("1")
            let grant: JSON = ["calls": 1, "model": "model-b", "max_output_tokens": 50]
            let changed = try await served.owner.patch("/v1/budgets/\(budget)", ["final_call": grant])
            #expect(changed.status == 200 && changed.body["final_call"]?["calls"] == 1, "\(changed)")
            try await spend(1_000_000, "spent", world)
            let allowance = try await world.caller.get("/v1/allowance?model=model-a&input_tokens=1")
            #expect(allowance.body["allowed"] == true && allowance.body["final_call"] == true, "\(allowance)")
            let held = try await world.reserve("last")
            #expect(held.status == 201 && held.body["final_call"] == true && held.body["max_output_tokens"] == 50, "\(held)")
            #expect(held.body["model"] == "model-b" && held.body["degraded"] == false)
            #expect(try await world.reserve("one more").code == "budget_exceeded")
            let settled = try await world.caller.post("/v1/reservations/\(held.id)/settle", ["usage": ["input": 1000, "output": 50]])
            #expect(settled.body["final_call"] == true && settled.body["overage"]?["amount"] == "0.000110000000", "\(settled)")
            let periods = try await served.owner.get("/v1/budgets/\(budget)/periods")
            #expect(periods.body["data"]?[0]?["final_calls"] == 1 && periods.body["data"]?[0]?["overage"]?["amount"] == "0.000110000000")
            let minute = try await served.owner.post(
                "/v1/budgets", ["name": "M", "unit": "requests", "period": "minute", "amount": 9, "final_call": grant])
            #expect(minute.status == 422 && minute.faults == ["/final_call invalid_value"], "\(minute)")
        }
    }

    @Test("caps of a tier: too much input is 422, too many requests a minute 429; the budget that keeps the cap goes with the tier")
    func caps() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let tier = "/v1/tiers/\(world.tier)"
            let changed = try await served.owner.patch(tier, ["max_input_tokens": 1000, "max_requests_per_minute": 1])
            #expect(changed.status == 200 && changed.body["max_requests_per_minute"] == 1, "\(changed)")
            let large = try await world.reserve("large", input: 1001)
            #expect(large.status == 422 && large.code == "max_input_tokens_exceeded", "\(large)")
            #expect(large.body["tier"]?.string == world.tier && large.body["detail"]?.string?.contains("1000") == true)
            // Two of three calls are in one minute, whenever the minute ends.
            let answers = [try await world.reserve("r1"), try await world.reserve("r2"), try await world.reserve("r3")]
            let limited = try #require(answers.first { $0.status == 429 }, "\(answers)")
            #expect(limited.code == "max_requests_per_minute_exceeded" && answers[0].status == 201)
            #expect((1...60).contains(limited.headers[.retryAfter].flatMap { Int($0) } ?? 0))
            let budgets = try await served.owner.get("/v1/budgets")
            let kept = try #require(budgets.body["data"]?.array?.first { $0["tier"]?.string == world.tier }, "\(budgets)")
            let id = try #require(kept["id"]?.string)
            #expect(kept["amount"] == 1 && kept["period"] == "minute" && kept["per"] == "project")
            #expect(try await served.owner.patch("/v1/budgets/\(id)", ["amount": 5]).code == "in_use")
            #expect(try await served.owner.delete("/v1/budgets/\(id)").code == "in_use")
            _ = try await served.owner.patch(tier, ["max_requests_per_minute": 100])
            #expect(try await world.reserve("r4").status == 201)
            let limits = try await served.owner.get("/v1/budgets/\(id)/limits")
            #expect(limits.body["data"]?.array?.compactMap { $0["amount"] } == [100, 1], "\(limits)")
            let without = try await served.owner.patch(tier, ["max_requests_per_minute": nil, "max_input_tokens": nil])
            #expect(without.body["max_requests_per_minute"] == .null, "\(without)")
            #expect(try await world.reserve("large", input: 1001).status == 201)
            #expect(try await served.owner.get("/v1/budgets").body["data"]?.array?.isEmpty == true)
        }
    }

    @Test("a changed amount keeps who said what and when; one below what is committed refuses at once and shows by how much")
    func limits() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let budget = try await world.budget("1")
            try await spend(500_000, "spent", world)
            #expect(try await world.reserve("open", input: 300_000, output: 0).status == 201)
            let lowered = try await served.owner.patch("/v1/budgets/\(budget)", ["amount": "0.2"])
            #expect(lowered.body["over_committed"]?["amount"] == "0.600000000000" && lowered.body["limit_version"] == 2, "\(lowered)")
            #expect(try await world.reserve("refused", input: 1, output: 0).code == "budget_exceeded")
            let periods = try await served.owner.get("/v1/budgets/\(budget)/periods")
            #expect(periods.body["data"]?[0]?["over_committed"]?["amount"] == "0.600000000000", "\(periods)")
            let raised = try await served.owner.patch("/v1/budgets/\(budget)", ["amount": "0.9", "name": "Raised"])
            #expect(raised.body["over_committed"]?["amount"] == "0.000000000000", "\(raised)")
            #expect(try await world.reserve("admitted", input: 100_000, output: 0).status == 201)
            #expect(try await world.reserve("no more", input: 1, output: 0).code == "budget_exceeded")
            _ = try await served.owner.patch("/v1/budgets/\(budget)", ["name": "No new limit"])

            let limits = try await served.owner.get("/v1/budgets/\(budget)/limits?limit=2")
            let first = limits.body["data"]?.array ?? []
            #expect(first.compactMap { $0["limit_version"] } == [3, 2] && first.allSatisfy { $0["set_by"]?.string != nil }, "\(limits)")
            #expect(first.first?["amount"]?["amount"] == "0.900000000000" && first.first?["set_by_name"]?.string?.isEmpty == false)
            let cursor = try #require(limits.body["next_cursor"]?.string)
            let rest = try await served.owner.get("/v1/budgets/\(budget)/limits?limit=2&cursor=\(cursor)")
            #expect(rest.body["data"]?.array?.compactMap { $0["limit_version"] } == [1] && rest.body["next_cursor"] == .null, "\(rest)")
            #expect(try await world.caller.get("/v1/budgets/\(budget)/limits").status == 403)

            let each = try await served.owner.post(
                "/v1/budgets", ["name": "Each", "unit": "usd", "period": "day", "amount": "1", "per": "end_user"])
            #expect(each.status == 201 && each.body["over_committed"] == .null, "\(each)")
        }
    }
}
