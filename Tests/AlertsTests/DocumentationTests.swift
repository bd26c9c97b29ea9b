/// `docs/webhooks.md` says what is: each type of event has an example, whose members are those that are sent.
import Budgets
import Foundation
import JSON
import Outbound
import Store
import TestSupport
import Testing

@testable import Alerts

@Suite struct DocumentationTests {
    private func examples() throws -> [JSON] {
        let text = try String(contentsOf: Vendors.file("docs/webhooks.md"), encoding: .utf8)
        return try text.components(separatedBy: "```json\n").dropFirst().map { part in
            try JSON.parse(try #require(part.components(separatedBy: "```").first))
        }
    }

    @Test("every type of event has an example, and no other has")
    func types() throws {
        let shown = try examples().filter { $0["version"] != nil }.map { try #require($0["type"]?.string) }
        #expect(shown.sorted() == EventType.allCases.map(\.rawValue).sorted())
    }

    @Test("an example of a budget's event has the members of the real one, and every channel can make a message of it")
    func members() throws {
        let events = try examples().filter { $0["version"] != nil }
        #expect(events.count >= 8)
        for event in events {
            let notice = try #require(Notice(event))
            _ = (SlackMessage.make(notice), TeamsMessage.make(notice), PagerDutyMessage.trigger(notice, event, routingKey: "R"))
            #expect(event.bytes.count < 20_000)
            if event["type"]?.string?.hasPrefix("budget.") == true { #expect(BudgetNews(event) != nil) }
        }
    }

    @Test("the Swift sample stands in the documentation as it compiles here, and takes what is sent, and nothing else")
    func swiftSample() throws {
        let source = try String(contentsOf: Vendors.file("Tests/AlertsTests/WebhookSample.swift"), encoding: .utf8)
        let text = try String(contentsOf: Vendors.file("docs/webhooks.md"), encoding: .utf8)
        #expect(text.contains("```swift\n" + source.split(separator: "\n", maxSplits: 1)[1] + "```"))
        let (now, body) = (Date(), try #require(WebhookMessage.make(eventBody())).bytes)
        let sent = WebhookMessage.headers(
            id: "evt_1", at: Instant(seconds: Int64(now.timeIntervalSince1970)), body: body, secrets: [Outbox.secret])
        let headers = Dictionary(uniqueKeysWithValues: sent.map { ($0.name, $0.value) })
        let secret = Outbox.secret.revealed
        #expect(verify(headers, Data(body), secret: secret, now: now) == "evt_1")
        #expect(verify(headers, Data(body) + [0], secret: secret, now: now) == nil)
        #expect(verify(headers, Data(body), secret: secret, now: now + 301) == nil)
        #expect(verify(headers, Data(body), secret: "whsec_" + Data(repeating: 1, count: 32).base64EncodedString(), now: now) == nil)
        #expect(verify([:], Data(body), secret: secret, now: now) == nil)
    }

    @Test("the schedule in the documentation is the one there is")
    func schedule() throws {
        let text = try String(contentsOf: Vendors.file("docs/webhooks.md"), encoding: .utf8)
        let row = try #require(text.components(separatedBy: "\n").first { $0.hasPrefix("| after |") })
        let units = ["s": 1, "min": 60, "h": 3600]
        let delays = try row.split(separator: "|").dropFirst().map { cell in
            let words = cell.split(separator: " ")
            return try #require(Int(words[0])) * (try #require(units[String(words[1])]))
        }
        #expect(delays == RetrySchedule.delays.map { Int($0.components.seconds) })
    }
}
