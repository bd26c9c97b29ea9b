/// `docs/webhooks.md` says what is: each type of event has an example, whose members are those that are sent.
import Foundation
import JSON
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
