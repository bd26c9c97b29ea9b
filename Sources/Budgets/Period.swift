/// Periods are computed, never reset (law 6): from an instant, a rule and a zone follows the span a budget counts in.

/// How long a budget counts before it starts anew.
public enum Period: String, Sendable, CaseIterable {
    case minute, hour, day, week, month, quarter, year
    /// Never anew: everything counts together.
    case total
}

/// The half-open stretch of time one counter belongs to.
public struct PeriodSpan: Hashable, Sendable {
    /// The first instant within.
    public let start: Instant
    /// The first instant after, which is the start of the next span; nil when there is none.
    public let end: Instant?

    public init(start: Instant, end: Instant?) {
        self.start = start
        self.end = end
    }

    /// Whether the instant lies within.
    public func contains(_ instant: Instant) -> Bool { instant >= start && end.map { instant < $0 } ?? true }
}

/// A period with the day it starts on.
///
/// - `minute`: the clock minute.
/// - `hour`: the local clock's hour. An hour that the clock shows twice is two spans; a clock change inside an hour cuts it.
/// - `day`: from local midnight.
/// - `week`: from `anchorDay`, 1 (Monday) … 7 (Sunday).
/// - `month`: from `anchorDay`, or from the last day of a month that is shorter.
/// - `quarter`, `year`: the same, in `anchorMonth` and every third or twelfth month from it.
/// - `total`: from 1970 without an end.
public struct PeriodRule: Hashable, Sendable {
    public let period: Period
    /// 1 … 31 for month, quarter and year; 1 … 7 for week; otherwise 1.
    public let anchorDay: Int
    /// 1 … 12 for quarter and year; otherwise 1.
    public let anchorMonth: Int

    /// The rule with the usual anchors: Monday, the first of the month, January.
    public init(_ period: Period) {
        self.period = period
        anchorDay = 1
        anchorMonth = 1
    }

    /// Nil when an anchor does not exist: days 1 … 31 (1 … 7 for a week), months 1 … 12. An anchor that means nothing to the period
    /// becomes 1, so that rules which count alike are equal.
    public init?(period: Period, anchorDay: Int, anchorMonth: Int) {
        guard (1...(period == .week ? 7 : 31)).contains(anchorDay), (1...12).contains(anchorMonth) else { return nil }
        self.period = period
        switch period {
        case .minute, .hour, .day, .total: (self.anchorDay, self.anchorMonth) = (1, 1)
        case .week, .month: (self.anchorDay, self.anchorMonth) = (anchorDay, 1)
        case .quarter, .year: (self.anchorDay, self.anchorMonth) = (anchorDay, anchorMonth)
        }
    }

    /// The span an instant lies in. Spans of one rule and zone tile the line: each ends where the next one starts.
    public func span(containing instant: Instant, in zone: Zone) -> PeriodSpan {
        switch period {
        case .total: return PeriodSpan(start: Instant(microseconds: 0), end: nil)
        case .minute:
            let start = floorDivide(instant.seconds, 60) * 60
            return PeriodSpan(start: Instant(seconds: start), end: Instant(seconds: start + 60))
        case .hour:
            let stretch = zone.stretch(at: instant)
            let start = floorDivide(instant.seconds + stretch.offset, 3600) * 3600 - stretch.offset
            return PeriodSpan(start: Instant(seconds: max(start, stretch.start)), end: Instant(seconds: min(start + 3600, stretch.end)))
        case .day, .week, .month, .quarter, .year:
            var ordinal = ordinal(ofDay: zone.localDays(at: instant))
            var start = zone.start(ofDay: firstDay(ordinal))
            var end = zone.start(ofDay: firstDay(ordinal + 1))
            // Where clocks went back across midnight the wall may show a day that is over: the new one had begun already.
            while instant >= end {
                ordinal += 1
                start = end
                end = zone.start(ofDay: firstDay(ordinal + 1))
            }
            return PeriodSpan(start: start, end: end)
        }
    }

    private var monthsLong: Int64 {
        switch period {
        case .quarter: 3
        case .year: 12
        default: 1
        }
    }

    /// Which span of the calendar, counted from some span before all others, a local day belongs to.
    private func ordinal(ofDay days: Int64) -> Int64 {
        switch period {
        case .day: return days
        case .week: return floorDivide(days - firstDay(0), 7)
        default:
            let date = CivilDate(daysSinceEpoch: days)
            let month = Int64(date.year) * 12 + Int64(date.month - 1)
            let ordinal = floorDivide(month - Int64(anchorMonth - 1), monthsLong)
            return days < firstDay(ordinal) ? ordinal - 1 : ordinal
        }
    }

    /// The first local day of that span.
    private func firstDay(_ ordinal: Int64) -> Int64 {
        switch period {
        case .day: return ordinal
        case .week: return ordinal * 7 + Int64(anchorDay - 1) - 3  // 1970-01-01 was a Thursday
        default:
            let month = ordinal * monthsLong + Int64(anchorMonth - 1)
            let year = floorDivide(month, 12)
            return CivilDate(year: Int(year), month: Int(month - year * 12) + 1, clampingDay: anchorDay).daysSinceEpoch
        }
    }
}
