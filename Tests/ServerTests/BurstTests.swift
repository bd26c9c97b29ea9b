/// Bursts over HTTP: asked for by a member, held against the rails, decided by whoever stands above, drawn on, told of, reviewed.
import Budgets
import HTTPTypes
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite("Bursts over HTTP") struct BurstTests {
    /// A member and a lead of the world's team.
    private struct People {
        let member: Caller
        let lead: Caller

        init(_ world: World) async throws {
            func key(_ role: String) async throws -> Caller {
                let made = try await world.served.owner.post(
                    "/v1/api-keys", ["name": .string(role), "role": .string(role), "team": .string(world.team)])
                return world.served.caller(made.body["secret"]?.string)
            }
            member = try await key("member")
            lead = try await key("lead")
        }
    }

    private func burst(_ amount: JSON, ends: String = "2099-02-01T00:00:00Z", starts: String? = "2099-01-01T00:00:00Z") -> JSON {
        var body: [(String, JSON)] = [("amount", amount), ("reason", "launch week"), ("ends_at", .string(ends))]
        if let starts { body.append(("starts_at", .string(starts))) }
        return .object(body)
    }

    private var tomorrow: String { Instant.now().adding(seconds: 86_400).rfc3339 }

    @Test("a member asks, a lead approves, calls draw on it, and afterwards it is reviewed beside what it cost")
    func wholeWay() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let people = try await People(world)
            let budget = try await world.budget("2", unit: "requests")
            for name in ["a", "b"] { #expect(try await world.reserve(name).status == 201) }
            #expect(try await world.reserve("c").code == "budget_exceeded")

            let asked = try await people.member.post("/v1/budgets/\(budget)/bursts", burst(1, ends: tomorrow, starts: nil))
            #expect(asked.status == 201 && asked.body["state"] == "requested", "\(asked)")
            #expect(try await world.reserve("c").code == "budget_exceeded", "nobody has approved it")
            let waiting = try await people.lead.get("/v1/bursts?state=requested")
            #expect(waiting.text.contains(asked.id), "\(waiting)")
            #expect(try await people.member.post("/v1/bursts/\(asked.id)/approve").status == 403)
            let approved = try await people.lead.post("/v1/bursts/\(asked.id)/approve")
            #expect(approved.status == 200 && approved.body["state"] == "active", "\(approved)")
            #expect(try await people.lead.post("/v1/bursts/\(asked.id)/deny", ["reason": "late"]).code == "burst_not_open")

            let held = try await world.reserve("c")
            #expect(held.status == 201, "now means now: \(held)")
            #expect(held.body["budgets"]?.array?.first?["burst"] == 1 && held.body["budgets"]?.array?.first?["remaining"] == 0, "\(held)")
            #expect(try await world.reserve("d").code == "budget_exceeded")
            let settled = try await world.caller.post("/v1/reservations/\(held.id)/settle", ["usage": ["input": 1]])
            #expect(settled.status == 200, "\(settled)")
            let used = try await people.member.get("/v1/bursts/\(asked.id)")
            #expect(used.body["state"] == "exhausted" && used.body["settled"] == 1, "\(used)")
            let period = try await people.member.get("/v1/budgets/\(budget)/periods")
            #expect(period.body["data"]?.array?.first?["burst"] == 1, "\(period)")

            let review: JSON = ["purpose": "the launch", "result": "it went well", "worth_it": true, "lessons": "ask earlier"]
            let reviewed = try await people.member.post("/v1/bursts/\(asked.id)/review", review)
            #expect(reviewed.status == 200 && reviewed.body["review"]?["worth_it"] == true, "\(reviewed)")

            // Everybody is told of each turn once, however often somebody looks.
            let store = Store(pool: PostgresPool(served.database, size: 1, logger: testLogger))
            for day in [0, 2, 10] as [Int64] { _ = try await store.tellOfBursts(at: .now().adding(seconds: day * 86_400)) }
            let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
            let types = try await connection.query("SELECT type FROM events WHERE type LIKE 'burst.%' ORDER BY type")
            #expect(
                try types.rows.map { try $0.decode(as: String.self) } == [
                    "burst.approved", "burst.exhausted", "burst.expired", "burst.requested",
                ])
            await connection.close()
            await store.pool.shutdown()
        }
    }

    @Test("each rail refuses with its own code, a budget's rails go before its organization's")
    func rails() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let people = try await People(world)
            let budget = try await world.budget("100")
            let bursts = "/v1/budgets/\(budget)/bursts"
            func own(_ rails: JSON) async throws {
                #expect(try await served.owner.put("/v1/burst-rails", rails).status == 200)
            }
            func ask(_ body: JSON) async throws -> String? { try await people.member.post(bursts, body).code }

            try await own(["largest_percent": 50])
            #expect(try await ask(burst("50.01")) == "burst_too_large")
            try await own(["shortest_notice_seconds": 3600])
            #expect(try await ask(burst("1", ends: tomorrow, starts: nil)) == "burst_notice_too_short")
            try await own([:])
            let first = try await people.member.post(bursts, burst("5"))
            #expect(first.status == 201, "\(first)")
            try await own(["largest_open": 1])
            #expect(try await ask(burst("5")) == "too_many_open_bursts")
            try await own(["largest_per_quarter": 1])
            #expect(try await ask(burst("5")) == "too_many_bursts_in_quarter")
            let ownRails = try await served.owner.put("/v1/budgets/\(budget)/burst-rails", ["largest_per_quarter": 2])
            #expect(ownRails.status == 200, "\(ownRails)")
            let second = try await people.member.post(bursts, burst("5"))
            #expect(second.status == 201, "the budget's own rail: \(second)")

            try await own(["admin_above": "4"])
            #expect(try await people.lead.post("/v1/bursts/\(first.id)/approve").code == "burst_approver_too_low")
            #expect(try await served.owner.post("/v1/bursts/\(first.id)/approve").body["state"] == "scheduled")
            let withdrawn = try await people.member.post("/v1/bursts/\(second.id)/withdraw")
            #expect(withdrawn.body["state"] == "withdrawn", "\(withdrawn)")
            #expect(try await people.lead.post("/v1/bursts/\(first.id)/revoke", ["reason": "no launch"]).body["state"] == "revoked")

            let watching = try await world.budget("1", enforcement: "warn")
            #expect(try await people.member.post("/v1/budgets/\(watching)/bursts", burst("1")).code == "burst_not_needed")
        }
    }

    @Test("nobody approves their own request, nor somebody else's from below")
    func approvers() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let people = try await People(world)
            let budget = try await world.budget("100")
            let mine = try await people.lead.post("/v1/budgets/\(budget)/bursts", burst("5"))
            #expect(try await people.lead.post("/v1/bursts/\(mine.id)/approve").status == 403)
            #expect(try await people.member.post("/v1/bursts/\(mine.id)/withdraw").status == 403)
            #expect(try await served.owner.post("/v1/bursts/\(mine.id)/deny", ["reason": "not now"]).body["state"] == "denied")
            let other = try await served.anotherOrganization()
            #expect(try await other.get("/v1/bursts/\(mine.id)").status == 404)
        }
    }
}
