/// A Slack incoming webhook's message in Block Kit. Slack has no idempotency: the event's id stands in the last line, so that a person
/// can tell a repeat.
import Budgets
public import JSON

/// Builds what is posted to Slack.
public enum SlackMessage {
    // Slack's bounds (docs.slack.dev, Block Kit reference), in characters. Escaped text counts as it is sent.
    static let headerLimit = 150
    static let textLimit = 3000
    static let urlLimit = 3000
    /// Below Slack's 2,000 a field: all blocks together must stay under some 13,000, which is not documented.
    static let fieldLimit = 1000

    public static func make(_ notice: Notice) -> JSON {
        var blocks: [JSON] = [
            [
                "type": "header",
                "text": ["type": "plain_text", "text": .string(escaped(notice.title, limit: headerLimit)), "emoji": false],
            ]
        ]
        if notice.facts.isEmpty {
            blocks.append(["type": "section", "text": markdown("", notice.summary, limit: textLimit)])
        } else {
            blocks.append(
                ["type": "section", "fields": .array(notice.facts.map { markdown("*\($0.label)*\n", $0.value, limit: fieldLimit) })])
        }
        if !notice.remarks.isEmpty {
            blocks.append(["type": "section", "text": markdown("", notice.remarks.joined(separator: " "), limit: textLimit)])
        }
        if let link = notice.link, link.utf16.count <= urlLimit {
            blocks.append([
                "type": "actions",
                "elements": [
                    ["type": "button", "text": ["type": "plain_text", "text": "Open", "emoji": false], "url": .string(link)]
                ],
            ])
        }
        let identity = "\(notice.event) · \(notice.severity.rawValue)"
        blocks.append(["type": "context", "elements": [markdown("", identity, limit: fieldLimit)]])
        // Names that look like links stay text, and nothing is fetched to decorate the message.
        return [
            "text": .string(escaped(notice.summary, limit: textLimit)), "unfurl_links": false, "unfurl_media": false,
            "blocks": .array(blocks),
        ]
    }

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
