/// What the demo found, and whether all of it is as it must be.
import Budgets
import Chargeback
import Foundation
import JSON
import Store

/// The exported months, added up from their lines and by their own total lines.
struct DemoExport: Sendable {
    let lines: Money
    let total: Money
    let rows: Int

    /// Reads the months around now: whatever the hour, the demo's calls are in one of them.
    static func read(_ api: DemoAPI) async throws -> DemoExport {
        let day: Int64 = 86_400
        let months = Set([-day, 0, day].compactMap { StatementMonth(at: Instant.now().adding(seconds: $0), in: .utc) })
        var (lines, total, rows) = (Money.zero, Money.zero, 0)
        for month in months {
            let text = String(decoding: try await api.read("/v1/statements/\(month)/export?format=csv"), as: UTF8.self)
            for record in text.split(separator: "\r\n").dropFirst() {
                // The last column is the cost, which is never quoted.
                guard let cost = record.split(separator: ",").last.flatMap({ Amount(String($0)) }) else {
                    throw CommandError("the export has a record without a cost")
                }
                if record.hasPrefix("total,") {
                    total = total + cost
                } else if record.hasPrefix("line,") {
                    lines = lines + cost
                    rows += 1
                }
            }
        }
        return DemoExport(lines: lines, total: total, rows: rows)
    }
}

/// What became of the deliveries, by the API's own account.
struct DemoDeliveries: Sendable {
    let delivered: Int
    /// Replaced by a later alert of the same budget before they had left.
    let superseded: Int
    let others: Int

    /// Reads them until none is under way; so long is only waited when something is wrong.
    static func read(_ api: DemoAPI, atMost time: Duration) async throws -> DemoDeliveries {
        let deadline = ContinuousClock.now + time
        while true {
            let all = try JSON.parse(try await api.read("/v1/deliveries?limit=100"))["data"]?.array ?? []
            let states = all.map { ($0["state"]?.string ?? "", $0["last_error"]?.string ?? "") }
            let delivered = states.count { $0.0 == "delivered" }
            let superseded = states.count { $0.0 == "cancelled" && $0.1.hasPrefix("superseded") }
            let result = DemoDeliveries(delivered: delivered, superseded: superseded, others: states.count - delivered - superseded)
            if result.others == 0 && delivered > 0 || ContinuousClock.now > deadline { return result }
            // The API tells nobody of deliveries made; asking a few times a second is what a client would do.
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}

struct DemoOutcome: Sendable {
    let world: DemoWorld
    let report: ReplayReport
    let alerts: [DemoAlert]
    let unread: [String]
    let deliveries: DemoDeliveries
    let export: DemoExport

    /// What was claimed, and whether it is so.
    var checks: [(claim: String, holds: Bool)] {
        let tally = report.tally
        let expected = DemoWorld.expectedAlerts
        let last = expected.filter { $0.threshold == 100 }
        let refused = tally.refused.values.reduce(0, +)
        return [
            (
                "every call was answered, every admitted one settled",
                tally.admitted + refused == report.calls && tally.settled == tally.admitted
            ),
            (
                "«\(DemoWorld.quota)» let exactly \(world.quotaAmount) pass and refused \(world.overQuota)",
                tally.refused["budget_exceeded", default: 0] == world.overQuota
            ),
            (
                "\(world.notAllowed) calls for a model beyond their tier were refused",
                tally.refused["model_not_allowed", default: 0] == world.notAllowed
            ),
            ("the statement equals the calls' own sum to the last digit", report.booked != nil && report.isTied),
            (
                "the exported lines and their total equal it too: \(export.total) USD in \(export.rows) lines",
                export.lines == tally.cost && export.total == tally.cost
            ),
            (
                """
                \(alerts.count) alerts of two budgets arrived at three receivers, each exactly once, 100 % everywhere; \
                \(deliveries.superseded) were replaced by a higher one on their way
                """,
                Set(alerts).count == alerts.count && expected.isSuperset(of: alerts) && last.isSubset(of: alerts) && unread.isEmpty
                    && deliveries.delivered == alerts.count && deliveries.others == 0
            ),
        ]
    }

    var isWell: Bool { checks.allSatisfy(\.holds) }

    var text: String {
        let verdicts = checks.map { "\($0.holds ? "  ok  " : "FAILED") \($0.claim)" }
        let strays = DemoWorld.expectedAlerts.filter { $0.threshold == 100 }.subtracting(alerts).map {
            "missing: \($0.receiver) \($0.threshold) % \($0.budget)"
        }
        return ([report.text, ""] + verdicts + strays.sorted() + unread.map { "not understood: \($0)" }).joined(separator: "\n")
    }
}
