/// PagerDuty's Events API v2. A trigger on a key whose incident is acknowledged notifies nobody, so warnings and exhaustion of a budget
/// have a key each.
import Budgets
import Crypto
public import JSON

/// Builds what is posted to PagerDuty.
public enum PagerDutyMessage {
    /// PagerDuty's bounds, in characters.
    static let summaryLimit = 1024
    static let deduplicationLimit = 255

    /// The event that triggers an incident; nil when the body cannot be read.
    public static func make(_ body: JSON, routingKey: String) -> JSON? {
        guard let news = BudgetNews(body) else { return general(body, routingKey: routingKey) }
        let payload: JSON = [
            "summary": .string(news.summary.shortened(to: summaryLimit)), "source": .string("bursar/\(news.organization)"),
            "severity": .string(news.severity.rawValue), "timestamp": .string(news.occurredAt.rfc3339),
            "component": .string(singleLine(news.budgetName)), "group": .string(singleLine(news.organizationName)),
            "class": .string(news.type), "custom_details": body,
        ]
        return event(routingKey, deduplicationKey: deduplicationKey(news), payload)
    }

    /// The same for all warnings of a budget, subject and period, and another for its exhaustion.
    public static func deduplicationKey(_ news: BudgetNews) -> String {
        let subject = SHA256.hash(data: Array((news.subject ?? "").utf8)).prefix(8)
            .map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
        let level = news.isExceeded ? "block" : "warn"
        return "bursar/\(news.organization)/\(news.budget)/\(news.periodStart)/\(subject)/\(level)"
    }

    /// For types of events that have no message of their own: each event is an incident.
    private static func general(_ body: JSON, routingKey: String) -> JSON? {
        guard let type = body["type"]?.string, let id = body["id"]?.string else { return nil }
        let severity = body["severity"]?.string ?? "info"
        let organization = body["organization"]?["name"]?.string.map { " (\(singleLine($0)))" } ?? ""
        let payload: JSON = [
            "summary": .string("\(type)\(organization)".shortened(to: summaryLimit)),
            "source": .string("bursar/\(body["organization"]?["id"]?.string ?? "")"), "severity": .string(severity),
            "class": .string(type), "custom_details": body,
        ]
        return event(routingKey, deduplicationKey: "bursar/\(id)", payload)
    }

    private static func event(_ routingKey: String, deduplicationKey: String, _ payload: JSON) -> JSON {
        [
            "routing_key": .string(routingKey), "event_action": "trigger",
            "dedup_key": .string(deduplicationKey.shortened(to: deduplicationLimit)), "client": "Bursar", "payload": payload,
        ]
    }
}
