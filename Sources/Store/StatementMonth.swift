/// Which month a statement is of, in the organization's own calendar.
public import Budgets

/// A calendar month, written `2026-11`.
public struct StatementMonth: Hashable, Sendable, Comparable, LosslessStringConvertible {
    /// The last month there are statements for.
    public static let last = StatementMonth(checkedYear: 2199, month: 12)

    /// 1970 … 2199: the years a zone's rules are followed.
    public let year: Int
    /// 1 … 12.
    public let month: Int

    public init?(year: Int, month: Int) {
        guard (1970...2199).contains(year), (1...12).contains(month) else { return nil }
        self.init(checkedYear: year, month: month)
    }

    private init(checkedYear year: Int, month: Int) {
        self.year = year
        self.month = month
    }

    /// Four digits, a hyphen, two digits; nil for all else.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 7, bytes[4] == UInt8(ascii: "-") else { return nil }
        var numbers = [0, 0]
        for (index, byte) in bytes.enumerated() where index != 4 {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            numbers[index / 5] = numbers[index / 5] * 10 + Int(byte - UInt8(ascii: "0"))
        }
        self.init(year: numbers[0], month: numbers[1])
    }

    /// The month that the zone's calendar shows at an instant; nil outside the years there are statements for.
    public init?(at instant: Instant, in zone: Zone) {
        let date = zone.date(at: instant)
        self.init(year: date.year, month: date.month)
    }

    public var description: String {
        let digits = String(month)
        return "\(year)-\(digits.utf8.count == 1 ? "0" + digits : digits)"
    }

    /// The month before; the first one there is has none but itself.
    public var before: StatementMonth { StatementMonth(year: month == 1 ? year - 1 : year, month: month == 1 ? 12 : month - 1) ?? self }

    /// The month after; the last one there is has none but itself.
    public var after: StatementMonth { StatementMonth(year: month == 12 ? year + 1 : year, month: month == 12 ? 1 : month + 1) ?? self }

    /// This month and all after it up to and including `last`; none when that comes before.
    public func through(_ last: StatementMonth) -> [StatementMonth] {
        guard self <= last else { return [] }
        let (from, to) = (year * 12 + month - 1, last.year * 12 + last.month - 1)
        return (from...to).compactMap { StatementMonth(year: $0 / 12, month: $0 % 12 + 1) }
    }

    /// From the first instant of the month to that of the next, by the zone's clocks.
    public func span(in zone: Zone) -> StatementSpan {
        let next = month == 12 ? (year + 1, 1) : (year, month + 1)
        return StatementSpan(start: Self.start(year, month, zone), end: Self.start(next.0, next.1, zone))
    }

    private static func start(_ year: Int, _ month: Int, _ zone: Zone) -> Instant {
        guard let date = CivilDate(year: year, month: month, day: 1) else { preconditionFailure("every month has a first day") }
        return zone.start(of: date)
    }

    public static func < (left: Self, right: Self) -> Bool { (left.year, left.month) < (right.year, right.month) }
}

extension StatementSpan {
    /// The local days of the span, the first and the last cut off by it.
    func days(in zone: Zone) -> [StatementSpan] {
        var days: [StatementSpan] = []
        var next = start
        while next < end {
            let last = min(PeriodRule(.day).span(containing: next, in: zone).end ?? end, end)
            days.append(StatementSpan(start: next, end: last))
            next = last
        }
        return days
    }
}
