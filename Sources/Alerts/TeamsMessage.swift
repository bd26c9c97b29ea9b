/// A message for a Microsoft Teams workflow ("Post to a channel when a webhook request is received"): an Adaptive Card. Names stand in
/// text runs, which show no markup, so that a team named `[Reset](https://…)` forges no link.
import Budgets
public import JSON

public enum TeamsMessage {
    /// Teams takes 28 kB a message; each text is cut so that the card stays far below.
    static let textLimit = 1000

    public static func make(_ notice: Notice) -> JSON {
        var body: [JSON] = [text(notice.title, ["weight": "bolder", "size": "medium"])]
        if notice.facts.isEmpty { body.append(text(notice.summary)) }
        for fact in notice.facts {
            body.append([
                "type": "RichTextBlock", "spacing": "small",
                "inlines": [run("\(fact.label): ", ["weight": "bolder"]), run(fact.value)],
            ])
        }
        for remark in notice.remarks { body.append(text(remark)) }
        body.append(text("\(notice.event) · \(notice.severity.rawValue)", ["isSubtle": true, "size": "small"]))
        var card = JSON.Object([
            ("$schema", "http://adaptivecards.io/schemas/adaptive-card.json"), ("type", "AdaptiveCard"), ("version", "1.2"),
            ("body", .array(body)), ("fallbackText", .string(notice.summary.shortened(to: textLimit))), ("msteams", ["width": "full"]),
        ])
        if let link = notice.link { card["actions"] = [["type": "Action.OpenUrl", "title": "Open", "url": .string(link)]] }
        return [
            "type": "message",
            "attachments": [
                ["contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": .object(card)]
            ],
        ]
    }

    private static func text(_ text: String, _ style: JSON.Object = JSON.Object()) -> JSON {
        ["type": "RichTextBlock", "inlines": [run(text, style)]]
    }

    private static func text(_ text: String, _ style: [String: JSON]) -> JSON { self.text(text, object(style)) }
    private static func run(_ text: String, _ style: [String: JSON]) -> JSON { run(text, object(style)) }

    private static func object(_ style: [String: JSON]) -> JSON.Object { JSON.Object(style.sorted { $0.key < $1.key }.map { ($0, $1) }) }

    private static func run(_ text: String, _ style: JSON.Object = JSON.Object()) -> JSON {
        var run = JSON.Object([("type", "TextRun"), ("text", .string(text.shortened(to: textLimit)))])
        for member in style { run[member.name] = member.value }
        return .object(run)
    }
}
