/// `bursar bench-alerts`: how long an alert takes to a receiver that is well, while thousands wait for one that never answers.
import ArgumentParser
import Budgets
import Foundation
import JSON
import Postgres
import Store

struct AlertBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-alerts",
        abstract: "Measure how long an alert takes to a healthy receiver, with thousands waiting for a dead one.",
        discussion: """
            Starts a Postgres of its own in a temporary folder, a server, and two receivers on loopback: one answers, one never does. \
            Each alert is timed from the moment when the call that exhausts a budget is sent until the receiver has the alert, so \
            the commit is part of it. Everything is removed afterwards.
            """)

    @Option(help: "Alerts that wait for the dead receiver before anything is measured.")
    var waiting = 10_000

    @Option(help: "Alerts that are measured.")
    var alerts = 500

    @Option(help: "Alerts a second.")
    var rate = 20

    func validate() throws {
        guard (0...1_000_000).contains(waiting), (1...100_000).contains(alerts) else {
            throw ValidationError("--waiting must be 0 to 1000000 and --alerts 1 to 100000.")
        }
        guard (1...90).contains(rate) else { throw ValidationError("--rate must be 1 to 90: an endpoint takes 100 a second at most.") }
    }

    func run() async throws {
        let (waiting, alerts, rate) = (waiting, alerts, rate)
        let latencies = try await withTemporaryServer { server in
            let receivers = try await AlertReceivers.start()
            let client = LoadClient(host: server.host, port: server.port)
            let world = try await AlertWorld.create(server, client, receiversPort: receivers.port)
            try await world.makeWait(waiting)
            let latencies = try await world.measure(alerts, perSecond: rate, receivers)
            try await client.shutdown()
            try await receivers.stop()
            return latencies.sorted()
        }
        func milliseconds(_ percent: Int) -> String {
            fixed(latencies[min(latencies.count - 1, latencies.count * percent / 100)] / .milliseconds(1), 1)
        }
        Terminal.say(
            """
            \(latencies.count) alerts at \(rate)/s with \(waiting) waiting for a dead receiver: \
            p50 \(milliseconds(50)) ms, p99 \(milliseconds(99)) ms, max \(milliseconds(100)) ms
            """)
    }
}

/// An organization where each end user has one call, so that each call of a new one makes an alert.
private struct AlertWorld {
    let api: DemoAPI
    let caller: DemoAPI
    let receiversPort: Int

    static func create(_ server: TemporaryServer, _ client: LoadClient, receiversPort: Int) async throws -> AlertWorld {
        let first = FirstOrganization(name: "Acme", timeZone: "UTC", at: .now())
        let pool = PostgresPool(server.database, size: 1, logger: quiet)
        try await pool.withConnection { connection in _ = try first.create(on: connection) }
        await pool.shutdown()
        let api = DemoAPI(client: client, apiKey: first.ownerSecret.text)
        func make(_ path: String, _ body: JSON, _ field: String = "id") async throws -> JSON {
            guard let value = try await api.create(path, body)[field] else { throw CommandError("an answer without \(field)") }
            return value
        }
        _ = try await make("/v1/models", ["name": "model-a", "provider": "acme"])
        _ = try await make(
            "/v1/prices",
            ["model": "model-a", "usage_kind": "input", "amount_per_million": "1", "valid_from": "2020-01-01T00:00:00Z"])
        let team = try await make("/v1/teams", ["name": "Search"])
        let tier = try await make("/v1/tiers", ["name": "All", "rank": 1, "models": ["*"], "max_output_tokens": 4096])
        let project = try await make("/v1/projects", ["name": "Ranker", "team": team, "tier": tier])
        let secret = try await make("/v1/api-keys", ["name": "ci", "project": project], "secret")
        _ = try await make(
            "/v1/budgets",
            [
                "name": "One call each", "per": "end_user", "unit": "requests", "period": "total", "amount": "1", "enforcement": "warn",
                "thresholds": [100],
            ])
        let world = AlertWorld(
            api: api, caller: DemoAPI(client: client, apiKey: secret.string ?? ""), receiversPort: receiversPort)
        try await world.endpoint("dead")
        return world
    }

    private func endpoint(_ name: String) async throws {
        try await api.create(
            "/v1/endpoints",
            [
                "kind": "webhook", "name": .string(name), "url": .string("http://127.0.0.1:\(receiversPort)/\(name)"),
                "events": ["budget.*"], "rate_per_minute": 6000,
            ])
    }

    /// That many alerts, which only the dead receiver is to have.
    func makeWait(_ count: Int) async throws {
        let batch = 500
        for start in stride(from: 0, to: count, by: batch) {
            progress("\(start) of \(count) alerts waiting")
            try await use((start..<min(count, start + batch)).map { "waiting-\($0)" })
        }
        try await endpoint("alive")
    }

    func measure(_ count: Int, perSecond: Int, _ receivers: AlertReceivers) async throws -> [Duration] {
        let start = ContinuousClock.now
        var sent: [String: ContinuousClock.Instant] = [:]
        for number in 0..<count {
            try await Task.sleep(until: start + .seconds(1) * number / perSecond)  // the pace of the measurement
            progress("\(number) of \(count) alerts")
            sent["measured-\(number)"] = .now
            try await use(["measured-\(number)"])
        }
        let arrived = await receivers.arrivals(atLeast: count)
        return try sent.map { subject, instant in
            guard let arrival = arrived[subject] else { throw CommandError("the alert of \(subject) has not arrived") }
            return arrival - instant
        }
    }

    /// A call by each of these end users.
    private func use(_ endUsers: [String]) async throws {
        let events = endUsers.map { endUser -> JSON in
            [
                "request_id": .string(endUser), "model": "model-a", "end_user": .string(endUser), "usage": ["input": 1],
            ]
        }
        let answer = try await caller.create("/v1/usage", ["events": .array(events)])
        guard answer["results"]?.array?.allSatisfy({ $0["status"] == "booked" }) == true else {
            throw CommandError("a call was not booked: \(answer.text.prefix(500))")
        }
    }
}
