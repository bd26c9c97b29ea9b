/// Access beyond a project's tier: asked for, decided by somebody else, in force to the second, and revoked for the next call.
import Budgets
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct AccessTests {
    @Test("a refusal names the tier and the request; the request waits, a lead approves it, and the model may be called")
    func wholeWay() async throws {
        try await withServer { served in
            let shop = try await Shop.make(served, approval: "team_lead")
            let refused = try await shop.reserve("r1")
            #expect(refused.code == "model_not_allowed" && refused.body["tier"]?.string == shop.premium, "\(refused)")
            var asked = try #require(refused.body["request"]?["body"]?.object, "\(refused)")
            asked["reason"] = "a trial"
            asked["ends_at"] = .string(Shop.soon())
            let path = try #require(refused.body["request"]?["path"]?.string)
            let request = try await shop.member.post(path, .object(asked))
            #expect(request.status == 201 && request.body["state"] == "pending" && request.body["grant"] == .null, "\(request)")
            let waiting = try await shop.lead.get("/v1/access-requests?state=pending")
            #expect(waiting.body["data"]?.array?.map { $0["id"]?.string } == [request.id], "\(waiting)")
            #expect(try await shop.reserve("r2").code == "model_not_allowed")
            #expect(try await shop.member.post("/v1/access-requests/\(request.id)/approve").status == 403)
            let approved = try await shop.lead.post("/v1/access-requests/\(request.id)/approve")
            #expect(approved.body["state"] == "approved" && approved.body["grant"]?.string != nil, "\(approved)")
            let held = try await shop.reserve("r3")
            #expect(held.status == 201 && held.body["max_output_tokens"] == 77, "the granted tier's cap: \(held)")
            let allowance = try await shop.world.caller.get("/v1/allowance?model=special")
            #expect(allowance.body["allowed"] == true && allowance.text.contains("\"special\""), "\(allowance)")
            #expect(try await shop.lead.post("/v1/access-requests/\(request.id)/deny", ["reason": "late"]).code == "already_decided")

            let grant = try #require(approved.body["grant"]?.string)
            #expect(try await shop.lead.post("/v1/access-grants/\(grant)/revoke").body["state"] == "revoked")
            #expect(try await shop.reserve("r4").code == "model_not_allowed")
            #expect(try await shop.lead.get("/v1/access-grants?state=active").body["data"] == [])
        }
    }

    @Test("nobody decides their own request, and an administrator's rule wants an administrator")
    func deciders() async throws {
        try await withServer { served in
            let shop = try await Shop.make(served, approval: "organization_admin")
            let mine = try await shop.ask(shop.lead)
            #expect(mine.body["state"] == "pending", "\(mine)")
            #expect(try await shop.lead.post("/v1/access-requests/\(mine.id)/approve").status == 403)
            let theirs = try await shop.ask(shop.member)
            #expect(try await shop.lead.post("/v1/access-requests/\(theirs.id)/approve").status == 403)
            let denied = try await served.owner.post("/v1/access-requests/\(theirs.id)/deny", ["reason": "too dear"])
            #expect(denied.body["state"] == "denied" && denied.body["decision_reason"] == "too dear", "\(denied)")
            let owners = try await shop.ask(served.owner)
            #expect(try await served.owner.post("/v1/access-requests/\(owners.id)/approve").status == 403)
            let own = try await served.owner.post("/v1/api-keys", ["name": "second", "role": "owner"])
            let second = served.caller(own.body["secret"]?.string)
            #expect(try await second.post("/v1/access-requests/\(owners.id)/approve").status == 403, "a key of the requester's making")
            #expect(try await served.owner.post("/v1/access-requests/\(mine.id)/approve").body["state"] == "approved")
        }
    }

    @Test("who asked takes it back, nobody from below; what nobody decided in time is expired, to the microsecond")
    func withdrawnAndExpired() async throws {
        try await withServer { served in
            let shop = try await Shop.make(served, approval: "team_lead")
            let leads = try await shop.ask(shop.lead)
            #expect(try await shop.member.post("/v1/access-requests/\(leads.id)/withdraw").status == 403)
            #expect(try await shop.lead.post("/v1/access-requests/\(leads.id)/withdraw").body["state"] == "withdrawn")
            #expect(try await served.owner.post("/v1/access-requests/\(leads.id)/approve").code == "already_decided")

            let waits = try await shop.ask(shop.member)
            let approved = try await shop.ask(shop.member)
            #expect(try await shop.lead.post("/v1/access-requests/\(approved.id)/approve").status == 200)
            let grants = try await shop.member.get("/v1/access-grants")
            let ends = try #require(approved.body["ends_at"]?.string.flatMap { Instant(rfc3339: $0) })
            let store = Store(pool: PostgresPool(served.database, size: 1, logger: testLogger))
            let request = try #require(AccessRequestID(waits.id))
            let grant = try #require(grants.body["data"]?[0]?["id"]?.string.flatMap { AccessGrantID($0) })
            let own = try await served.owner.get("/v1/organization")
            let organization = try #require(OrganizationID(own.id))
            let waitsUntil = try #require(waits.body["ends_at"]?.string.flatMap { Instant(rfc3339: $0) })
            for (early, before, after) in [(Int64(1), "pending", "active"), (0, "expired", "expired")] {
                let asked = try await store.accessRequest(
                    request, of: organization, at: Instant(microseconds: waitsUntil.microseconds - early))
                #expect(asked.state == before)
                let given = try await store.accessGrant(grant, of: organization, at: Instant(microseconds: ends.microseconds - early))
                #expect(given.state == after)
            }
            await store.pool.shutdown()
        }
    }

    @Test("people are told of what is asked and of what was decided")
    func told() async throws {
        try await withServer { served in
            let shop = try await Shop.make(served, approval: "team_lead")
            let denied = try await shop.ask(shop.member)
            #expect(try await shop.lead.post("/v1/access-requests/\(denied.id)/deny", ["reason": "too dear"]).status == 200)
            let withdrawn = try await shop.ask(shop.member)
            #expect(try await shop.member.post("/v1/access-requests/\(withdrawn.id)/withdraw").status == 200)
            let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
            let events = try await connection.query(
                "SELECT type, body ->> 'summary' FROM events WHERE type LIKE 'access.%' ORDER BY created_at, type DESC")
            let told = try events.rows.map { try $0.decode(as: (String, String).self) }
            #expect(told.map(\.0) == ["access.requested", "access.decided", "access.requested"], "\(told)")
            #expect(told.first?.1.contains("the tier Premium for Ranker") == true && told[1].1.hasSuffix("too dear."), "\(told)")
            await connection.close()
        }
    }

    @Test("the rule none grants at once; what the project has already is not asked for; one model may be asked for alone")
    func atOnce() async throws {
        try await withServer { served in
            let shop = try await Shop.make(served, approval: "none")
            let granted = try await shop.member.post(
                "/v1/access-requests",
                ["project": .string(shop.world.project), "model": "special", "reason": "r", "ends_at": .string(Shop.soon())])
            #expect(granted.status == 201 && granted.body["state"] == "approved", "\(granted)")
            #expect(try await shop.reserve("r").status == 201)
            let own = try await shop.member.post(
                "/v1/access-requests",
                ["project": .string(shop.world.project), "model": "model-a", "reason": "r", "ends_at": .string(Shop.soon())])
            #expect(own.code == "already_allowed", "\(own)")
            let tier = try await served.owner.get("/v1/tiers/\(shop.premium)")
            #expect(tier.body["models_today"] == ["model-a", "special"] && tier.body["model_count"] == 2, "\(tier)")
        }
    }

    @Test("a new project gets the organization's default tier; an administrator's tier is not a lead's to give")
    func defaultTier() async throws {
        try await withServer { served in
            let shop = try await Shop.make(served, approval: "organization_admin")
            let nowhere = try await shop.lead.post("/v1/projects", ["name": "P", "team": .string(shop.world.team)])
            #expect(nowhere.status == 422 && nowhere.faults == ["/tier missing"], "\(nowhere)")
            #expect(try await served.owner.patch("/v1/organization", ["default_tier": .string(shop.world.tier)]).status == 200)
            let project = try await shop.lead.post("/v1/projects", ["name": "P", "team": .string(shop.world.team)])
            #expect(project.body["tier"]?.string == shop.world.tier, "\(project)")
            let raised = try await shop.lead.patch("/v1/projects/\(project.id)", ["tier": .string(shop.premium)])
            #expect(raised.status == 403, "\(raised)")
            #expect(try await served.owner.delete("/v1/tiers/\(shop.world.tier)").code == "in_use")
        }
    }
}

