/// A Slack incoming webhook's message in Block Kit. Slack has no idempotency: the event's id stands in the last line, so that a person
/// can tell a repeat.
import Budgets
public import JSON

/// Builds what is posted to Slack.
public enum SlackMessage {
    // Slack's bounds (docs.slack.dev, Block Kit reference), in characters. Escaped text counts as it is sent.
    static let headerLimit = 150
    static let fieldLimit = 2000
    static let textLimit = 3000

    /// The message about an event's body; nil when the body cannot be read.
    public static func make(_ body: JSON) -> JSON? {
        guard let news = BudgetNews(body) else { return general(body) }
        var fields = [
            field("Used", "\(news.used) of \(news.whole) (\(news.usedPercent)%)"), field("Resets", news.resets), field("Scope", news.whose),
            field("Period", news.period),
        ]
        if let subject = news.subject { fields.append(field("Subject", singleLine(subject))) }
        let superseded = news.superseded.isEmpty ? "" : " · also passed: \(news.superseded.map { "\($0)%" }.joined(separator: ", "))"
        return message(
            text: news.summary, header: news.title,
            blocks: [
                ["type": "section", "fields": .array(fields)],
                ["type": "section", "text": markdown("", news.consequence, limit: textLimit)],
                context("\(news.event) · \(news.severity.rawValue)\(superseded)"),
            ])
    }

    /// For types of events that have no message of their own.
    private static func general(_ body: JSON) -> JSON? {
        guard let type = body["type"]?.string, let id = body["id"]?.string else { return nil }
        let organization = body["organization"]?["name"]?.string.map { " (\(singleLine($0)))" } ?? ""
        return message(text: "\(type)\(organization)", header: type, blocks: [context(id)])
    }

    private static func message(text: String, header: String, blocks: [JSON]) -> JSON {
        let header: JSON = [
            "type": "header",
            "text": ["type": "plain_text", "text": .string(escaped(header, limit: headerLimit)), "emoji": false],
        ]
        // Names that look like links stay text, and nothing is fetched to decorate the message.
        return [
            "text": .string(escaped(text, limit: textLimit)), "unfurl_links": false, "unfurl_media": false,
            "blocks": .array([header] + blocks),
        ]
    }

    private static func field(_ label: String, _ value: String) -> JSON { markdown("*\(label)*\n", value, limit: fieldLimit) }

    private static func context(_ text: String) -> JSON { ["type": "context", "elements": [markdown("", text, limit: fieldLimit)]] }

    /// `label` is ours and may be formatted; `value` is shown as it is, except that Slack's own marks for emphasis remain marks.
    private static func markdown(_ label: String, _ value: String, limit: Int) -> JSON {
        ["type": "mrkdwn", "text": .string(label + escaped(value, limit: limit - label.utf16.count)), "verbatim": true]
    }

    /// Slack's three control characters, without which a team named `<!channel>` would call everyone. Never cut inside an escape.
    static func escaped(_ text: String, limit: Int) -> String {
        func escape(_ character: Character) -> String {
            switch character {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            default: String(character)
            }
        }
        let pieces = text.map(escape)
        guard pieces.reduce(0, { $0 + $1.utf16.count }) > limit else { return pieces.joined() }
        var result = ""
        var count = 1  // the ellipsis
        for piece in pieces {
            count += piece.utf16.count
            guard count <= limit else { break }
            result += piece
        }
        return result + "…"
    }
}
