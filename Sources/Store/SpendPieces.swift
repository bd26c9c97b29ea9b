/// Which roll-ups add up to a span of time. Roll-ups are of quarter hours and UTC days (0007), the spans that people ask for begin at
/// their own midnight: such a span is the UTC days nearest to it, and at either end some quarters that these lack or have too many.
import Budgets

/// Roll-ups of one kind from `start` up to, not including, `end`, to be added or taken away.
struct SpendPiece: Hashable, Sendable {
    enum Kind: String, Sendable { case quarter, day }

    let kind: Kind
    let start: Instant
    let end: Instant
    /// 1 or −1.
    let sign: Int64
}

extension StatementSpan {
    private static let quarter: Int64 = 900
    private static let day: Int64 = 86_400

    /// Whether both ends lie between two quarters of an hour, as roll-ups need it.
    public var isOfQuarters: Bool {
        [start, end].allSatisfy { $0.microseconds % (Self.quarter * 1_000_000) == 0 }
    }

    /// The pieces whose signed sum is the span's. Where UTC's midnight is not the span's own, at most twelve hours of quarters are read
    /// at either end, whatever its length.
    var pieces: [SpendPiece] {
        precondition(isOfQuarters, "a span that roll-ups cannot add up to")
        let (first, last) = (Self.nearestMidnight(start), Self.nearestMidnight(end))
        guard first < last else { return [SpendPiece(kind: .quarter, start: start, end: end, sign: 1)].filter { $0.start < $0.end } }
        return [
            Self.quarters(from: start, to: first), SpendPiece(kind: .day, start: first, end: last, sign: 1),
            Self.quarters(from: last, to: end),
        ].filter { $0.start < $0.end }
    }

    /// What lies between, counted negatively where `end` comes first.
    private static func quarters(from start: Instant, to end: Instant) -> SpendPiece {
        SpendPiece(kind: .quarter, start: min(start, end), end: max(start, end), sign: start <= end ? 1 : -1)
    }

    private static func nearestMidnight(_ instant: Instant) -> Instant {
        let shifted = instant.seconds + day / 2
        return Instant(seconds: shifted - ((shifted % day) + day) % day)
    }
}
