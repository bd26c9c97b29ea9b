/// What the demo found, and whether all of it is as it must be.
import Budgets
import Chargeback
import Foundation
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

struct DemoOutcome: Sendable {
    let world: DemoWorld
    let report: ReplayReport
    let alerts: [DemoAlert]
    let unread: [String]
    /// How many deliveries the server knows of.
    let deliveries: Int
    let export: DemoExport

    /// What was claimed, and whether it is so.
    var checks: [(claim: String, holds: Bool)] {
        let tally = report.tally
        let expected = DemoWorld.expectedAlerts
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
                "each of \(expected.count) alerts (70, 80, 90, 100 % of two budgets, three receivers) arrived exactly once",
                alerts.count == expected.count && Set(alerts) == expected && unread.isEmpty && deliveries == expected.count
            ),
        ]
    }

    var isWell: Bool { checks.allSatisfy(\.holds) }

    var text: String {
        let verdicts = checks.map { "\($0.holds ? "  ok  " : "FAILED") \($0.claim)" }
        let strays = DemoWorld.expectedAlerts.subtracting(alerts).map { "missing: \($0.receiver) \($0.threshold) % \($0.budget)" }
        return ([report.text, ""] + verdicts + strays.sorted() + unread.map { "not understood: \($0)" }).joined(separator: "\n")
    }
}
