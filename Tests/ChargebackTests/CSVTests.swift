// A finance file is opened in a spreadsheet: cells must arrive as they are, and never run.
import Budgets
import Store
import Testing

@testable import Chargeback

@Suite struct CSVTests {
    @Test(
        "A cell is quoted when it must be, and never a formula",
        arguments: [
            ("plain", "plain"), ("", ""), ("a,b", "\"a,b\""), ("say \"hi\"", "\"say \"\"hi\"\"\""), ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"), ("+49 30", "'+49 30"), ("-5", "'-5"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"), ("\rx", "\"'\rx\""),
            ("  =1+1", "'  =1+1"), ("=\"a\",b", "\"'=\"\"a\"\",b\""), ("a=b", "a=b"), ("Grüße 漢字", "Grüße 漢字"),
        ])
    func cell(text: String, expected: String) {
        var writer = CSVWriter()
        writer.number("-1")
        writer.text(text)
        writer.endRecord()
        #expect(String(decoding: writer.take(), as: UTF8.self) == "-1,\(expected)\r\n")
    }

    @Test(
        "A month begins and ends by the organization's clocks",
        arguments: [
            ("2026-11", "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-12", "UTC", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-10", "Europe/Berlin", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
            ("2026-03", "America/New_York", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"),
            ("2028-02", "Asia/Kathmandu", "2028-01-31T18:15:00Z", "2028-02-29T18:15:00Z"),
        ])
    func span(month: String, zone: String, start: String, end: String) throws {
        let month = try #require(StatementMonth(month))
        let zone = try #require(Zone(zone))
        let span = month.span(in: zone)
        #expect(span.start.rfc3339 == start)
        #expect(span.end.rfc3339 == end)
        #expect(StatementMonth(at: span.start, in: zone) == month)
        #expect(StatementMonth(at: Instant(microseconds: span.end.microseconds - 1), in: zone) == month)
        #expect(try #require(StatementMonth(at: span.end, in: zone)) > month)
    }

    @Test(
        "What is no month is refused",
        arguments: ["", "2026", "2026-13", "2026-00", "2026-1", "1969-12", "2200-01", "2026/11", "+026-11", "2026-11-01"])
    func noMonth(text: String) { #expect(StatementMonth(text) == nil) }

    @Test("A month is written as it is read")
    func text() { #expect(StatementMonth("2026-03")?.description == "2026-03") }
}
