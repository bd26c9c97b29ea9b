/// Structure, catalogue and budgets through the API: what is made can be read, listed, changed and put away, by those who may.
import HTTPTypes
import JSON
import Postgres
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct AdministrationTests {
    @Test("a cost centre is set for a date to come; until then the old one is shown and charged, and a later change replaces it")
    func costCenters() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            for path in ["/v1/teams/\(world.team)", "/v1/projects/\(world.project)"] {
                let own = try await served.owner.patch(path, ["cost_center": "CC-1"])
                #expect(own.body["cost_center"] == "CC-1" && own.body["next_cost_center_from"] == .null, "\(own)")
                let dated = try await served.owner.patch(path, ["cost_center": "CC-2", "cost_center_from": "2099-01-01T00:00:00Z"])
                #expect(dated.body["cost_center"] == "CC-1" && dated.body["next_cost_center"] == "CC-2", "\(dated)")
                #expect(dated.body["next_cost_center_from"] == "2099-01-01T00:00:00Z", "\(dated)")
                let faults = try await served.owner.patch(path, ["cost_center_from": "2020-01-01T00:00:00Z"]).faults
                #expect(faults == ["/cost_center missing", "/cost_center_from out_of_range"])
                let again = try await served.owner.patch(path, ["cost_center": "CC-3"])
                #expect(again.body["cost_center"] == "CC-3" && again.body["next_cost_center"] == .null, "\(again)")
            }
            #expect(try await world.reserve("r").status == 201)
            let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
            let charged = try await connection.query("SELECT cost_center FROM attributions")
            #expect(try charged.rows.map { try $0.decode(as: String?.self) } == ["CC-3"])
            await connection.close()
        }
    }

    @Test("a team: made, read, listed, changed under its revision, kept while it has projects, archived")
    func team() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let owner = served.owner
            let read = try await owner.get("/v1/teams/\(world.team)")
            #expect(read.body["name"] == "Search" && read.headers[.eTag] == "\"1\"", "\(read)")
            let changed = try await owner.patch("/v1/teams/\(world.team)", ["name": "Find", "cost_center": nil], ifMatch: "\"1\"")
            #expect(changed.body["name"] == "Find" && changed.body["cost_center"] == .null && changed.body["revision"] == 2, "\(changed)")
            let stale = try await owner.patch("/v1/teams/\(world.team)", ["name": "Lost"], ifMatch: "\"1\"")
            #expect(stale.status == 412 && stale.code == "revision_mismatch", "\(stale)")
            #expect(try await owner.delete("/v1/teams/\(world.team)").code == "in_use")
            #expect(try await owner.post("/v1/teams", ["name": "Find"]).code == "name_taken")
            #expect(try await owner.delete("/v1/projects/\(world.project)").status == 204)
            #expect(try await owner.delete("/v1/teams/\(world.team)").status == 204)
            #expect(try await owner.get("/v1/teams").body["data"] == [])
            #expect(try await owner.get("/v1/teams/\(world.team)").body["archived_at"]?.string != nil)
            #expect(try await owner.patch("/v1/teams/\(world.team)", ["name": "X"]).code == "archived")
            #expect(try await owner.post("/v1/teams", ["name": "Find"]).status == 201)
        }
    }

    @Test("a list comes in pages that hold each row once")
    func pages() async throws {
        try await withServer { served in
            for number in 0..<7 { _ = try await served.owner.post("/v1/teams", ["name": .string("T\(number)")]) }
            var names: [String] = []
            var path: String? = "/v1/teams?limit=3"
            var pages = 0
            while let next = path {
                let page = try await served.owner.get(next)
                names += page.body["data"]?.array?.compactMap { $0["name"]?.string } ?? []
                path = page.body["next_cursor"]?.string.map { "/v1/teams?limit=3&cursor=\($0)" }
                pages += 1
            }
            #expect(pages == 3 && names == (0..<7).map { "T\($0)" })
        }
    }

    @Test("the time zone may change until money is counted in its periods")
    func timeZone() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await world.budget("5000")
            #expect(try await served.owner.patch("/v1/organization", ["time_zone": "Asia/Tokyo"]).status == 200)
            #expect(try await world.reserve("call").status == 201)
            #expect(try await served.owner.patch("/v1/organization", ["time_zone": "UTC"]).code == "in_use")
            #expect(try await served.owner.patch("/v1/organization", ["name": "Acme", "time_zone": "Asia/Tokyo"]).status == 200)
        }
    }

    @Test("it stays, too, once calls are counted by its days without any budget")
    func timeZoneOfDays() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let call = try await world.reserve("call")
            #expect(try await served.owner.patch("/v1/organization", ["time_zone": "Asia/Tokyo"]).status == 200)
            #expect(try await world.caller.post("/v1/reservations/\(call.id)/settle", ["usage": ["input": 1]]).status == 200)
            #expect(try await served.owner.patch("/v1/organization", ["time_zone": "UTC"]).code == "in_use")
        }
    }

    @Test("a changed amount is a new limit version, a changed name is not")
    func limitVersion() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let budget = try await world.budget("5000")
            let renamed = try await served.owner.patch("/v1/budgets/\(budget)", ["name": "Other"])
            #expect(renamed.body["limit_version"] == 1, "\(renamed)")
            let raised = try await served.owner.patch("/v1/budgets/\(budget)", ["amount": "6000.5"])
            #expect(raised.body["limit_version"] == 2 && raised.body["amount"]?["amount"] == "6000.500000000000", "\(raised)")
            let counted = try await world.budget(20, unit: "requests", period: "minute")
            let fraction = try await served.owner.patch("/v1/budgets/\(counted)", ["amount": "1.5"])
            #expect(fraction.status == 422 && fraction.faults == ["/amount invalid_value"], "\(fraction)")
        }
    }

    @Test("a new price ends the one before it; one that begins earlier is refused")
    func prices() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            func price(_ amount: String, _ from: String) async throws -> Caller.Answer {
                try await served.owner.post(
                    "/v1/prices",
                    ["model": "model-a", "usage_kind": "input", "amount_per_million": .string(amount), "valid_from": .string(from)])
            }
            #expect(try await price("3", "2024-01-01T00:00:00Z").status == 201)
            #expect(try await price("4", "2023-01-01T00:00:00Z").code == "later_price_exists")
            #expect(try await price("0.0000001", "2024-02-01T00:00:00Z").faults == ["/amount_per_million invalid_value"])
            let then = try await served.owner.get("/v1/prices?model=model-a&at=2021-06-01T00:00:00Z")
            let amounts = then.body["data"]?.array?.compactMap { $0["amount_per_million"]?["amount"]?.string } ?? []
            #expect(amounts.sorted() == ["1.000000000000", "2.000000000000"], "\(then)")
            #expect(then.body["data"]?[0]?["valid_to"] == "2024-01-01T00:00:00Z")
            _ = world
        }
    }

    @Test("the platform's models are everyone's to see, and only an operator's to change")
    func platform() async throws {
        try await withServer { served in
            let platform = served.caller(served.operatorKey)
            let model = try await platform.post("/v1/models", ["name": "shared", "provider": "acme"])
            #expect(model.status == 201 && model.body["owner"] == "platform", "\(model)")
            #expect(try await served.owner.get("/v1/models/\(model.id)").body["name"] == "shared")
            #expect(try await served.owner.patch("/v1/models/\(model.id)", ["provider": "x"]).status == 404)
            let own = try await served.owner.post("/v1/models", ["name": "shared", "provider": "mine"])
            let list = try await served.owner.get("/v1/models")
            #expect(list.body["data"]?.array?.map { $0["id"]?.string } == [own.id], "\(list)")
        }
    }

    @Test("a contracted price of the platform's model holds, also after a model of one's own with its name was archived")
    func contracted() async throws {
        try await withServer { served in
            let platform = served.caller(served.operatorKey)
            let world = try await World.make(served)
            func price(_ caller: Caller, _ kind: String, _ amount: String) async throws {
                let price = try await caller.post(
                    "/v1/prices",
                    ["model": "model-x", "usage_kind": .string(kind), "amount_per_million": .string(amount)])
                try #require(price.status == 201, "\(price)")
            }
            func cost(_ request: String) async throws -> String? {
                let event: JSON = ["request_id": .string(request), "model": "model-x", "usage": ["input": 1_000_000]]
                let booked = try await world.caller.post("/v1/usage", ["events": [event]])
                return booked.body["results"]?[0]?["cost"]?["amount"]?.string
            }
            _ = try await platform.post("/v1/models", ["name": "model-x", "provider": "acme"])
            try await price(platform, "input", "10")
            #expect(try await cost("list") == "10.000000000000")
            let own = try await served.owner.post("/v1/models", ["name": "model-x", "provider": "mine"])
            try await price(served.owner, "input", "3")
            #expect(try await cost("own") == "3.000000000000")
            #expect(try await served.owner.delete("/v1/models/\(own.id)").status == 204)
            #expect(try await cost("list again") == "10.000000000000", "what was agreed for one's own model ended with it")
            try await price(served.owner, "input", "8")
            #expect(try await cost("contracted") == "8.000000000000")
        }
    }

    @Test("a rotated key works on for its overlap and its successor at once; without overlap only the successor")
    func rotation() async throws {
        try await withServer { served in
            let made = try await served.owner.post("/v1/api-keys", ["name": "bot", "role": "auditor"])
            let old = served.caller(try #require(made.body["secret"]?.string))
            let next = try await served.owner.post("/v1/api-keys/\(made.id)/rotate", ["overlap_seconds": 60])
            let new = served.caller(try #require(next.body["secret"]?.string))
            #expect(try await old.get("/v1/teams").status == 200)
            #expect(try await new.get("/v1/teams").status == 200)
            #expect(try await served.owner.post("/v1/api-keys/\(next.id)/rotate", ["overlap_seconds": 0]).status == 201)
            #expect(try await new.get("/v1/teams").status == 401)
            #expect(try await served.owner.get("/v1/api-keys/\(made.id)").text.contains("secret") == false)
        }
    }

    @Test("an endpoint's credentials go in and never come out; a place that must not be reached is refused")
    func endpoints() async throws {
        try await withServer { served in
            let hook = try await served.owner.post(
                "/v1/endpoints", ["kind": "webhook", "url": "http://127.0.0.1:9/hook", "events": ["budget.*"], "min_percent": 70])
            #expect(hook.status == 201 && hook.body["secret"]?.string?.hasPrefix("whsec_") == true, "\(hook)")
            let read = try await served.owner.get("/v1/endpoints/\(hook.id)")
            #expect(!read.text.contains("whsec_") && !read.text.contains("127.0.0.1"), "\(read)")
            let inside = try await served.owner.post("/v1/endpoints", ["kind": "slack", "url": "https://10.0.0.1/x"])
            #expect(inside.status == 422 && inside.faults == ["/url invalid_value"], "\(inside)")
            let unheard = try await served.owner.patch(
                "/v1/endpoints/\(hook.id)", ["events": ["bud*", "budget.*", "budget.exceded", "", "burst.approved", "*"]])
            #expect(unheard.faults == ["/events/0 invalid_value", "/events/2 invalid_value", "/events/3 out_of_range"], "\(unheard)")
            let test = try await served.owner.post("/v1/endpoints/\(hook.id)/test")
            #expect(test.status == 202, "\(test)")
            let deliveries = try await served.owner.get("/v1/deliveries?limit=1")
            #expect(deliveries.body["data"]?[0]?["id"] == test.body["delivery"], "\(deliveries)")
            #expect(deliveries.body["data"]?[0]?["event_type"] == "endpoint.test")
            #expect(try await served.owner.delete("/v1/endpoints/\(hook.id)").status == 204)
        }
    }

    @Test("a month's statement ends with its total")
    func statement() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await world.budget("1")
            let booked = try await world.caller.post(
                "/v1/usage", ["events": [["request_id": "u", "model": "model-a", "usage": ["input": 1000]]]])
            #expect(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
            let month = String(try #require(try await world.reserve("r").body["expires_at"]?.string).prefix(7))
            let csv = try await served.owner.get("/v1/statements/\(month)/export?format=csv")
            #expect(
                csv.status == 200 && csv.text.contains("0.001") && csv.headers[.contentType]?.hasPrefix("text/csv; charset=utf-8") == true,
                "\(csv)")
            let sum = try await served.owner.get("/v1/statements/\(month)")
            #expect(sum.body["cost"]?["amount"] == "0.001000000000", "\(sum)")
            #expect(try await served.owner.get("/v1/statements/2026-13").status == 404)
        }
    }
}
