/// Which roll-ups add up to a span of time: the organization's days that it holds whole, and at either end the quarters of an hour that are
/// left (0027).
import Budgets
import Postgres

/// Roll-ups of one kind from `start` up to, not including, `end`.
struct SpendPiece: Hashable, Sendable {
    enum Kind: String, Sendable { case quarter, day }

    let kind: Kind
    let start: Instant
    let end: Instant
}

extension StatementSpan {
    private static let quarter: Int64 = 900

    /// Whether both ends lie between two quarters of an hour, as roll-ups need it.
    public var isOfQuarters: Bool {
        [start, end].allSatisfy { $0.microseconds % (Self.quarter * 1_000_000) == 0 }
    }

    /// The pieces that sum to the span: only days where its ends are midnights of the zone, less than a day of quarters at either end elsewhere.
    func pieces(in zone: Zone) -> [SpendPiece] {
        precondition(isOfQuarters, "a span that roll-ups cannot add up to")
        let first = zone.firstMidnight(from: start)
        let last = zone.start(of: zone.date(at: end))
        guard first < last else { return [SpendPiece(kind: .quarter, start: start, end: end)].filter { $0.start < $0.end } }
        return [
            SpendPiece(kind: .quarter, start: start, end: first), SpendPiece(kind: .day, start: first, end: last),
            SpendPiece(kind: .quarter, start: last, end: end),
        ].filter { $0.start < $0.end }
    }
}

extension Zone {
    /// The first beginning of a day that is not before `instant`.
    fileprivate func firstMidnight(from instant: Instant) -> Instant {
        let own = start(of: date(at: instant))
        return own == instant ? own : dayAfter(instant)
    }

    /// When the day after the one that `instant` lies on begins.
    fileprivate func dayAfter(_ instant: Instant) -> Instant {
        // A day lasts as long as its clock says, so the calendar is asked and not the seconds.
        PeriodRule(.day).span(containing: instant, in: self).end ?? instant
    }
}

/// The days of a zone that lie on a stretch of time, for Postgres to find the day of an instant among them. Days are `Zone`'s everywhere:
/// Postgres's own tables of zones may be of another year.
struct LocalDays: Sendable {
    private let starts: [Instant]

    init(from first: Instant, through last: Instant, in zone: Zone) {
        var starts = [zone.start(of: zone.date(at: first))]
        while let latest = starts.last, case let next = zone.dayAfter(latest), next > latest, next <= last { starts.append(next) }
        self.starts = starts
    }

    /// When the day began that the SQL expression, an instant of the stretch, lies on.
    func start(of instant: Query) -> Query {
        "(\(starts)::timestamptz[])[width_bucket(\(list: [instant]), \(starts)::timestamptz[])]"
    }
}
