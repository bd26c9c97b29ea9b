/// Shared costs through the API: written by finance, shown in the statement and every export, and never in a circle.
import Budgets
import JSON
import Store
import Testing

@testable import Server

@Suite(.serialized) struct CostSplitTests {
    private func project(_ name: JSON, _ world: World) async throws -> String {
        let made = try await world.served.owner.post(
            "/v1/projects", ["name": name, "team": .string(world.team), "tier": .string(world.tier), "cost_center": name])
        try #require(made.status == 201, "\(made)")
        return made.id
    }

    @Test("a rule moves a project's cost in the months it holds in; what it was proposed with is looked at again when it changes")
    func splits() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let (chat, code) = (try await project("Chat", world), try await project("Code", world))
            let booked = try await world.caller.post(
                "/v1/usage", ["events": [["request_id": "a", "model": "model-a", "usage": ["input": 1_000_001], "feature": "f"]]])
            try #require(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
            let zone = try #require(Zone("Europe/Berlin"))
            let month = try #require(StatementMonth(at: .now(), in: zone))
            let path = "/v1/statements/\(month)"
            let before = try await served.owner.get(path)

            let rule: JSON = [
                "name": "Platform", "source": .string(world.project), "method": "percent",
                "receivers": [["project": .string(chat), "percent": "33.3333"], ["project": .string(code), "percent": "66.6667"]],
                "from_month": .string(month.description),
            ]
            let made = try await served.owner.post("/v1/cost-splits", rule)
            #expect(made.status == 201 && made.body["receivers"]?.array?.count == 2, "\(made)")
            let parts = try await served.owner.get(path)
            #expect(parts.body["cost"] == before.body["cost"] && parts.body["calls"] == before.body["calls"])
            let centers = parts.body["teams"]?.array?.map { "\($0["cost_center"]?.string ?? "") \($0["cost"]?["amount"]?.string ?? "")" }
            // 1.000001 dollars: 0.3333333333 is not representable as a whole token, and need not be.
            #expect(centers == ["Code 0.666667666667", "Chat 0.333333333333", "CC-1 0.000000000000"], "\(parts)")
            let csv = try await served.owner.get(path + "/export?format=csv").text
            #expect(csv.contains(",bursar,split,Platform,") && csv.contains(",-1.000001000000"), "\(csv)")
            let focus = try await served.owner.get(path + "/export?format=focus-1.4").text
            #expect(focus.contains("SPLIT-PERCENT-1") && focus.contains("0.666667000000"), "\(focus)")

            let circle = try await served.owner.post(
                "/v1/cost-splits",
                [
                    "name": "Back", "source": .string(chat), "method": "even", "receivers": [["project": .string(world.project)]],
                    "from_month": "2020-01",
                ])
            #expect(circle.faults == ["/receivers invalid_value"], "\(circle)")
            let twice = try await served.owner.post("/v1/cost-splits", rule)
            #expect(twice.faults == ["/source invalid_value"], "\(twice)")
            let faulty = try await served.owner.post(
                "/v1/cost-splits",
                [
                    "name": "N", "source": .string(chat), "method": "percent",
                    "receivers": [["project": .string(chat)], ["project": .string(code), "percent": "99"]], "from_month": "2026-02",
                    "until_month": "2026-01",
                ])
            #expect(
                faulty.faults == ["/receivers invalid_value", "/receivers invalid_value", "/until_month out_of_range"], "\(faulty)")

            let ended = try await served.owner.patch("/v1/cost-splits/\(made.id)", ["until_month": .string(month.description)])
            #expect(ended.status == 200 && ended.body["revision"] == 2, "\(ended)")
            #expect(try await served.owner.get(path).text == before.text, "a rule that never holds moves nothing")
            let events = try await served.owner.get("/v1/audit-events?target=\(made.id)")
            #expect(
                events.body["data"]?.array?.compactMap { $0["action"]?.string } == ["cost_split.changed", "cost_split.created"], "\(events)"
            )
        }
    }

    @Test("what a project without a cost centre hands on to others is charged to somebody")
    func attributed() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let chat = try await project("Chat", world)
            _ = try await served.owner.patch("/v1/teams/\(world.team)", ["cost_center": nil])
            let booked = try await world.caller.post(
                "/v1/usage", ["events": [["request_id": "a", "model": "model-a", "usage": ["input": 3_000_000]]]])
            try #require(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
            let zone = try #require(Zone("Europe/Berlin"))
            let month = try #require(StatementMonth(at: .now(), in: zone))
            func left() async throws -> (cost: String?, points: [String]) {
                let unattributed = try await served.owner.get("/v1/statements/\(month)/unattributed")
                let checklist = try await served.owner.get("/v1/statements/\(month)/checklist")
                return (
                    unattributed.body["cost"]?["amount"]?.string,
                    checklist.body["points"]?.array?.compactMap { $0["name"]?.string } ?? []
                )
            }
            let before = try await left()
            #expect(before.cost == "3.000000000000" && before.points.contains("unattributed_spend"), "\(before)")
            let made = try await served.owner.post(
                "/v1/cost-splits",
                [
                    "name": "N", "source": .string(world.project), "method": "even", "receivers": [["project": .string(chat)]],
                    "from_month": .string(month.description),
                ])
            try #require(made.status == 201, "\(made)")
            let after = try await left()
            #expect(after.cost == "0.000000000000" && !after.points.contains("unattributed_spend"), "\(after)")
            // The other way round: a receiver without a cost centre is what is left.
            _ = try await served.owner.patch("/v1/projects/\(chat)", ["cost_center": nil])
            let given = try await left()
            #expect(given.cost == "3.000000000000" && given.points.contains("unattributed_spend"), "\(given)")
        }
    }

    @Test("a month that was proposed is open again when its costs are split in another way")
    func proposed() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let other = try await project("Chat", world)
            #expect(try await served.owner.post("/v1/statements/2026-01/propose").body["state"] == "proposed")
            #expect(try await served.owner.post("/v1/statements/2026-02/propose").body["state"] == "proposed")
            let made = try await served.owner.post(
                "/v1/cost-splits",
                [
                    "name": "N", "source": .string(world.project), "method": "spend", "receivers": [["project": .string(other)]],
                    "from_month": "2026-02", "until_month": "2026-03",
                ])
            #expect(made.status == 201, "\(made)")
            let states = try await served.owner.get("/v1/statements").body["data"]?.array?.compactMap { $0["state"]?.string }
            #expect(states == ["open", "proposed"])
            _ = try await served.owner.patch("/v1/cost-splits/\(made.id)", ["until_month": "2026-02"])
            #expect(try await served.owner.post("/v1/statements/2026-02/propose").body["state"] == "proposed")
        }
    }
}
