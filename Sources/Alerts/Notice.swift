/// An event as people read it: the same words on every channel, taken from the immutable body and from nowhere else (a delivery that
/// looked up the present state would change what the event means), and from how it came to be delivered.
public import Budgets
public import JSON
public import Store

/// What a delivery adds to its event.
public struct Circumstances: Sendable {
    public var attempt: Int64 = 1
    /// How old the news is.
    public var age: Duration = .zero
    /// How many alerts of teams and projects were muted at this endpoint because of it.
    public var muted: Int64 = 0
    /// Who spent most of the budget so far; nil when nobody can be named.
    public var topSpender: TopSpender?
    /// How people reach this server; nil: no links.
    public var publicURL: String?

    public init() {}

    /// From here on a message says that it is late, so that nobody takes old news for new.
    public static let latest: Duration = .minutes(15)
    public var isLate: Bool { age > Circumstances.latest }
}

/// One message, before a channel dresses it. Nothing in it is escaped; lines are single.
public struct Notice: Sendable {
    public let event: String
    public let type: String
    public let severity: Severity
    public let occurredAt: Instant
    public let organization: String
    public let organizationName: String
    /// One line: `Budget 90% used: Search monthly`.
    public let title: String
    /// One or two sentences, for notifications and summaries.
    public let summary: String
    /// What is known, by label.
    public let facts: [(label: String, value: String)]
    /// What happens next, and what else a reader should know.
    public let remarks: [String]
    /// Where to look further; absolute.
    public let link: String?

    /// Reads an event's body; nil when it lacks what every event has.
    public init?(_ body: JSON, _ circumstances: Circumstances = Circumstances()) {
        guard let event = body["id"]?.string, let type = body["type"]?.string,
            let occurredAt = body["occurred_at"]?.string.flatMap({ Instant(rfc3339: $0) }),
            let organization = body["organization"]?["id"]?.string
        else { return nil }
        self.event = event
        self.type = type
        self.occurredAt = occurredAt
        self.organization = organization
        organizationName = singleLine(body["organization"]?["name"]?.string ?? "")
        severity = body["severity"]?.string.flatMap { Severity(rawValue: $0) } ?? .info
        let path = body["links"]?.object?.first?.value.string
        link = circumstances.publicURL.flatMap { base in path.map { base + $0 } }
        var remarks: [String] = []
        if let news = BudgetNews(body) {
            title = news.title
            summary = news.summary
            facts = news.facts + (circumstances.topSpender.map { [news.fact($0)] } ?? [])
            remarks.append(news.consequence)
            if !news.superseded.isEmpty { remarks.append("Also passed: \(news.superseded.joined(separator: ", ")).") }
        } else {
            title = singleLine(body["title"]?.string ?? type)
            summary = singleLine(body["summary"]?.string ?? "\(type) (\(organizationName))")
            facts = []
        }
        if circumstances.muted > 0 {
            let count = circumstances.muted == 1 ? "1 alert" : "\(circumstances.muted) alerts"
            remarks.append("\(count) of teams and projects not sent here meanwhile: the organization's budget is used up.")
        }
        if circumstances.isLate { remarks.append("Late: this happened at \(occurredAt.rfc3339.prefix(16))Z.") }
        self.remarks = remarks
    }
}
