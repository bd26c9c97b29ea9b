/// A call's way through the API: hold, settlement, release, refusals, usage told afterwards.
import HTTPTypes
import JSON
import Testing

@testable import Server

@Suite(.serialized) struct CallTests {
    @Test("a hold, its settlement and both again: exact money, the first answer twice, other content refused")
    func wayOfACall() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let budget = try await world.budget("1")
            let held = try await world.reserve("r1")
            #expect(held.status == 201, "\(held)")
            #expect(held.body["held"] == ["amount": "0.001200000000", "currency": "USD"])
            #expect(held.body["budgets"]?[0]?["id"]?.string == budget)
            #expect(held.body["budgets"]?[0]?["remaining"]?["amount"] == "0.998800000000")
            let again = try await world.reserve("r1")
            #expect(again.status == 201 && again.text == held.text, "\(again)")
            #expect(again.headers[.idempotencyReplayed] == "true")
            #expect(try await world.reserve("r1", input: 7).code == "request_conflict")

            let usage: JSON = ["usage": ["input": 1000, "output": 50], "latency_ms": 910, "provider_request_id": "p"]
            let settled = try await world.caller.post("/v1/reservations/\(held.id)/settle", usage)
            #expect(settled.status == 200, "\(settled)")
            #expect(settled.body["cost"]?["amount"] == "0.001100000000")
            #expect(settled.body["released"]?["amount"] == "0.000100000000")
            #expect(settled.body["overage"]?["amount"] == "0.000000000000")
            #expect(settled.body["late"] == false)
            let settledAgain = try await world.caller.post("/v1/reservations/\(held.id)/settle", usage)
            #expect(settledAgain.text == settled.text && settledAgain.headers[.idempotencyReplayed] == "true")
            let other = try await world.caller.post("/v1/reservations/\(held.id)/settle", ["usage": ["input": 1]])
            #expect(other.code == "reservation_resolved")
            let read = try await world.caller.get("/v1/reservations/\(held.id)")
            #expect(read.body["state"] == "settled" && read.body["cost"]?["amount"] == "0.001100000000", "\(read)")

            let periods = try await served.owner.get("/v1/budgets/\(budget)/periods")
            #expect(periods.body["data"]?.array?.count == 1, "\(periods)")
            #expect(periods.body["data"]?[0]?["settled"]?["amount"] == "0.001100000000")
            #expect(periods.body["data"]?[0]?["held"]?["amount"] == "0.000000000000")
            #expect(periods.body["data"]?[0]?["used_percent"] == "0.11")
        }
    }

    @Test("a budget without room refuses with 402 and says which; a rate limit with 429 and when to come back")
    func refusals() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let budget = try await world.budget("0.0012")
            let first = try await world.reserve("r1")
            #expect(first.status == 201)
            let refused = try await world.reserve("r2")
            #expect(refused.status == 402 && refused.code == "budget_exceeded", "\(refused)")
            #expect(refused.body["budget"]?["id"]?.string == budget && refused.body["scope"] == "team")
            #expect(refused.body["resets_at"]?.string != nil)
            #expect(refused.headers[.retryAfter] == nil && refused.headers[.init("x-should-retry")!] == "false")
            let allowance = try await world.caller.get("/v1/allowance?model=model-a&input_tokens=1")
            #expect(allowance.body["allowed"] == false && allowance.body["code"] == "budget_exceeded", "\(allowance)")
            let released = try await world.caller.post("/v1/reservations/\(first.id)/release")
            #expect(released.status == 200 && released.body["state"] == "released", "\(released)")
            let free = try await world.caller.get("/v1/allowance?model=model-a&max_output_tokens=100")
            #expect(free.body["allowed"] == true && free.body["models"] == ["model-a"], "\(free)")
            #expect(try await world.reserve("r2").status == 201)

            _ = try await world.budget(0, unit: "requests", period: "minute")
            let limited = try await world.reserve("r3")
            #expect(limited.status == 429 && limited.code == "rate_limited", "\(limited)")
            let wait = limited.headers[.retryAfter].flatMap { Int($0) } ?? 0
            #expect((1...60).contains(wait))
        }
    }

    @Test(
        "what is refused before any budget is asked",
        arguments: [
            ("model-zzz", 404, "model_unknown"), ("other", 403, "model_not_allowed"), ("model-free", 422, "model_unpriced"),
        ])
    func models(model: String, status: Int, code: String) async throws {
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await world.budget("1")
            for name in ["other", "model-free"] {
                _ = try await served.owner.post("/v1/models", ["name": .string(name), "provider": "acme"])
            }
            _ = try await served.owner.post("/v1/prices", ["model": "other", "usage_kind": "input", "amount_per_million": "1"])
            _ = try await served.owner.post("/v1/prices", ["model": "other", "usage_kind": "output", "amount_per_million": "1"])
            let answer = try await world.caller.post(
                "/v1/reservations", ["request_id": "r", "model": .string(model), "input_tokens": 1])
            #expect(answer.status == status && answer.code == code, "\(answer)")
        }
    }

    @Test("usage told afterwards is booked event by event: good, repeated, wrong")
    func usage() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await world.budget("1")
            let good: JSON = ["request_id": "u1", "model": "model-a", "usage": ["input": 1_000_000]]
            let bad: JSON = ["request_id": "u2", "model": "model-a", "usage": ["input": -1, "Output": 2], "surprise": 1]
            let answer = try await world.caller.post("/v1/usage", ["events": [good, bad, 7]])
            #expect(answer.status == 200, "\(answer)")
            #expect(answer.body["results"]?[0]?["status"] == "booked")
            #expect(answer.body["results"]?[0]?["cost"]?["amount"] == "1.000000000000")
            #expect(answer.body["results"]?[1]?["status"] == "invalid")
            let pointers = answer.body["results"]?[1]?["errors"]?.array?.compactMap { $0["pointer"]?.string } ?? []
            #expect(pointers.sorted() == ["/surprise", "/usage/Output", "/usage/input"])
            #expect(answer.body["results"]?[2]?["status"] == "invalid")
            let again = try await world.caller.post("/v1/usage", ["events": [good]])
            #expect(again.body["results"]?[0]?["status"] == "duplicate", "\(again)")
        }
    }

    @Test("a revoked key is refused at the next call, although the server remembers it")
    func revoked() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await world.budget("1")
            #expect(try await world.reserve("r1").status == 201)
            let keys = try await served.owner.get("/v1/api-keys")
            let key = try #require(keys.body["data"]?.array?.first { $0["name"] == "ci" }?["id"]?.string)
            #expect(try await served.owner.post("/v1/api-keys/\(key)/revoke").status == 200)
            let refused = try await world.reserve("r2")
            #expect(refused.status == 401 && refused.code == "unauthenticated", "\(refused)")
            #expect(try await world.caller.get("/v1/allowance?model=model-a").status == 401)
        }
    }
}
