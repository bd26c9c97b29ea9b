/// Days of the proleptic Gregorian calendar, counted without Foundation: cheap, exact, the same on every platform.

/// A day of the calendar, in no time zone.
public struct CivilDate: Hashable, Sendable, Comparable {
    /// The year; 0 is the year before year 1.
    public let year: Int
    /// 1 … 12.
    public let month: Int
    /// 1 … 31.
    public let day: Int

    /// Nil when the calendar has no such day.
    public init?(year: Int, month: Int, day: Int) {
        guard (1...12).contains(month), day >= 1, day <= CivilDate.daysIn(month: month, year: year) else { return nil }
        self.init(checkedYear: year, month: month, day: day)
    }

    private init(checkedYear year: Int, month: Int, day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// The day of that month, or its last day where the month is shorter: anchors 29 … 31.
    init(year: Int, month: Int, clampingDay day: Int) {
        self.init(checkedYear: year, month: month, day: min(day, CivilDate.daysIn(month: month, year: year)))
    }

    /// The day so many days after 1970-01-01.
    ///
    /// Years run from March here and in `daysSinceEpoch`, so that the leap day is a year's last (the well-known civil-from-days method).
    public init(daysSinceEpoch days: Int64) {
        let shifted = days + 719_468  // days since 0000-03-01
        let era = floorDivide(shifted, 146_097)  // 400 years
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
        self.month = Int(month)
        day = Int(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    /// Days since 1970-01-01; negative before.
    public var daysSinceEpoch: Int64 {
        let shifted = Int64(month <= 2 ? year - 1 : year)
        let era = floorDivide(shifted, 400)
        let yearOfEra = shifted - era * 400
        let monthFromMarch = Int64(month > 2 ? month - 3 : month + 9)
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + Int64(day) - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// 28 … 31.
    public static func daysIn(month: Int, year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    public static func < (left: Self, right: Self) -> Bool { (left.year, left.month, left.day) < (right.year, right.month, right.day) }
}

extension CivilDate: LosslessStringConvertible {
    /// Reads `2026-11-30`: ten characters, a day that the calendar has. Nil for all else.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 10 else { return nil }
        var numbers = [0, 0, 0]
        for (index, byte) in bytes.enumerated() {
            if index == 4 || index == 7 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = decimalDigit(byte) else { return nil }
            let part = index < 4 ? 0 : index < 7 ? 1 : 2
            numbers[part] = numbers[part] * 10 + Int(digit)
        }
        self.init(year: numbers[0], month: numbers[1], day: numbers[2])
    }

    /// Such as `2026-11-30`, for the years 0 to 9999.
    public var description: String {
        var bytes: [UInt8] = []
        appendDecimal(UInt64(year), width: 4, to: &bytes)
        for number in [month, day] {
            bytes.append(UInt8(ascii: "-"))
            appendDecimal(UInt64(number), width: 2, to: &bytes)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The quotient rounded towards negative infinity, which calendars need before their epoch.
func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
}
