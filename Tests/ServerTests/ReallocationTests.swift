/// Amounts that move between budgets: by two words, atomically, never below what is committed, for one period or from then on.
import Budgets
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct ReallocationTests {
    @Test("a lead gives for this period, an administrator approves: the next call finds the room, and the one side has less")
    func wholeWay() async throws {
        try await withServer { served in
            let pair = try await Pair.make(served)
            for name in ["a", "b"] { #expect(try await pair.world.reserve(name).status == 201) }
            #expect(try await pair.world.reserve("c").code == "budget_exceeded")
            let asked = try await pair.ask(pair.lead, 3)
            #expect(asked.status == 201 && asked.body["state"] == "requested", "\(asked)")
            #expect(asked.body["given_by"] == asked.body["requested_by"] && asked.body["approved_by"] == .null, "\(asked)")
            #expect(try await pair.world.reserve("c").code == "budget_exceeded", "nobody has approved it")
            let waiting = try await served.owner.get("/v1/reallocations?state=requested&budget=\(pair.to)")
            #expect(waiting.body["data"]?.array?.map { $0["id"]?.string } == [asked.id], "\(waiting)")
            #expect(try await pair.lead.post("/v1/reallocations/\(asked.id)/approve").status == 403, "the requester")
            #expect(try await pair.taker.post("/v1/reallocations/\(asked.id)/approve").status == 403, "the taking side")
            let moved = try await served.owner.post("/v1/reallocations/\(asked.id)/approve")
            #expect(moved.body["state"] == "moved", "\(moved)")

            for name in ["c", "d", "e"] { #expect(try await pair.world.reserve(name).status == 201) }
            let refused = try await pair.world.reserve("f")
            #expect(refused.code == "budget_exceeded", "five calls in all: \(refused)")
            let period = try await pair.taker.get("/v1/budgets/\(pair.to)/periods")
            #expect(period.body["data"]?[0]?["amount"] == 5 && period.body["data"]?[0]?["remaining"] == 0, "\(period)")
            let budget = try await pair.taker.get("/v1/budgets/\(pair.to)")
            #expect(budget.body["amount"] == 2 && budget.body["over_committed"] == 0, "another period has what it had: \(budget)")
            let limits = try await pair.lead.get("/v1/budgets/\(pair.from)/limits")
            let newest = limits.body["data"]?[0]
            #expect(newest?["amount"] == 7 && newest?["limit_version"] == 2 && newest?["period_start"] != .null, "\(limits)")
            #expect(try await served.owner.post("/v1/reallocations/\(asked.id)/approve").code == "already_decided")
            try await told(served, ["reallocation.requested", "reallocation.decided"])
        }
    }

    @Test("from now on both budgets have new amounts; the taking side asks, and then both words are others'")
    func fromNowOn() async throws {
        try await withServer { served in
            let pair = try await Pair.make(served)
            let asked = try await pair.ask(pair.taker, 4, "from_now_on")
            #expect(asked.body["given_by"] == .null, "\(asked)")
            let first = try await served.owner.post("/v1/reallocations/\(asked.id)/approve")
            #expect(first.body["state"] == "requested" && first.body["approved_by"] != .null, "\(first)")
            #expect(try await served.owner.post("/v1/reallocations/\(asked.id)/approve").status == 403, "one person is one word")
            let moved = try await pair.lead.post("/v1/reallocations/\(asked.id)/approve")
            #expect(moved.body["state"] == "moved", "\(moved)")
            let from = try await served.owner.get("/v1/budgets/\(pair.from)")
            let to = try await served.owner.get("/v1/budgets/\(pair.to)")
            #expect(from.body["amount"] == 6 && to.body["amount"] == 6, "\(from) \(to)")
            let audit = try await served.owner.get("/v1/audit-events?target=\(pair.from)")
            #expect(audit.body["data"]?[0]?["action"] == "budget.changed", "\(audit)")
            let own = try await served.owner.get("/v1/audit-events?target=\(asked.id)")
            #expect(own.body["data"]?[0]?["after"]?["decision"] == "moved", "\(own)")
        }
    }

    @Test("never below what is settled and held, when it is asked for and when the last word is spoken")
    func committed() async throws {
        try await withServer { served in
            let pair = try await Pair.make(served)
            let asked = try await pair.ask(pair.lead, 10)
            #expect(asked.status == 201, "\(asked)")
            for name in ["a", "b"] { #expect(try await pair.reserveFromGiver(name).status == 201) }
            let late = try await served.owner.post("/v1/reallocations/\(asked.id)/approve")
            #expect(late.status == 409 && late.code == "amount_committed" && late.text.contains("spare 8 requests"), "\(late)")
            let unchanged = try await served.owner.get("/v1/reallocations/\(asked.id)")
            #expect(unchanged.body["state"] == "requested" && unchanged.body["approved_by"] == .null, "all or nothing: \(unchanged)")
            #expect(try await pair.ask(pair.lead, 9).code == "amount_committed")
            #expect(try await pair.ask(pair.lead, 9, "from_now_on").code == "amount_committed")
            let all = try await pair.ask(pair.lead, 8)
            #expect(try await served.owner.post("/v1/reallocations/\(all.id)/approve").body["state"] == "moved")
            #expect(try await pair.reserveFromGiver("c").code == "budget_exceeded")
            #expect(try await pair.ask(pair.lead, 1).code == "amount_committed")
        }
    }

    @Test("budgets that do not fit are told which field, and what would")
    func misfits() async throws {
        try await withServer { served in
            let pair = try await Pair.make(served)
            func budget(_ changes: [(String, JSON)]) async throws -> JSON {
                var body = JSON.Object([
                    ("name", "B"), ("scope", ["team": .string(pair.world.team)]), ("unit", "requests"), ("period", "month"),
                    ("amount", "10"),
                ])
                for (name, value) in changes { body[name] = value }
                return .string(try await served.owner.post("/v1/budgets", .object(body)).id)
            }
            let (from, to) = (JSON.string(pair.from), JSON.string(pair.to))
            let cases: [(JSON, JSON, JSON, [String])] = [
                (from, from, 1, ["/to invalid_value"]), (from, to, "0.5", ["/amount invalid_value"]),
                (from, try await budget([("unit", "tokens")]), 1, ["/to invalid_value"]),
                (from, try await budget([("period", "week")]), 1, ["/to invalid_value"]),
                (from, try await budget([("anchor_day", 5)]), 1, ["/to invalid_value"]),
                (try await budget([("per", "end_user")]), to, 1, ["/from invalid_value"]),
                (from, "bgt_00000000000000000000000000000000", 1, ["/to unknown_reference"]),
                (from, to, 0, ["/amount out_of_range"]),
            ]
            for (from, to, amount, faults) in cases {
                let answer = try await served.owner.post(
                    "/v1/reallocations", ["from": from, "to": to, "amount": amount, "lasting": "this_period", "reason": "r"])
                #expect(answer.status == 422 && answer.faults == faults, "\(answer)")
            }
        }
    }

    @Test("denied with a reason, taken back by who asked, lapsed with its period: then nothing moves")
    func undone() async throws {
        try await withServer { served in
            let pair = try await Pair.make(served)
            let denied = try await pair.ask(pair.taker, 1)
            #expect(try await pair.lead.post("/v1/reallocations/\(denied.id)/deny").status == 422)
            let answer = try await pair.lead.post("/v1/reallocations/\(denied.id)/deny", ["reason": "we need it"])
            #expect(answer.body["state"] == "denied" && answer.body["decision_reason"] == "we need it", "\(answer)")
            let withdrawn = try await pair.ask(pair.taker, 1)
            #expect(try await pair.lead.post("/v1/reallocations/\(withdrawn.id)/withdraw").status == 403)
            #expect(try await pair.taker.post("/v1/reallocations/\(withdrawn.id)/withdraw").body["state"] == "withdrawn")
            #expect(try await served.owner.post("/v1/reallocations/\(withdrawn.id)/approve").code == "already_decided")
            let open = try await pair.ask(pair.taker, 1)
            let store = Store(pool: PostgresPool(served.database, size: 1, logger: testLogger))
            let lapses = try #require(open.body["lapses_at"]?.string.flatMap { Instant(rfc3339: $0) })
            let organization = try #require(OrganizationID(try await served.owner.get("/v1/organization").id))
            for (instant, state) in [(Instant(microseconds: lapses.microseconds - 1), "requested"), (lapses, "lapsed")] {
                let found = try await store.reallocation(try #require(ReallocationID(open.id)), of: organization, at: instant)
                #expect(found.state == state)
            }
            await store.pool.shutdown()
            #expect(try await pair.world.reserve("a").body["budgets"]?[0]?["amount"] == 2)
        }
    }

    @Test("calls that run at the same time as the move never pass what is left")
    func atOnce() async throws {
        try await withServer { served in
            let pair = try await Pair.make(served)
            let asked = try await pair.ask(pair.lead, 6)
            let held = try await withThrowingTaskGroup(of: Bool.self) { tasks in
                for number in 0..<10 { tasks.addTask { try await pair.reserveFromGiver("r\(number)").status == 201 } }
                tasks.addTask {
                    _ = try await served.owner.post("/v1/reallocations/\(asked.id)/approve")
                    return false
                }
                return try await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            let state = try await served.owner.get("/v1/reallocations/\(asked.id)").body["state"]
            #expect(state == "moved" ? held == 4 : held == 10, "\(String(describing: state)): \(held)")
        }
    }

    private func told(_ served: Served, _ types: [String]) async throws {
        let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
        let events = try await connection.query("SELECT type FROM events WHERE type LIKE 'reallocation.%' ORDER BY created_at, type DESC")
        let found = try events.rows.map { try $0.decode(as: String.self) }
        #expect(found == types)
        await connection.close()
    }
}

/// A budget of another team with ten requests a month, and one of the world's with two; a lead of each.
private struct Pair: Sendable {
    let world: World
    let from: String
    let to: String
    /// Looks after the giving budget.
    let lead: Caller
    /// Looks after the one that gets.
    let taker: Caller
    /// Calls for a project on the giving side.
    let giver: Caller

    static func make(_ served: Served) async throws -> Pair {
        let world = try await World.make(served)
        let owner = served.owner
        let team = try await owner.post("/v1/teams", ["name": "Giving"])
        let project = try await owner.post("/v1/projects", ["name": "G", "team": .string(team.id), "tier": .string(world.tier)])
        let key = try await owner.post("/v1/api-keys", ["name": "g", "project": .string(project.id)])
        let from = try await owner.post(
            "/v1/budgets", ["name": "Giving", "scope": ["team": .string(team.id)], "unit": "requests", "period": "month", "amount": "10"])
        try #require(from.status == 201, "\(from)")
        func lead(_ team: String) async throws -> Caller {
            let key = try await owner.post("/v1/api-keys", ["name": "lead", "role": "lead", "team": .string(team)])
            return served.caller(try #require(key.body["secret"]?.string))
        }
        return Pair(
            world: world, from: from.id, to: try await world.budget("2", unit: "requests"), lead: try await lead(team.id),
            taker: try await lead(world.team), giver: served.caller(try #require(key.body["secret"]?.string)))
    }

    func ask(_ caller: Caller, _ amount: JSON, _ lasting: JSON = "this_period") async throws -> Caller.Answer {
        try await caller.post(
            "/v1/reallocations", ["from": .string(from), "to": .string(to), "amount": amount, "lasting": lasting, "reason": "launch week"])
    }

    func reserveFromGiver(_ id: String) async throws -> Caller.Answer {
        try await giver.post("/v1/reservations", ["request_id": .string(id), "model": "model-a", "input_tokens": 1])
    }
}
