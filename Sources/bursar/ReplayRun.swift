/// A replay from beginning to end: offers the calls, then asks the server what it booked meanwhile.
import Budgets
import Foundation
import JSON
import NIOCore

struct ReplayRun {
    let host: String
    let port: Int
    let plan: ReplayPlan
    let calls: [ReplayCall]
    /// How many times faster than the trace; nil: as fast as possible.
    let speed: Double?
    let connections: Int
    /// May read statements; nil: nothing is compared.
    let statementKey: String?

    /// - Parameter progress: called a few times a second with the number of calls that have their last answer.
    /// - Throws: `LoadError` when the server goes away, `ReplayFault` when its statement cannot be read.
    func run(progress: (@Sendable (Int) -> Void)? = nil) async throws -> ReplayReport {
        let client = LoadClient(host: host, port: port)
        do {
            let report = try await run(client, progress)
            try await client.shutdown()
            return report
        } catch {
            // The first error is the one to report.
            try? await client.shutdown()
            throw error
        }
    }

    private func run(_ client: LoadClient, _ progress: (@Sendable (Int) -> Void)?) async throws -> ReplayReport {
        let before = try await statement(client)
        let heads = plan.keys.map { RequestHead(host: host, port: port, apiKey: $0.value) }
        let start = NIODeadline.now()
        let work = ReplayWork(calls: calls, heads: heads, speed: speed, start: start)
        let tallies = try await withThrowingTaskGroup(of: [ReplayTally]?.self) { group in
            group.addTask { try await client.drive(connections: connections) { _ in ReplayDriver(work: work) } }
            if let progress {
                group.addTask {
                    while true {
                        progress(work.done)
                        // A display for people: there is no event to wait for but the passing of time.
                        guard (try? await Task.sleep(for: .milliseconds(250))) != nil else { return nil }
                    }
                }
            }
            var tallies: [ReplayTally] = []
            while let found = try await group.next() {
                if let found {
                    tallies = found
                    group.cancelAll()
                }
            }
            return tallies
        }
        let seconds = Double((NIODeadline.now() - start).nanoseconds) / 1e9
        let after = try await statement(client)
        var tally = ReplayTally()
        for one in tallies { tally.add(one) }
        let booked: ReplayReport.Booked? =
            if let before, let after { .init(calls: after.calls - before.calls, cost: after.cost - before.cost) } else { nil }
        return ReplayReport(calls: calls.count, seconds: seconds, tally: tally, booked: booked)
    }

    /// What is booked in the months around now; whatever the organization's zone, the replay falls into them.
    private func statement(_ client: LoadClient) async throws -> ReplayReport.Booked? {
        guard let statementKey else { return nil }
        let head = RequestHead(host: host, port: port, apiKey: statementKey)
        let today = Int64(Date().timeIntervalSince1970) / 86_400
        let months = Set((-1...1).map { CivilDate(daysSinceEpoch: today + $0) }.map { "\($0.year)-\($0.month < 10 ? "0" : "")\($0.month)" })
        var calls: Int64 = 0
        var cost = Money.zero
        for month in months {
            let answer = try await client.send(head.request("GET", "/v1/statements/\(month)"))
            let body = try? JSON.parse(answer.body)
            guard answer.status == 200, let part = body?["calls"]?.int64,
                let amount = body?["cost"]?["amount"]?.string.flatMap({ Amount($0) })
            else { throw ReplayFault(description: "the statement of \(month) cannot be read: status \(answer.status)") }
            calls += part
            cost = cost + amount
        }
        return ReplayReport.Booked(calls: calls, cost: cost)
    }
}

struct ReplayFault: Error, CustomStringConvertible {
    let description: String
}
