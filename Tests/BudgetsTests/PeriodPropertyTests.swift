// Law 6 as properties: whatever the zone, the rule and the instant, spans tile the line.

import Budgets
import Foundation
import Testing

struct PeriodPropertyTests {
    /// 1990-01-01 … 2060-01-01, in seconds.
    private static let years: Range<Int64> = 631_152_000..<2_840_140_800

    @Test("Spans contain their instant, end where the next starts, and start where the one before ends", arguments: oddZones)
    func tiling(name: String) throws {
        var random = Seeded("tiling in \(name)")
        let zone = try #require(Zone(name))
        for _ in 0..<100 {
            for period in Period.allCases where period != .total {
                let rule = try #require(
                    PeriodRule(
                        period: period, anchorDay: .random(in: 1...(period == .week ? 7 : 31), using: &random),
                        anchorMonth: .random(in: 1...12, using: &random)))
                let instant = instant(in: zone, using: &random)
                let span = rule.span(containing: instant, in: zone)
                let end = try #require(span.end)
                let note: Comment = "\(rule) \(instant) \(span), seed \(random.seed)"
                #expect(span.start <= instant && instant < end, note)
                #expect(rule.span(containing: span.start, in: zone) == span, note)
                #expect(rule.span(containing: Instant(microseconds: end.microseconds - 1), in: zone) == span, note)
                #expect(rule.span(containing: end, in: zone).start == end, note)
                #expect(rule.span(containing: Instant(microseconds: span.start.microseconds - 1), in: zone).end == span.start, note)
                #expect(lengths(period).contains(end.seconds - span.start.seconds), note)
            }
        }
    }

    @Test("A calendar span starts at the first moment Foundation's clock has reached the midnight of its anchor", arguments: oddZones)
    func anchored(name: String) throws {
        var random = Seeded("anchors in \(name)")
        let zone = try #require(Zone(name))
        let clock = try #require(TimeZone(identifier: name))
        func wall(_ instant: Instant) -> Int64 {
            instant.seconds + Int64(clock.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant.seconds))))
        }
        for _ in 0..<100 {
            let month = Int.random(in: 1...12, using: &random)
            let day = Int.random(in: 1...31, using: &random)
            let rule = try #require(PeriodRule(period: .year, anchorDay: day, anchorMonth: month))
            let span = rule.span(containing: instant(in: zone, using: &random), in: zone)
            // A minute into the span the wall may be back before midnight; the anchor is that of the year nearby.
            let year = CivilDate(daysSinceEpoch: (wall(span.start) + 43_200) / 86_400).year
            let last = CivilDate.daysIn(month: month, year: year)
            let midnight = try #require(CivilDate(year: year, month: month, day: min(day, last))).daysSinceEpoch * 86_400
            #expect(wall(span.start) >= midnight, "\(rule) \(span), seed \(random.seed)")
            #expect(wall(span.start.adding(seconds: -1)) < midnight, "\(rule) \(span), seed \(random.seed)")
        }
    }

    /// Half of them within a day of a clock change, if there is one nearby.
    private func instant(in zone: Zone, using random: inout Seeded) -> Instant {
        let seconds = Int64.random(in: Self.years, using: &random)
        let micro = Int64.random(in: 0..<1_000_000, using: &random)
        let clock = TimeZone(identifier: zone.identifier)
        guard random.chance(0.5), let change = clock?.nextDaylightSavingTimeTransition(after: Date(timeIntervalSince1970: Double(seconds))),
            Self.years.contains(Int64(change.timeIntervalSince1970))
        else { return Instant(microseconds: seconds * 1_000_000 + micro) }
        let near = Int64(change.timeIntervalSince1970) + Int64.random(in: -90_000...90_000, using: &random)
        return Instant(microseconds: near * 1_000_000 + (random.chance(0.5) ? 0 : micro))
    }

    /// Seconds a span may last: its days, up to two hours less or more by the clock, and a day less where one was skipped.
    private func lengths(_ period: Period) -> ClosedRange<Int64> {
        func days(_ shortest: Int64, _ longest: Int64) -> ClosedRange<Int64> { shortest * 86_400 - 7200...longest * 86_400 + 7200 }
        return switch period {
        case .minute: 60...60
        case .hour: 1...3600
        case .day: days(1, 1)
        case .week: days(6, 7)
        case .month: days(27, 31)
        case .quarter: days(88, 92)
        case .year: days(364, 366)
        case .total: 0...0
        }
    }
}
