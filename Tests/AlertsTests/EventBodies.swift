/// Event bodies for tests, as the engine writes them.
import JSON

/// What an attacker calls a team: Slack's control characters, a link, line breaks, text turned around, and far too much of it.
let nastyName = "<!channel> & <https://evil.example|Reset>\u{202E}\r\n*Spent* `x` \"q\" \\ é 👩‍👩‍👧 " + String(repeating: "&<>", count: 2000)

func eventBody(
    id: String = "evt_00000000000070008000000000000001", threshold: Int64? = 90, name: String = "Search monthly", subject: String? = nil,
    enforcement: String = "block", unit: String = "usd", settled: String = "4561.999999999999", amount: String = "5000.000000000000",
    resetsAt: String? = "2026-11-30T23:00:00Z", superseded: [Int64] = [70, 80], thresholdAmount: String? = nil, reason: String? = nil,
    levels: [JSON] = ["warn", "block"]
) -> JSON {
    let percent = threshold ?? 0
    let type = reason != nil ? "budget.recovered" : percent >= 100 ? "budget.exceeded" : "budget.threshold_reached"
    var body = JSON.Object([
        ("version", 1), ("id", .string(id)), ("type", .string(type)), ("occurred_at", "2026-11-21T08:00:00.123456Z"),
        ("severity", .string(percent >= 100 ? "critical" : percent >= 90 ? "error" : "warning")),
        ("organization", ["id": "org_00000000000070008000000000000002", "name": .string(name), "time_zone": "Europe/Berlin"]),
        (
            "budget",
            [
                "id": "bgt_00000000000070008000000000000003", "name": .string(name),
                "scope": ["team": "team_00000000000070008000000000000004", "name": .string(name)], "unit": .string(unit),
                "period": "month", "enforcement": .string(enforcement),
            ]
        ), ("subject", subject.map { .string($0) } ?? .null), ("period_start", "2026-10-31T23:00:00Z"),
        ("resets_at", resetsAt.map { .string($0) } ?? .null), ("amount", .string(amount)), ("settled", .string(settled)),
        ("used_percent", "91.23"), ("projected", "6843.500000000000"), ("exhausts_at", "2026-11-24T09:30:00Z"),
        ("links", ["budget": "/v1/budgets/bgt_00000000000070008000000000000003"]),
    ])
    if let reason {
        body["reason"] = .string(reason)
        body["levels"] = .array(levels)
    } else {
        body["threshold"] = threshold.map { .number($0) } ?? .null
        body["threshold_amount"] = thresholdAmount.map { .string($0) } ?? .null
        body["superseded"] = .array(superseded.map { .number($0) })
    }
    return .object(body)
}
