/// A month on its way through the API: proposed and closed by finance, kept for ever, opened again by two.
import Budgets
import JSON
import Store
import Testing

@testable import Server

@Suite(.serialized) struct MonthTests {
    /// In a month that ended at least two days ago, and may still be booked on.
    private let then = Instant.now().adding(seconds: -33 * 86_400)
    private let zone = Zone("Europe/Berlin")!

    private func use(_ request: String, at instant: Instant, _ world: World) async throws {
        let answer = try await world.caller.post(
            "/v1/usage",
            [
                "events": [
                    [
                        "request_id": .string(request), "occurred_at": .string(instant.rfc3339), "model": "model-a",
                        "usage": ["input": 1_000_000],
                    ]
                ]
            ])
        try #require(answer.body["results"]?.array?.first?["status"] == "booked", "\(answer)")
    }

    private func key(_ role: String, _ served: Served) async throws -> Caller {
        let made = try await served.owner.post("/v1/api-keys", ["name": .string(role), "role": .string(role)])
        return served.caller(try #require(made.body["secret"]?.string))
    }

    @Test("finance closes; what comes later for the month is a correction in the open one, and the closed file stays as it is")
    func closes() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let month = try #require(StatementMonth(at: then, in: zone)).description
            let current = try #require(StatementMonth(at: .now(), in: zone)).description
            try await use("before", at: then, world)
            let finance = try await key("finance", served)
            let path = "/v1/statements/\(month)"
            #expect(try await finance.post(path + "/close").code == "month_not_in_state")
            let early = try await finance.post("/v1/statements/\(current)/propose")
            #expect(early.code == "month_not_ready" && early.body["points"]?.array?.first?["name"] == "month_not_ended", "\(early)")
            let checklist = try await finance.get(path + "/checklist")
            #expect(checklist.body["agrees"] == true && checklist.body["points"]?.array == [], "\(checklist)")
            let proposed = try await finance.post(path + "/propose")
            #expect(proposed.status == 200 && proposed.body["proposed"]?["cost"]?["amount"] == "1.000000000000", "\(proposed)")
            try await use("meanwhile", at: then.adding(seconds: 1), world)
            #expect(try await finance.post(path + "/close").code == "month_changed")
            #expect(try await finance.post(path + "/propose").status == 200)
            let closed = try await world.close(month)
            #expect(closed["number"]?.string == "\(month)-1" && closed["total"]?["calls"] == 2, "\(closed)")

            let file = try await finance.get(path + "/export?format=csv").text
            try await use("late", at: then.adding(seconds: 2), world)
            let after = try await finance.get(path)
            #expect(after.body["state"] == "closed" && after.body["calls"] == 2 && after.body["payable"]?["amount"] == "2.000000000000")
            #expect(try await finance.get(path + "/export?format=csv").text == file)
            let open = try await finance.get("/v1/statements/\(current)")
            #expect(open.body["state"] == "open" && open.body["calls"] == 1 && open.body["cost"]?["amount"] == "1.000000000000", "\(open)")
        }
    }

    @Test("a closed month is opened by two admins, and by neither of them alone")
    func reopens() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let path = "/v1/statements/2026-01"
            let (one, other, finance) = (try await key("admin", served), try await key("admin", served), try await key("finance", served))
            #expect(try await finance.post(path + "/propose").status == 200)
            try await world.close("2026-01")
            #expect(try await finance.post(path + "/reopen", ["reason": "wrong price"]).status == 403)
            let asked = try await one.post(path + "/reopen", ["reason": "wrong price"])
            #expect(asked.status == 202 && asked.body["state"] == "closed", "\(asked)")
            #expect(try await one.post(path + "/reopen", ["reason": "wrong price"]).status == 403)
            let opened = try await other.post(path + "/reopen", ["reason": "yes"])
            #expect(opened.status == 200 && opened.body["state"] == "open" && opened.body["reopen_reason"] == "wrong price", "\(opened)")
            let audit = try await served.owner.get("/v1/audit-events?target=\(opened.id)")
            let states = audit.body["data"]?.array?.compactMap { $0["after"]?["state"]?.string } ?? []
            #expect(states == ["open", "closed", "closed", "closing", "proposed"], "\(audit)")
        }
    }
}
