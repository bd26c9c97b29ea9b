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

    /// The event that triggers an incident.
    public static func trigger(_ notice: Notice, _ body: JSON, routingKey: String) -> JSON {
        let news = BudgetNews(body)
        let payload: JSON.Object = JSON.Object([
            ("summary", .string(notice.summary.shortened(to: summaryLimit))), ("source", .string("bursar/\(notice.organization)")),
            ("severity", .string(notice.severity.rawValue)), ("timestamp", .string(notice.occurredAt.rfc3339)),
            ("component", .string(news?.budgetName ?? "bursar")), ("group", .string(notice.organizationName)),
            ("class", .string(notice.type)), ("custom_details", body),
        ])
        var event = JSON.Object([
            ("routing_key", .string(routingKey)), ("event_action", "trigger"),
            ("dedup_key", .string(news.map { deduplicationKey($0, isExceeded: $0.isExceeded) } ?? "bursar/\(notice.event)")),
            ("client", "Bursar"), ("payload", .object(payload)),
        ])
        if let link = notice.link {
            event["client_url"] = .string(link)
            event["links"] = [["href": .string(link), "text": "Open"]]
        }
        return .object(event)
    }

    /// The event that ends an incident. It must carry the routing key that triggered it.
    public static func resolve(_ news: BudgetNews, isExceeded: Bool, routingKey: String) -> JSON {
        [
            "routing_key": .string(routingKey), "event_action": "resolve",
            "dedup_key": .string(deduplicationKey(news, isExceeded: isExceeded)),
        ]
    }

    /// The same for all warnings of a budget, subject and period, and another for its exhaustion.
    public static func deduplicationKey(_ news: BudgetNews, isExceeded: Bool) -> String {
        let subject = SHA256.hash(data: Array((news.subject ?? "").utf8)).prefix(8)
            .map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
        return "bursar/\(news.organization)/\(news.budget)/\(news.periodStart)/\(subject)/\(isExceeded ? "block" : "warn")"
            .shortened(to: deduplicationLimit)
    }
}