/// A world with a higher tier that has one model more, a lead and a member.
private struct Shop: Sendable {
    let world: World
    let premium: String
    let lead: Caller
    let member: Caller

    static func make(_ served: Served, approval: JSON) async throws -> Shop {
        let world = try await World.make(served)
        let tier = try await served.owner.post(
            "/v1/tiers", ["name": "Premium", "rank": 5, "models": ["special"], "max_output_tokens": 77, "approval": approval])
        _ = try await served.owner.post("/v1/models", ["name": "special", "provider": "acme"])
        for kind in ["input", "output"] {
            _ = try await served.owner.post(
                "/v1/prices",
                ["model": "special", "usage_kind": .string(kind), "amount_per_million": "1", "valid_from": "2020-01-01T00:00:00Z"])
        }
        func caller(_ role: String) async throws -> Caller {
            let key = try await served.owner.post(
                "/v1/api-keys", ["name": .string(role), "role": .string(role), "team": .string(world.team)])
            return served.caller(try #require(key.body["secret"]?.string))
        }
        return Shop(world: world, premium: tier.id, lead: try await caller("lead"), member: try await caller("member"))
    }

    func ask(_ caller: Caller) async throws -> Caller.Answer {
        try await caller.post(
            "/v1/access-requests",
            ["project": .string(world.project), "tier": .string(premium), "reason": "r", "ends_at": .string(Shop.soon())])
    }

    func reserve(_ id: String) async throws -> Caller.Answer {
        try await world.caller.post("/v1/reservations", ["request_id": .string(id), "model": "special", "input_tokens": 1])
    }

    static func soon() -> String { Instant.now().adding(seconds: 3600).rfc3339 }
}
