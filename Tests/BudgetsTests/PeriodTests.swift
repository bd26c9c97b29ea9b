// Law 6 as tables: which span an instant counts in, on the days when clocks and calendars are at their worst.

import Budgets
import Testing

struct PeriodTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let zone: String, rule: PeriodRule?, instant: String, start: String, end: String
        init(_ zone: String, _ period: Period, day: Int = 1, month: Int = 1, _ instant: String, _ start: String, _ end: String) {
            self.zone = zone
            rule = PeriodRule(period: period, anchorDay: day, anchorMonth: month)
            self.instant = instant
            self.start = start
            self.end = end
        }
        var testDescription: String { "\(zone) \(instant)" }
    }

    private func check(_ test: Case) throws {
        let zone = try #require(Zone(test.zone))
        let span = try #require(test.rule).span(containing: try #require(Instant(rfc3339: test.instant)), in: zone)
        #expect(span.start.rfc3339 == test.start)
        #expect(span.end?.rfc3339 == test.end)
    }

    @Test(
        "Calendar spans start on their anchor, or on the last day of a month without it",
        arguments: [
            Case("UTC", .day, "2024-02-29T12:00:00Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            Case("UTC", .day, "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            Case("UTC", .day, "2024-02-28T23:59:59.999999Z", "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"),
            Case("UTC", .week, "2024-06-12T09:00:00Z", "2024-06-10T00:00:00Z", "2024-06-17T00:00:00Z"),
            Case("UTC", .week, day: 7, "2024-06-12T09:00:00Z", "2024-06-09T00:00:00Z", "2024-06-16T00:00:00Z"),
            Case("UTC", .week, day: 3, "2024-06-12T00:00:00Z", "2024-06-12T00:00:00Z", "2024-06-19T00:00:00Z"),
            Case("UTC", .week, "1969-12-30T00:00:00Z", "1969-12-29T00:00:00Z", "1970-01-05T00:00:00Z"),
            Case("UTC", .month, "2024-12-31T23:00:00Z", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"),
            Case("UTC", .month, day: 31, "2024-01-31T00:00:00Z", "2024-01-31T00:00:00Z", "2024-02-29T00:00:00Z"),
            Case("UTC", .month, day: 31, "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z"),
            Case("UTC", .month, day: 31, "2023-02-27T23:00:00Z", "2023-01-31T00:00:00Z", "2023-02-28T00:00:00Z"),
            Case("UTC", .month, day: 30, "2024-05-01T00:00:00Z", "2024-04-30T00:00:00Z", "2024-05-30T00:00:00Z"),
            Case("UTC", .month, day: 29, "2023-03-28T00:00:00Z", "2023-02-28T00:00:00Z", "2023-03-29T00:00:00Z"),
            Case("UTC", .month, day: 15, "2024-01-01T00:00:00Z", "2023-12-15T00:00:00Z", "2024-01-15T00:00:00Z"),
            Case("UTC", .quarter, "2024-06-30T00:00:00Z", "2024-04-01T00:00:00Z", "2024-07-01T00:00:00Z"),
            Case("UTC", .quarter, day: 15, month: 2, "2024-02-14T00:00:00Z", "2023-11-15T00:00:00Z", "2024-02-15T00:00:00Z"),
            Case("UTC", .quarter, day: 31, month: 8, "2024-03-01T00:00:00Z", "2024-02-29T00:00:00Z", "2024-05-31T00:00:00Z"),
            Case("UTC", .quarter, month: 12, "2024-01-10T00:00:00Z", "2023-12-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            Case("UTC", .year, "2024-06-30T00:00:00Z", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
            Case("UTC", .year, month: 10, "2024-09-30T23:00:00Z", "2023-10-01T00:00:00Z", "2024-10-01T00:00:00Z"),
            Case("UTC", .year, day: 29, month: 2, "2023-06-01T00:00:00Z", "2023-02-28T00:00:00Z", "2024-02-29T00:00:00Z"),
            Case("Asia/Kathmandu", .day, "2024-06-12T18:15:00Z", "2024-06-12T18:15:00Z", "2024-06-13T18:15:00Z"),
            Case("America/New_York", .year, "2024-01-01T04:59:59Z", "2023-01-01T05:00:00Z", "2024-01-01T05:00:00Z"),
        ])
    func calendar(test: Case) throws { try check(test) }

    @Test(
        "Days and months across clock changes",
        arguments: [
            Case("Europe/Berlin", .day, "2024-03-31T12:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"),
            Case("Europe/Berlin", .day, "2024-10-27T00:30:00Z", "2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z"),
            Case("Europe/Berlin", .month, "2024-03-31T21:59:59Z", "2024-02-29T23:00:00Z", "2024-03-31T22:00:00Z"),
            Case("Africa/Casablanca", .day, "2024-03-10T12:00:00Z", "2024-03-09T23:00:00Z", "2024-03-11T00:00:00Z"),
            // Midnight does not exist: the day starts at 01:00, right after the gap.
            Case("America/Sao_Paulo", .day, "2018-11-04T03:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
            Case("America/Sao_Paulo", .day, "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"),
            // 23:00 comes twice, midnight once.
            Case("America/Sao_Paulo", .day, "2019-02-17T02:30:00Z", "2019-02-16T02:00:00Z", "2019-02-17T03:00:00Z"),
            // Midnight comes twice: the day starts at the first.
            Case("America/Havana", .day, "2023-11-05T04:30:00Z", "2023-11-05T04:00:00Z", "2023-11-06T05:00:00Z"),
            // At 00:01 back to 23:01: the new day has begun and goes on, whatever the wall says.
            Case("America/St_Johns", .day, "2010-11-07T02:30:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"),
            Case("America/St_Johns", .day, "2010-11-07T03:00:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"),
            Case("America/St_Johns", .day, "2010-11-07T02:29:59Z", "2010-11-06T02:30:00Z", "2010-11-07T02:30:00Z"),
            // 2011-12-30 never was.
            Case("Pacific/Apia", .day, "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
            Case("Pacific/Apia", .day, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
            Case("Pacific/Apia", .month, day: 30, "2011-12-30T09:00:00Z", "2011-11-30T10:00:00Z", "2011-12-30T10:00:00Z"),
        ])
    func clockChanges(test: Case) throws { try check(test) }

    @Test(
        "Hours are the local clock's; each is its own, and a change inside one cuts it",
        arguments: [
            Case("UTC", .hour, "2024-06-12T09:59:59.999999Z", "2024-06-12T09:00:00Z", "2024-06-12T10:00:00Z"),
            Case("Asia/Kathmandu", .hour, "2024-06-12T09:14:59Z", "2024-06-12T08:15:00Z", "2024-06-12T09:15:00Z"),
            Case("Asia/Kolkata", .hour, "2024-06-12T09:30:00Z", "2024-06-12T09:30:00Z", "2024-06-12T10:30:00Z"),
            Case("Europe/Berlin", .hour, "2024-10-27T00:30:00Z", "2024-10-27T00:00:00Z", "2024-10-27T01:00:00Z"),
            Case("Europe/Berlin", .hour, "2024-10-27T01:30:00Z", "2024-10-27T01:00:00Z", "2024-10-27T02:00:00Z"),
            Case("Australia/Lord_Howe", .hour, "2024-04-06T14:30:00Z", "2024-04-06T14:00:00Z", "2024-04-06T15:00:00Z"),
            Case("Australia/Lord_Howe", .hour, "2024-04-06T15:10:00Z", "2024-04-06T15:00:00Z", "2024-04-06T15:30:00Z"),
            Case("Australia/Lord_Howe", .hour, "2024-04-06T15:30:00Z", "2024-04-06T15:30:00Z", "2024-04-06T16:30:00Z"),
            Case("Australia/Lord_Howe", .hour, "2024-10-05T15:45:00Z", "2024-10-05T15:30:00Z", "2024-10-05T16:00:00Z"),
            Case("Asia/Kathmandu", .minute, "2024-06-12T09:14:59.9Z", "2024-06-12T09:14:00Z", "2024-06-12T09:15:00Z"),
            Case("UTC", .minute, "1969-12-31T23:59:59Z", "1969-12-31T23:59:00Z", "1970-01-01T00:00:00Z"),
        ])
    func clock(test: Case) throws { try check(test) }

    @Test("Total has no end and starts with the epoch")
    func total() throws {
        let span = PeriodRule(.total).span(containing: try #require(Instant(rfc3339: "2024-06-12T09:00:00Z")), in: .utc)
        #expect(span == PeriodSpan(start: Instant(microseconds: 0), end: nil))
        #expect(span.contains(Instant(seconds: 253_402_300_799)) && !span.contains(Instant(microseconds: -1)))
    }

    @Test("Anchors that do not exist are refused; those that mean nothing are forgotten")
    func anchors() {
        #expect(PeriodRule(period: .week, anchorDay: 8, anchorMonth: 1) == nil)
        #expect(PeriodRule(period: .month, anchorDay: 32, anchorMonth: 1) == nil)
        #expect(PeriodRule(period: .month, anchorDay: 0, anchorMonth: 1) == nil)
        #expect(PeriodRule(period: .year, anchorDay: 1, anchorMonth: 13) == nil)
        #expect(PeriodRule(period: .year, anchorDay: 1, anchorMonth: 0) == nil)
        #expect(PeriodRule(period: .day, anchorDay: 5, anchorMonth: 5) == PeriodRule(.day))
        #expect(PeriodRule(period: .month, anchorDay: 5, anchorMonth: 5) == PeriodRule(period: .month, anchorDay: 5, anchorMonth: 1))
        #expect(PeriodRule(period: .month, anchorDay: 5, anchorMonth: 1) != PeriodRule(.month))
    }
}
