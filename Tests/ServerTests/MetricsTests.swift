/// `/metrics` by a strict reading of Prometheus' text format, its promise of a bounded number of series, and its manual.
import Foundation
import HTTPTypes
import JSON
import Testing

@testable import Server

@Suite(.serialized) struct MetricsTests {
    @Test("what is served is well formed, follows the conventions, and tells what happened")
    func truth() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await world.budget("0.01")
            let first = try await world.reserve("r1")
            #expect(first.status == 201, "\(first)")
            #expect(try await world.reserve("r1").status == 201)
            #expect(try await world.reserve("r2", input: 1_000_000).status == 402)
            let settled = try await world.caller.post("/v1/reservations/\(first.id)/settle", ["usage": ["input": 1000, "output": 50]])
            #expect(settled.body["cost"]?["amount"]?.string == "0.001100000000", "\(settled)")
            #expect(try await world.reserve("r3").status == 201)

            let answer = try await served.caller(nil).get("/metrics")
            #expect(answer.headers[.contentType] == "text/plain; version=0.0.4; charset=utf-8")
            let page = try PrometheusPage(answer.text)
            page.checkConventions()
            #expect(page.value("bursar_commands_total", ["command": "reserve", "outcome": "held"]) == 2)
            #expect(page.value("bursar_commands_total", ["command": "reserve", "outcome": "replayed"]) == 1)
            #expect(page.value("bursar_commands_total", ["command": "reserve", "outcome": "budget_exceeded"]) == 1)
            #expect(page.value("bursar_commands_total", ["command": "settle", "outcome": "settled"]) == 1)
            #expect(page.value("bursar_settled_usd_total") == 0.0011)
            #expect(page.value("bursar_overage_usd_total") == 0)
            #expect(page.value("bursar_open_holds") == 1 && page.value("bursar_overdue_holds") == 0)
            #expect(page.value("bursar_held_usd") == 0.0012)
            #expect(page.value("bursar_exports_waiting") == 0 && page.value("bursar_oldest_export_age_seconds") == 0)
            #expect(page.value("bursar_lane_queued_commands", ["lane": "0"]) == 0)
            #expect(page.value("bursar_lane_batch_size_sum", ["lane": "0"]) == 5)
            #expect(page.value("bursar_lane_batch_duration_seconds_count", ["lane": "0"]) ?? 0 >= 1)
            #expect(page.value("bursar_http_requests_total", ["method": "POST", "route": "/v1/reservations", "status": "2xx"]) == 3)
            #expect(page.value("bursar_http_requests_total", ["method": "POST", "route": "/v1/reservations", "status": "4xx"]) == 1)
            #expect(page.value("bursar_postgres_up") == 1 && page.value("bursar_pool_maximum_connections") == 4)
            #expect(page.value("process_resident_memory_bytes") ?? 0 > 1_048_576 && page.value("process_open_fds") ?? 0 > 3)
            #expect(page.value("process_max_fds") ?? 0 > 3 && page.value("process_cpu_seconds_total") ?? 0 > 0)
        }
    }

    @Test("nothing that callers write makes a series")
    func bounded() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            func callAround(_ name: String) async throws {
                _ = try await served.caller(nil).get("/v1/\(name)")
                _ = try await served.caller("bur_\(name)").get("/v1/teams/\(name)")
                _ = try await world.caller.post(
                    "/v1/reservations",
                    [
                        "request_id": .string(name), "model": "model-a", "input_tokens": 1, "max_output_tokens": 1,
                        "end_user": .string(name), "feature": .string(name),
                    ])
                _ = try await served.anotherOrganization()
            }
            func series() async throws -> Set<String> { try PrometheusPage(await served.caller(nil).get("/metrics").text).series }
            try await callAround("first")
            // The first scrape is counted in the second.
            _ = try await series()
            let before = try await series()
            for number in 0..<5 { try await callAround("another-\(number)") }
            #expect(try await series() == before)
        }
    }

    @Test("labels are escaped, and a family without a value is named all the same")
    func escaping() throws {
        var text = MetricsText()
        text.family("bursar_a_total", .counter, "With \\ and\na line.") { $0.sample(["x": "a\"b\\c\nd"], 1) }
        text.family("bursar_b", .gauge, "Unknown.", Int?.none)
        #expect(
            text.text == #"""
                # HELP bursar_a_total With \\ and\na line.
                # TYPE bursar_a_total counter
                bursar_a_total{x="a\"b\\c\nd"} 1
                # HELP bursar_b Unknown.
                # TYPE bursar_b gauge

                """#)
        #expect(try PrometheusPage(text.text).value("bursar_a_total", ["x": "a\"b\\c\nd"]) == 1)
    }

    static let malformed = [
        "a 1", "# TYPE a gauge\na 1\n", "# HELP a x\n# TYPE a gauge\na 1", "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n", "# HELP a x\n# TYPE a gauge\na{b=\"\\x\"} 1\n",
        "# HELP a x\n# TYPE a gauge\nb 1\n", "# HELP a x\n# TYPE a gauge\na one\n", "# HELP a x\n# TYPE a figure\na 1\n",
        "# HELP a x\n# TYPE a gauge\n# HELP a x\n# TYPE a gauge\n", "# HELP a x\n# TYPE a gauge\na{b=1} 1\n",
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
    ]

    @Test("the reading used here is strict", arguments: malformed)
    func strictness(text: String) {
        #expect(throws: PrometheusPage.Malformed.self) { try PrometheusPage(text) }
    }

    @Test("docs/operations.md explains every metric there is, and no other")
    func manual() async throws {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../docs/operations.md").standardized
        let documented = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
            .compactMap { $0.firstMatch(of: #/^\| `((?:bursar|process)_[a-z_]+)/#).map { String($0.1) } }
        try await withServer { served in
            let families = try PrometheusPage(await served.caller(nil).get("/metrics").text).families
            #expect(Set(documented).count == documented.count)
            #expect(families.subtracting(documented) == [], "not in the manual")
            #expect(Set(documented).subtracting(families) == [], "not served")
        }
    }
}
