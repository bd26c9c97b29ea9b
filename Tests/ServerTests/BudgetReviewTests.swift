/// `/v1/reports/budget-review`: a month of every team and project, as JSON and as a table, and nobody else's for a lead.
import Budgets
import Chargeback
import HTTPTypes
import JSON
import Store
import Testing

@testable import Server

@Suite(.serialized) struct BudgetReviewTests {
    @Test("what is allocated, spent and held, the month before, moved amounts, bursts, and the advice")
    func review() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let owner = served.owner
            let (month, before) = try Self.months()
            let budget = try await world.budget("10")
            _ = try await world.budget("20")
            let other = try await owner.post(
                "/v1/budgets",
                ["name": "P", "scope": ["project": .string(world.project)], "unit": "usd", "period": "month", "amount": "3"])
            let lead = served.caller(
                try await owner.post("/v1/api-keys", ["name": "lead", "role": "lead", "team": .string(world.team)]).body["secret"]?.string)
            let moved = try await lead.post(
                "/v1/reallocations",
                ["from": .string(budget), "to": .string(other.id), "amount": "1", "lasting": "this_period", "reason": "r"])
            #expect(try await owner.post("/v1/reallocations/\(moved.id)/approve").body["state"] == "moved", "\(moved)")
            let burst = try await lead.post(
                "/v1/budgets/\(budget)/bursts", ["amount": "5", "reason": "r", "ends_at": "2099-01-01T00:00:00Z"])
            // A year is the longest a burst may last: asked for within it.
            #expect(burst.status == 422, "\(burst)")
            let soon = try await lead.post(
                "/v1/budgets/\(budget)/bursts",
                ["amount": "5", "reason": "r", "ends_at": .string(Instant.now().adding(seconds: 86_400).rfc3339)])
            #expect(try await owner.post("/v1/bursts/\(soon.id)/approve").status == 200, "\(soon)")
            // Four dollars in the month before, two and a hold of one cent in this one.
            for (number, day, dollars) in [(0, before, 4), (1, month, 2)] as [(Int, Instant, Int64)] {
                let event: JSON = [
                    "request_id": .string("e\(number)"), "occurred_at": .string(day.rfc3339), "model": "model-a",
                    "usage": ["input": .number(dollars * 1_000_000)],
                ]
                let booked = try await world.caller.post("/v1/usage", ["events": [event]])
                #expect(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
            }
            let held = try await world.reserve("r", input: 9_800, output: 100)
            #expect(held.body["held"]?["amount"] == "0.010000000000", "\(held)")

            let answer = try await lead.get("/v1/reports/budget-review")
            let rows = try #require(answer.body["data"]?.array, "\(answer)")
            #expect(rows.map { $0["project_name"] } == [.null, "Ranker"], "\(answer)")
            for (row, allocated) in zip(rows, ["9.000000000000", "4.000000000000"]) {
                #expect(row["allocated"]?["amount"]?.string == allocated, "\(row)")
                #expect(row["spent"]?["amount"] == "2.000000000000" && row["previous"]?["amount"] == "4.000000000000", "\(row)")
                #expect(row["held"]?["amount"] == "0.010000000000", "\(row)")
            }
            #expect(rows[0]["open_bursts"] == 1 && rows[0]["open_bursts_amount"]?["amount"] == "5.000000000000", "\(rows[0])")
            #expect(rows[0]["used_percent"] == "22.22" && rows[1]["used_percent"] == "50.00" && rows[1]["open_bursts"] == 0, "\(rows)")
            #expect(rows.allSatisfy { ReviewAdvice(rawValue: $0["advice"]?.string ?? "") != nil })

            let berlin = try #require(Zone("Europe/Berlin"))
            let past = try #require(StatementMonth(at: before, in: berlin))
            let lastMonth = try await owner.get("/v1/reports/budget-review?period=\(past)&format=csv")
            let lines = lastMonth.text.split(separator: "\r\n")
            #expect(lines.count == 3 && lines[0].hasPrefix("month,team_id,team,project_id"), "\(lastMonth)")
            let team = "\(past),\(world.team),Search,,,,4.000000000000,,,0.000000000000,,4.000000000000,1,5.000000000000,set_budget"
            #expect(lines[1] == team, "its budgets are younger than that month: \(lastMonth)")
        }
    }

    @Test("a lead sees the own team; a project that moved is where it is, and what it spent before stays where it was")
    func reach() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let owner = served.owner
            let booked = try await world.caller.post(
                "/v1/usage", ["events": [["request_id": "e", "model": "model-a", "usage": ["input": 1_000_000]]]])
            #expect(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
            let team = try await owner.post("/v1/teams", ["name": "=Other"])
            #expect(try await owner.patch("/v1/projects/\(world.project)", ["team": .string(team.id)]).status == 200)
            let key = try await owner.post("/v1/api-keys", ["name": "lead", "role": "lead", "team": .string(team.id)])
            let lead = served.caller(key.body["secret"]?.string)
            let own = try await lead.get("/v1/reports/budget-review")
            let rows = own.body["data"]?.array ?? []
            #expect(rows.map { $0["team"]?.string } == [team.id, team.id] && !own.text.contains(world.team), "\(own)")
            #expect(rows.map { $0["spent"]?["amount"] } == ["0.000000000000", "1.000000000000"], "\(own)")
            let all = try await owner.get("/v1/reports/budget-review")
            let former = all.body["data"]?.array?.first { $0["team"]?.string == world.team }
            #expect(former?["spent"]?["amount"] == "1.000000000000", "\(all)")
            let table = try await owner.get("/v1/reports/budget-review?format=csv")
            #expect(table.text.contains(",'=Other,"), "a name is no formula: \(table)")
            #expect(table.headers[.contentType] == "text/csv; charset=utf-8; header=present")
        }
    }

    /// An instant in this month and one in the month before, by the calendar of `withServer`'s organization; both are over.
    private static func months() throws -> (month: Instant, before: Instant) {
        let zone = try #require(Zone("Europe/Berlin"))
        let start = PeriodRule(.month).span(containing: .now(), in: zone).start
        return (start, start.adding(seconds: -3600))
    }
}
