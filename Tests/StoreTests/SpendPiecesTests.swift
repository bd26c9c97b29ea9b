/// Spans of time as sums of roll-ups: whatever the zone, each quarter of an hour counts once within and not at all outside.
import Budgets
import TestSupport
import Testing

@testable import Store

@Suite("Spend pieces")
struct SpendPiecesTests {
    private static let quarter: Int64 = 900

    /// How often each quarter around the span is counted, which must be once within and never outside.
    private func isExact(_ span: StatementSpan, in zone: Zone) -> Bool {
        let margin: Int64 = 2 * 86_400
        var counts: [Int64: Int64] = [:]
        for piece in span.pieces(in: zone) {
            if piece.kind == .day, [piece.start, piece.end].contains(where: { zone.start(of: zone.date(at: $0)) != $0 }) { return false }
            for second in stride(from: piece.start.seconds, to: piece.end.seconds, by: Int(Self.quarter)) {
                counts[second, default: 0] += 1
            }
        }
        return stride(from: span.start.seconds - margin, to: span.end.seconds + margin, by: Int(Self.quarter)).allSatisfy { second in
            counts[second, default: 0] == (second >= span.start.seconds && second < span.end.seconds ? 1 : 0)
        }
    }

    @Test(
        "local days, weeks and months of every kind of zone",
        arguments: [
            "UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago",
            "Africa/Cairo",  // where clocks skip midnight
        ])
    func zones(_ name: String) throws {
        let zone = try #require(Zone(name))
        for period in [Period.hour, .day, .week, .month] {
            var at = try #require(Instant(rfc3339: "2026-01-01T00:00:00Z"))
            for _ in 0..<(period == .hour ? 60 : 14) {
                let span = PeriodRule(period).span(containing: at, in: zone)
                let end = try #require(span.end)
                let asked = StatementSpan(start: span.start, end: end)
                #expect(asked.isOfQuarters)
                #expect(isExact(asked, in: zone), "\(name) \(period) from \(span.start.rfc3339)")
                if period != .hour { #expect(asked.pieces(in: zone).map(\.kind) == [.day], "whole days take no quarters") }
                at = end.adding(seconds: period == .month || period == .hour ? 0 : 13 * 86_400)
            }
        }
    }

    @Test("any span of quarters, however short")
    func random() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var generator = SeededGenerator(seed: seed)
        for round in 0..<300 {
            let zone = try #require(Zone(["UTC", "Asia/Kathmandu", "America/New_York"][round % 3]))
            let start = Int64.random(in: -2000...200_000, using: &generator) * Self.quarter
            let length = Int64.random(in: 0...(Bool.random(using: &generator) ? 12 : 600), using: &generator) * Self.quarter
            let span = StatementSpan(start: Instant(seconds: start), end: Instant(seconds: start + length))
            #expect(isExact(span, in: zone), "\(zone) \(start) for \(length), seed \(seed)")
        }
    }
}
