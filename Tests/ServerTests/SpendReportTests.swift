/// `/v1/reports/spend` through the API: parts sum to the whole, in the organization's own calendar, and faulty questions are told why.
import Budgets
import JSON
import Store
import Testing

@testable import Server

@Suite(.serialized) struct SpendReportTests {
    @Test("by day and team, the days sum to the whole and names are told")
    func report() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            #expect(try await served.owner.patch("/v1/organization", ["time_zone": "Asia/Kathmandu"]).status == 200)
            // Ten minutes to local midnight and ten minutes after it: two days.
            let zone = try #require(Zone("Asia/Kathmandu"))
            let midnight = PeriodRule(.day).span(containing: .now(), in: zone).start.adding(seconds: -86_400)
            for (number, seconds) in [-600, 600].enumerated() {
                let event: JSON = [
                    "request_id": .string("e\(number)"), "occurred_at": .string(midnight.adding(seconds: Int64(seconds)).rfc3339),
                    "model": "model-a",
                    "usage": ["input": 1_000_000, "output": 3],
                ]
                let answer = try await world.caller.post("/v1/usage", ["events": [event]])
                #expect(answer.body["results"]?.array?.first?["status"] == "booked", "\(answer)")
            }
            let path = "/v1/reports/spend?from=\(midnight.adding(seconds: -86_400).rfc3339)&to=\(midnight.adding(seconds: 86_400).rfc3339)"
            let report = try await served.owner.get(path + "&group_by=day,team,feature")
            #expect(report.status == 200, "\(report)")
            #expect(report.body["cost"]?["amount"] == "2.000012000000" && report.body["calls"] == 2)
            let rows = report.body["data"]?.array ?? []
            #expect(rows.count == 2)
            #expect(rows.map { $0["starts_at"]?.string } == [midnight.adding(seconds: -86_400).rfc3339, midnight.rfc3339])
            for row in rows {
                #expect(row["cost"]?["amount"] == "1.000006000000" && row["team"]?.string == world.team && row["team_name"] == "Search")
                #expect(row["feature"] == .null && row["calls"] == 1)
            }
            let whole = try await served.owner.get(path)
            #expect(whole.body["data"]?.array?.count == 1 && whole.body["cost"] == report.body["cost"])
            #expect(try await world.caller.get(path).status == 403)
        }
    }

    @Test("a faulty question is told what is wrong with it")
    func faults() async throws {
        try await withServer { served in
            let cases: [(query: String, faults: [String])] = [
                ("", ["?from missing", "?to missing"]),
                ("?from=2026-01-01T00:00:01Z&to=2026-01-02T00:00:00Z", ["?from invalid_value"]),
                ("?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", ["?to out_of_range"]),
                ("?from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z&group_by=hour", ["?to out_of_range"]),
                ("?from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z&group_by=team,model,feature", ["?group_by invalid_value"]),
                ("?from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z&group_by=day,week", ["?group_by invalid_value"]),
                ("?from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z&group_by=end_user", ["?group_by invalid_value"]),
            ]
            for (query, faults) in cases {
                let answer = try await served.owner.get("/v1/reports/spend" + query)
                #expect(answer.status == 422 && answer.faults == faults, "\(query): \(answer)")
            }
        }
    }
}
