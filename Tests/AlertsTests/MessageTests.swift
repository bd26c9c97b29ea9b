/// What is sent to each vendor, held against the vendor's own bounds.
import Budgets
import Foundation
import JSON
import Store
import Testing

@testable import Alerts

@Suite struct MessageTests {
    private func notice(_ body: JSON, _ circumstances: Circumstances = Circumstances()) throws -> Notice {
        try #require(Notice(body, circumstances))
    }

    @Test("Slack's message says what, how much, where it leads and until when, and has a button")
    func slack() throws {
        var circumstances = Circumstances()
        circumstances.publicURL = "https://bursar.example"
        let message = SlackMessage.make(try notice(eventBody(), circumstances))
        #expect(
            message["text"]?.string
                == "[90%] team Search monthly: $4,561.99 of $5,000.00 used (Search monthly). Calls are refused at 100%.")
        let blocks = try #require(message["blocks"]?.array)
        #expect(blocks[0]["text"]?["text"]?.string == "Budget 90% used: Search monthly")
        let fields = try #require(blocks[1]["fields"]?.array?.compactMap { $0["text"]?.string })
        #expect(fields.contains("*Used*\n$4,561.99 of $5,000.00 (91.23%)"))
        #expect(fields.contains("*Resets*\n2026-12-01 00:00 Europe/Berlin"))
        #expect(fields.contains("*Projected*\n$6,843.50, used up 2026-11-24 10:30 Europe/Berlin"))
        #expect(blocks[2]["text"]?["text"]?.string == "Calls are refused at 100%. Also passed: 70%, 80%.")
        #expect(
            blocks[3]["elements"]?[0]?["url"]?.string == "https://bursar.example/v1/budgets/bgt_00000000000070008000000000000003")
        #expect(blocks.last?["elements"]?[0]?["text"]?.string == "evt_00000000000070008000000000000001 · error")
    }

    private let spender = TopSpender(dimension: .project, id: "prj_1", name: "<Ranker>\n", cost: Amount("3012.1")!)

    @Test("who spent most is a fact among the others, with the share of what was used")
    func topSpender() throws {
        var circumstances = Circumstances()
        circumstances.topSpender = spender
        let facts = try notice(eventBody(), circumstances).facts
        #expect(facts.last?.label == "Top project" && facts.last?.value == "<Ranker> , $3,012.10 (66%)")
        let fields = SlackMessage.make(try notice(eventBody(), circumstances))["blocks"]?[1]?["fields"]?.array ?? []
        #expect(fields.last?["text"]?.string == "*Top project*\n&lt;Ranker&gt; , $3,012.10 (66%)")
    }

    @Test("what is late says so, and what was muted is counted")
    func circumstances() throws {
        var circumstances = Circumstances()
        circumstances.age = .minutes(16)
        circumstances.muted = 14
        let remarks = try notice(eventBody(threshold: 100), circumstances).remarks
        #expect(remarks.contains("Late: this happened at 2026-11-21T08:00Z."))
        #expect(remarks.contains { $0.hasPrefix("14 alerts of teams and projects not sent here") })
        circumstances.age = .minutes(15)
        #expect(try !notice(eventBody(), circumstances).remarks.contains { $0.hasPrefix("Late") })
    }

    @Test(
        "thresholds that are amounts, and recoveries, have words of their own",
        arguments: [
            (eventBody(threshold: nil, thresholdAmount: "4000"), "Budget $4,000.00 used: Search monthly"),
            (eventBody(reason: "limit_raised"), "Budget recovered: Search monthly"),
            (eventBody(threshold: 120), "Budget used up: Search monthly"),
        ])
    func titles(body: JSON, title: String) throws { #expect(try notice(body).title == title) }

    @Test(
        "the last word is what happens next",
        arguments: [
            ("block", 100, "2026-11-30T23:00:00Z", "Calls are refused until 2026-12-01 00:00 Europe/Berlin."),
            ("block", 100, nil, "Calls are refused."), ("block", 70, nil, "Calls are refused at 100%."),
            ("warn", 100, nil, "Calls are not refused: this budget only warns."),
            ("shadow", 80, nil, "Calls are not refused: this budget only watches."),
        ] as [(String, Int64, String?, String)])
    func consequences(enforcement: String, threshold: Int64, resetsAt: String?, sentence: String) throws {
        let news = try #require(BudgetNews(eventBody(threshold: threshold, enforcement: enforcement, resetsAt: resetsAt)))
        #expect(news.summary.hasSuffix(sentence))
    }

    @Test(
        "amounts are grouped and cut, never rounded up",
        arguments: [
            ("0", .usd, "$0.00"), ("0.000123456789", .usd, "$0.000123"), ("0.999999999999", .usd, "$0.999999"), ("1.999", .usd, "$1.99"),
            ("1234567.5", .usd, "$1,234,567.50"), ("999.999999999999", .usd, "$999.99"), ("1000", .tokens, "1,000 tokens"),
            ("12", .requests, "12 requests"), ("-1234.567", .usd, "$-1,234.56"),
        ] as [(String, BudgetUnit, String)])
    func amounts(text: String, unit: BudgetUnit, expected: String) throws {
        #expect(display(try #require(Amount(text)), unit: unit) == expected)
    }

    @Test(
        "nothing a tenant writes gets out of its place in Slack's message, and every bound is kept", arguments: [0, 1, 40, 150, 2000, .max])
    func slackBounds(length: Int) throws {
        let name = String(nastyName.prefix(length))
        let message = SlackMessage.make(try notice(eventBody(name: name, subject: name)))
        try SlackLimits.check(message)
        for text in SlackLimits.texts(message) {
            #expect(!text.contains("<") && !text.contains(">"), "\(text.prefix(80))")
            // Every ampersand begins one of the three escapes.
            #expect(
                text.split(separator: "&", omittingEmptySubsequences: false).dropFirst().allSatisfy { rest in
                    ["amp;", "lt;", "gt;"].contains { rest.hasPrefix($0) }
                })
            #expect(text.unicodeScalars.allSatisfy { $0 != "\u{202E}" && $0 != "\r" })
        }
    }

    @Test("escaped text is cut at exactly the bound", arguments: [1, 2, 5, 6, 149, 150, 151, 1000])
    func cuts(count: Int) {
        for character in ["a", "&", "<", "é", "👍"] {
            let text = String(repeating: character, count: count)
            let escaped = SlackMessage.escaped(text, limit: 150)
            #expect(escaped.utf16.count <= 150)
            #expect(escaped.hasSuffix("…") == (SlackMessage.escaped(text, limit: .max).utf16.count > 150))
            #expect(text.shortened(to: 150).utf16.count <= 150)
        }
    }

    @Test("PagerDuty's event has its required fields, severity and bounds", arguments: [1, 1000, .max])
    func pagerDuty(length: Int) throws {
        let name = String(nastyName.prefix(length))
        let body = eventBody(name: name, subject: name)
        let event = PagerDutyMessage.trigger(try notice(body), body, routingKey: "R0")
        #expect(event["routing_key"]?.string == "R0")
        #expect(event["event_action"]?.string == "trigger")
        let payload = try #require(event["payload"])
        #expect(try #require(payload["summary"]?.string).unicodeScalars.count <= 1024)
        #expect(payload["source"]?.string?.isEmpty == false)
        #expect(payload["severity"]?.string == "error")
        #expect(payload["timestamp"]?.string == "2026-11-21T08:00:00.123456Z")
        #expect(payload["custom_details"]?["budget"]?["id"]?.string == "bgt_00000000000070008000000000000003")
        #expect(try #require(event["dedup_key"]?.string).count <= 255)
        #expect(event.bytes.count < 512_000)
    }

    @Test("warnings share a dedup key, exhaustion has its own, and budget, subject and period tell keys apart")
    func deduplication() throws {
        func made(_ threshold: Int64, subject: String? = nil) throws -> String {
            let news = try #require(BudgetNews(eventBody(threshold: threshold, subject: subject)))
            return PagerDutyMessage.deduplicationKey(news, isExceeded: news.isExceeded)
        }
        let stem = "bursar/org_00000000000070008000000000000002/bgt_00000000000070008000000000000003/2026-10-31T23:00:00Z/"
        #expect(try made(70) == stem + "e3b0c44298fc1c14/warn")
        #expect(try made(90) == made(70))
        #expect(try made(100) == stem + "e3b0c44298fc1c14/block")
        #expect(try made(120) == made(100))
        #expect(try Set([made(70), made(70, subject: "a"), made(70, subject: "b"), made(100, subject: "a")]).count == 4)
    }

    @Test("a webhook carries type, time and the whole event")
    func webhook() throws {
        let body = eventBody()
        let message = try #require(WebhookMessage.make(body))
        #expect(message["type"]?.string == "budget.threshold_reached")
        #expect(message["timestamp"]?.string == "2026-11-21T08:00:00.123456Z")
        #expect(message["data"] == body)
        #expect(message.object?.map(\.name) == ["type", "timestamp", "data", "delivery"])
        #expect(message["delivery"] == ["attempt": 1, "late": false, "muted": 0, "top_spender": nil])
        var circumstances = Circumstances()
        circumstances.topSpender = spender
        #expect(
            WebhookMessage.make(body, circumstances)?["delivery"]?["top_spender"]
                == ["kind": "project", "id": "prj_1", "name": "<Ranker>\n", "cost": "3012.100000000000"])
    }

    @Test("an event of a type to come still has a message on every channel")
    func unknownType() throws {
        let body: JSON = [
            "id": "evt_1", "type": "statement.closed", "occurred_at": "2026-11-21T08:00:00Z", "severity": "info",
            "organization": ["id": "org_1", "name": "<Acme>"],
        ]
        let plain = try notice(body)
        try SlackLimits.check(SlackMessage.make(plain))
        #expect(SlackMessage.make(plain)["text"]?.string == "statement.closed (&lt;Acme&gt;)")
        #expect(PagerDutyMessage.trigger(plain, body, routingKey: "R")["dedup_key"]?.string == "bursar/evt_1")
        #expect(WebhookMessage.make(body) != nil)
        #expect(Notice([:]) == nil && WebhookMessage.make([:]) == nil)
    }

    @Test("a recovery resolves the incident that was triggered, whatever else is in the key")
    func resolve() throws {
        let news = try #require(BudgetNews(eventBody(subject: "alice", reason: "new_period")))
        let trigger = try #require(BudgetNews(eventBody(threshold: 100, subject: "alice")))
        let event = PagerDutyMessage.resolve(news, isExceeded: true, routingKey: "R1")
        #expect(event["event_action"] == "resolve" && event["routing_key"] == "R1")
        #expect(event["dedup_key"]?.string == PagerDutyMessage.deduplicationKey(trigger, isExceeded: true))
    }

    @Test("Teams' card has names only where no markup counts, and stays below 28 kB", arguments: [1, 1000, .max])
    func teams(length: Int) throws {
        let name = "[Reset](https://evil.example) **x**" + String(nastyName.prefix(length))
        let message = TeamsMessage.make(try notice(eventBody(name: name, subject: name)))
        #expect(message.bytes.count < 28_000)
        let card = try #require(message["attachments"]?[0]?["content"])
        #expect(card["type"] == "AdaptiveCard" && card["version"] == "1.2")
        // Text blocks show markup; runs in rich text blocks do not.
        #expect(try #require(card["body"]?.array).allSatisfy { $0["type"] == "RichTextBlock" })
    }

    @Test("no name becomes a header of a mail or ends it, and a repeat has the same Message-ID", arguments: [1, 1000, .max])
    func mail(length: Int) throws {
        let name = "\r\n.\r\nQUIT\r\nBcc: x@evil.example\r\n" + String(nastyName.prefix(length))
        let made = MailMessage.make(
            try notice(eventBody(name: name)), from: "bursar@acme.example", to: ["a@acme.example", "b@acme.example"],
            at: Instant(seconds: 1_795_248_000))
        let text = String(decoding: made, as: UTF8.self)
        let parts = text.components(separatedBy: "\r\n\r\n")
        #expect(parts.count == 2 && text.utf8.allSatisfy { $0 < 0x7F })
        let names = parts[0].components(separatedBy: "\r\n").filter { !$0.hasPrefix(" ") }.compactMap { $0.split(separator: ":").first }
        #expect(
            names == [
                "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
                "Content-Transfer-Encoding",
            ])
        #expect(text.components(separatedBy: "\r\n").allSatisfy { $0.utf8.count <= 78 })
        #expect(text.contains("\r\nMessage-ID: <evt_00000000000070008000000000000001@acme.example>\r\n"))
        #expect(text.contains("\r\nDate: 21 Nov 2026 08:00:00 +0000\r\n"))
        let body = try #require(Data(base64Encoded: parts[1].replacing("\r\n", with: "")))
        #expect(String(decoding: body, as: UTF8.self).contains("$4,561.99 of $5,000.00 used"))
    }
}

