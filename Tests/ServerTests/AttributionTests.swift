/// Whose spend it is: calls must carry the tags that the organization asks for, what lacks them is seen, and categories follow their budget.
import HTTPTypes
import JSON
import Testing

@testable import Server

@Suite(.serialized) struct AttributionTests {
    private func event(_ id: String, _ tags: JSON?, feature: String = "f") -> JSON {
        var members: [(String, JSON)] = [
            ("request_id", .string(id)), ("model", "model-a"), ("usage", ["input": 1_000_000]), ("feature", .string(feature)),
        ]
        if let tags { members.append(("tags", tags)) }
        return .object(members)
    }

    @Test("a blocking policy refuses a reservation with each tag that is wrong; at once, and no longer once it is changed")
    func policy() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await world.budget("10")
            func reserve(_ id: String, _ tags: JSON) async throws -> Caller.Answer {
                try await world.caller.post(
                    "/v1/reservations", ["request_id": .string(id), "model": "model-a", "input_tokens": 1, "tags": tags])
            }
            #expect(try await reserve("free", [:]).status == 201)
            let rules: JSON = [
                ["tag": "project-id", "project": true], ["tag": "customer", "values": ["acme*", "globex"]],
                ["tag": "a/b", "required": false, "values": ["x"]],
            ]
            let made = try await served.owner.put("/v1/tag-policy", ["enforcement": "block", "tags": rules])
            #expect(made.status == 200 && made.body["tags"]?[1]?["values"] == ["acme*", "globex"], "\(made)")
            #expect(try await served.owner.get("/v1/tag-policy").text == made.text)
            let refused = try await reserve("r1", ["project-id": "nobody", "a/b": "y"])
            #expect(
                refused.status == 422
                    && refused.faults == ["/tags/a~1b invalid_value", "/tags/customer missing", "/tags/project-id unknown_reference"],
                "\(refused)")
            #expect(try await reserve("r1", ["project-id": "Ranker", "customer": "acme-eu"]).status == 201)
            #expect(try await reserve("r2", ["project-id": .string(world.project), "customer": "globex", "a/b": "x"]).status == 201)
            #expect(try await world.caller.get("/v1/allowance?model=model-a").body["allowed"] == true, "a question has no tags")
            #expect(try await served.owner.put("/v1/tag-policy", ["tags": rules]).body["enforcement"] == "warn")
            #expect(try await reserve("r3", [:]).status == 201)
        }
    }

    @Test("what was booked without its tags, or without a cost centre, is a line of its own")
    func unattributed() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let put = try await served.owner.put(
                "/v1/tag-policy", ["enforcement": "block", "tags": [["tag": "customer"]]])
            #expect(put.status == 200)
            let events = [event("tagged", ["customer": "acme"]), event("untagged", nil), event("empty", [:])]
            let booked = try await world.caller.post("/v1/usage", ["events": .array(events)])
            #expect(booked.body["results"]?.array?.allSatisfy { $0["status"] == "booked" } == true, "its money is spent: \(booked)")
            let month = String(try #require(try await served.owner.get("/v1/teams").body["data"]?[0]?["created_at"]?.string).prefix(7))
            let first = try await served.owner.get("/v1/statements/\(month)/unattributed")
            #expect(first.body["calls"] == 2 && first.body["cost"]?["amount"] == "2.000000000000", "\(first)")
            #expect(first.body["data"]?[0]?["lacks"] == ["tags"] && first.body["data"]?[0]?["project"]?.string == world.project)
            _ = try await served.owner.patch("/v1/teams/\(world.team)", ["cost_center": nil])
            _ = try await world.caller.post("/v1/usage", ["events": [event("homeless", ["customer": "acme"])]])
            let second = try await served.owner.get("/v1/statements/\(month)/unattributed")
            #expect(second.body["calls"] == 3 && second.body["data"]?.array?.count == 2, "\(second)")
            #expect(second.body["data"]?.array?.contains { $0["lacks"] == ["cost_center"] } == true)
            let whole = try await served.owner.get("/v1/statements/\(month)")
            #expect(whole.body["cost"]?["amount"] == "4.000000000000")
        }
    }

    @Test("a share follows its budget, is told when it is passed, and refuses nobody")
    func shares() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let budget = try await world.budget("10")
            func share(_ name: JSON, _ percent: JSON, _ match: JSON) async throws -> Caller.Answer {
                try await served.owner.post("/v1/budgets/\(budget)/shares", ["name": name, "percent": percent, "match": match])
            }
            let chat = try await share("Chat", "40", ["features": ["chat*"]])
            #expect(chat.status == 201 && chat.body["amount"]?["amount"] == "4.000000000000", "\(chat)")
            #expect(chat.body["share"] == ["of": .string(budget), "percent": "40"] && chat.body["enforcement"] == "warn")
            #expect(chat.body["scope"] == ["team": .string(world.team)] && chat.body["thresholds"] == [100])
            let code = try await share("Code", "33.3333", ["features": ["code*"]])
            #expect(code.body["amount"]?["amount"] == "3.333330000000", "\(code)")
            #expect(try await share("Rest", "27", ["features": ["x"]]).faults == ["/percent out_of_range"])
            #expect(try await share("All", "1", [:]).faults == ["/match invalid_value"])
            let nested = try await served.owner.post(
                "/v1/budgets/\(chat.id)/shares", ["name": "N", "percent": "1", "match": ["features": ["x"]]])
            #expect(nested.code == "in_use", "\(nested)")
            #expect(try await served.owner.patch("/v1/budgets/\(chat.id)", ["amount": "5"]).code == "in_use")

            #expect(try await served.owner.patch("/v1/budgets/\(budget)", ["amount": "20"]).status == 200)
            let followed = try await served.owner.get("/v1/budgets/\(chat.id)")
            #expect(followed.body["amount"]?["amount"] == "8.000000000000" && followed.body["limit_version"] == 2, "\(followed)")
            let limits = try await served.owner.get("/v1/budgets/\(chat.id)/limits")
            #expect(limits.body["data"]?.array?.count == 2, "\(limits)")

            let events = (1...9).map { event("c\($0)", nil, feature: "chat-web") }
            let booked = try await world.caller.post("/v1/usage", ["events": .array(events)])
            #expect(booked.body["results"]?.array?.allSatisfy { $0["status"] == "booked" } == true, "\(booked)")
            let alerts = try await served.owner.get("/v1/alerts")
            let told = alerts.body["data"]?.array?.filter { $0["budget"]?["id"]?.string == chat.id } ?? []
            #expect(told.count == 1 && told[0]["threshold"] == 100, "\(alerts)")
            let held = try await world.caller.post(
                "/v1/reservations", ["request_id": "more", "model": "model-a", "input_tokens": 1, "feature": "chat-web"])
            #expect(held.status == 201, "\(held)")
            #expect(try await served.owner.delete("/v1/budgets/\(budget)").status == 204)
            #expect(try await served.owner.get("/v1/budgets/\(code.id)").body["archived_at"]?.string != nil)
        }
    }
}
