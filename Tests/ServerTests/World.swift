/// A small organization made through the API: what most tests begin with.
import JSON
import Testing

@testable import Server

struct World: Sendable {
    let served: Served
    let team: String
    let tier: String
    let project: String
    /// A project's key.
    let caller: Caller

    /// One model at 1 $ a million input and 2 $ a million output tokens, one tier that has it, one team, one project, one key.
    static func make(_ served: Served) async throws -> World {
        let owner = served.owner
        let tier = try await owner.post(
            "/v1/tiers", ["name": "Standard", "rank": 1, "models": ["model-*"], "max_output_tokens": 1000])
        try #require(tier.status == 201, "\(tier)")
        let team = try await owner.post("/v1/teams", ["name": "Search", "cost_center": "CC-1"])
        let project = try await owner.post("/v1/projects", ["name": "Ranker", "team": .string(team.id), "tier": .string(tier.id)])
        try #require(project.status == 201, "\(project)")
        let key = try await owner.post("/v1/api-keys", ["name": "ci", "project": .string(project.id), "environment": "staging"])
        try #require(key.status == 201, "\(key)")
        let model = try await owner.post("/v1/models", ["name": "model-a", "provider": "acme"])
        try #require(model.status == 201, "\(model)")
        for (kind, amount) in [("input", "1"), ("output", "2")] {
            let price = try await owner.post(
                "/v1/prices",
                [
                    "model": "model-a", "usage_kind": .string(kind), "amount_per_million": .string(amount),
                    "valid_from": "2020-01-01T00:00:00Z",
                ])
            try #require(price.status == 201, "\(price)")
        }
        return World(
            served: served, team: team.id, tier: tier.id, project: project.id,
            caller: served.caller(try #require(key.body["secret"]?.string)))
    }

    func budget(_ amount: JSON, unit: JSON = "usd", period: JSON = "month", enforcement: JSON = "block") async throws -> String {
        let answer = try await served.owner.post(
            "/v1/budgets",
            [
                "name": "Search", "scope": ["team": .string(team)], "unit": unit, "period": period, "amount": amount,
                "enforcement": enforcement,
            ])
        try #require(answer.status == 201, "\(answer)")
        return answer.id
    }

    /// Closes a proposed month, unless it is closing already, and returns what it then is once its lines are frozen.
    @discardableResult func close(_ month: String) async throws -> JSON {
        let owner = served.owner
        let closing = try await owner.post(
            "/v1/statements/\(month)/close", ["accept": ["unpriced_usage", "unattributed_spend", "missing_cost_centers"]])
        try #require(closing.status == 202 || closing.code == "month_not_in_state", "\(closing)")
        while true {
            let list = try await owner.get("/v1/statements")
            let record = try #require(list.body["data"]?.array?.first { $0["month"]?.string == month })
            if record["state"] == "closed" { return record }
        }
    }

    func reserve(_ requestID: String, input: Int64 = 1000, output: Int64 = 100) async throws -> Caller.Answer {
        try await caller.post(
            "/v1/reservations",
            ["request_id": .string(requestID), "model": "model-a", "input_tokens": .number(input), "max_output_tokens": .number(output)])
    }
}
