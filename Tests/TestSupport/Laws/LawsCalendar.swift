/// The calendar of the reference model: clock changes written out by hand, days counted one by one. It shares nothing with `Period` and
/// `Zone`, and is right for 2025 and 2026 only.

package struct LawsCalendar: Sendable {
    package enum Length: Sendable, CaseIterable { case minute, hour, day, week, month, quarter, year, total }

    package struct Rule: Hashable, Sendable {
        package let length: Length
        package let day: Int
        package let month: Int
    }

    /// From which second on the local clock is how many seconds ahead of UTC (`zdump -v`). A change at midnight, one of half an hour, and
    /// an odd offset among them.
    package static let zones: [String: [(from: Int, offset: Int)]] = [
        "UTC": [(.min, 0)],
        "Asia/Kathmandu": [(.min, 20_700)],
        "Europe/Berlin": [(.min, 3600), (1_743_296_400, 7200), (1_761_440_400, 3600), (1_774_746_000, 7200), (1_792_890_000, 3600)],
        "America/Havana": [
            (.min, -18_000), (1_741_496_400, -14_400), (1_762_059_600, -18_000), (1_772_946_000, -14_400), (1_793_509_200, -18_000),
        ],
        "Australia/Lord_Howe": [
            (.min, 39_600), (1_743_865_200, 37_800), (1_759_591_800, 39_600), (1_775_314_800, 37_800), (1_791_041_400, 39_600),
        ],
    ]

    private let stretches: [(from: Int, offset: Int)]

    package init(zone: String) { stretches = LawsCalendar.zones[zone] ?? [] }

    /// The first second of the period that contains `time`.
    package func start(_ rule: Rule, at time: Int) -> Int {
        switch rule.length {
        case .total: return 0
        case .minute: return time - time % 60
        case .hour:
            let stretch = stretch(at: time)
            return max(stretch.from, time - (time + stretch.offset) % 3600)
        default:
            var day = localDay(at: time) + 1
            while !begins(rule, on: day) || midnight(day) > time { day -= 1 }
            return midnight(day)
        }
    }

    /// The first second after the period that contains `time`; nil when there is none.
    package func end(_ rule: Rule, at time: Int) -> Int? {
        switch rule.length {
        case .total: return nil
        case .minute: return start(rule, at: time) + 60
        case .hour:
            let stretch = stretch(at: time)
            return min(stretch.to, time - (time + stretch.offset) % 3600 + 3600)
        default:
            var day = localDay(at: time)
            while !begins(rule, on: day) || midnight(day) <= time { day += 1 }
            return midnight(day)
        }
    }

    /// When the local clock first shows the midnight with which a day (counted from 1970-01-01) begins.
    private func midnight(_ day: Int) -> Int {
        for (index, stretch) in stretches.enumerated() {
            let reached = max(stretch.from, day * 86_400 - stretch.offset)
            if index + 1 == stretches.count || reached < stretches[index + 1].from { return reached }
        }
        return .max
    }

    private func stretch(at time: Int) -> (from: Int, to: Int, offset: Int) {
        let index = stretches.lastIndex { $0.from <= time } ?? 0
        return (stretches[index].from, index + 1 < stretches.count ? stretches[index + 1].from : .max, stretches[index].offset)
    }

    private func localDay(at time: Int) -> Int { (time + stretch(at: time).offset) / 86_400 }

    /// Whether a period of the rule begins on that day.
    private func begins(_ rule: Rule, on day: Int) -> Bool {
        if rule.length == .day { return true }
        if rule.length == .week { return (day + 3) % 7 + 1 == rule.day }  // 1970-01-01 was a Thursday
        let date = LawsCalendar.date(day)
        guard date.day == min(rule.day, date.monthLength) else { return false }
        switch rule.length {
        case .quarter: return (date.month - rule.month + 12) % 3 == 0
        case .year: return date.month == rule.month
        default: return true
        }
    }

    /// Day and month of a day counted from 1970-01-01.
    private static func date(_ day: Int) -> (day: Int, month: Int, monthLength: Int) {
        var year = 1970 + day / 366  // never too late
        var rest = day - ((year - 1970) * 365 + (year - 1969) / 4)
        while rest >= (year % 4 == 0 ? 366 : 365) {
            rest -= year % 4 == 0 ? 366 : 365
            year += 1
        }
        let lengths = [31, year % 4 == 0 ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        var month = 0
        while rest >= lengths[month] {
            rest -= lengths[month]
            month += 1
        }
        return (rest + 1, month + 1, lengths[month])
    }
}