/// Slack's bounds on what is nested, which its own library does not check (Block Kit reference).
enum SlackLimits {
    struct Broken: Error { let what: String }

    static func check(_ message: JSON) throws {
        func hold(_ condition: Bool, _ what: String) throws { if !condition { throw Broken(what: what) } }
        func text(_ object: JSON?, _ kinds: Set<String>, _ limit: Int) throws {
            guard let kind = object?["type"]?.string, let text = object?["text"]?.string else { throw Broken(what: "no text object") }
            try hold(kinds.contains(kind), "text kind \(kind)")
            try hold((1...limit).contains(text.utf16.count), "\(text.utf16.count) of \(limit) characters")
        }
        try hold(message["text"]?.string?.isEmpty == false && message["text"]?.string?.utf16.count ?? 0 < 4000, "text")
        let blocks = message["blocks"]?.array ?? []
        try hold((1...50).contains(blocks.count), "blocks")
        for block in blocks {
            switch block["type"]?.string {
            case "header": try text(block["text"], ["plain_text"], 150)
            case "section":
                if block["text"] != nil { try text(block["text"], ["mrkdwn", "plain_text"], 3000) }
                let fields = block["fields"]?.array ?? []
                try hold(fields.count <= 10 && (block["text"] != nil || !fields.isEmpty), "fields")
                for field in fields { try text(field, ["mrkdwn", "plain_text"], 2000) }
            case "actions":
                let elements = block["elements"]?.array ?? []
                try hold((1...25).contains(elements.count), "actions")
                for element in elements {
                    try text(element["text"], ["plain_text"], 75)
                    try hold((1...3000).contains(element["url"]?.string?.utf16.count ?? 0), "button's url")
                }
            case "context":
                let elements = block["elements"]?.array ?? []
                try hold((1...10).contains(elements.count), "elements")
                for element in elements { try text(element, ["mrkdwn", "plain_text"], 2000) }
            case let other: throw Broken(what: "block \(other ?? "without type")")
            }
        }
        // Undocumented: all blocks together (slackapi/bolt-js#2509).
        try hold(texts(message).reduce(0) { $0 + $1.utf16.count } < 13_200, "all blocks together")
    }

    /// Every text in the message.
    static func texts(_ json: JSON) -> [String] {
        switch json {
        case .object(let members): members.flatMap { $0.name == "text" ? $0.value.string.map { [$0] } ?? texts($0.value) : texts($0.value) }
        case .array(let elements): elements.flatMap(texts)
        default: []
        }
    }
}
