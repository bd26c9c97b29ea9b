/// Instants as RFC 3339 text: the only form times have in JSON, exports and webhooks (design §7).

extension Instant: CustomStringConvertible {
    /// Reads an RFC 3339 date-time with any offset, years 0001 … 9999 in UTC.
    ///
    /// Nil for anything else; for a leap second, which microseconds since 1970 cannot name; and for more precision than a
    /// microsecond, unless the digits beyond it are zeros (up to nine in all), so that nothing is ever rounded.
    public init?(rfc3339 text: some StringProtocol) {
        var reader = FieldReader(rest: Array(text.utf8)[...])
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"), let day = reader.number(2),
            reader.take("T") || reader.take("t"),
            let hour = reader.number(2), reader.take(":"), let minute = reader.number(2), reader.take(":"), let second = reader.number(2),
            hour < 24, minute < 60, second < 60,
            let date = CivilDate(year: year, month: month, day: day),
            let fraction = reader.fraction(), let offset = reader.offset(), reader.rest.isEmpty
        else { return nil }
        let seconds = date.daysSinceEpoch * 86_400 + Int64(hour * 3600 + minute * 60 + second) - offset
        guard Instant.writableSeconds.contains(seconds) else { return nil }
        self.init(microseconds: seconds * 1_000_000 + fraction)
    }

    /// 0001-01-01T00:00:00Z up to 9999-12-31T23:59:59Z: what RFC 3339 and Postgres can both write.
    private static let writableSeconds: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    /// In UTC with a `Z`; six fraction digits if there is a fraction, otherwise none. A year beyond four digits is
    /// written as it is, which RFC 3339 has no form for and `init(rfc3339:)` does not read.
    public var rfc3339: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The same as `rfc3339`.
    public var description: String { rfc3339 }

    /// Appends `rfc3339` as ASCII, for writers that answer thousands of calls a second.
    public func append(to bytes: inout [UInt8]) {
        let days = floorDivide(seconds, 86_400)
        let date = CivilDate(daysSinceEpoch: days)
        let secondOfDay = UInt64(seconds - days * 86_400)
        if date.year < 0 { bytes.append(UInt8(ascii: "-")) }
        appendDecimal(UInt64(date.year.magnitude), width: 4, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        appendDecimal(UInt64(date.month), width: 2, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        appendDecimal(UInt64(date.day), width: 2, to: &bytes)
        bytes.append(UInt8(ascii: "T"))
        appendDecimal(secondOfDay / 3600, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        appendDecimal(secondOfDay / 60 % 60, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        appendDecimal(secondOfDay % 60, width: 2, to: &bytes)
        let fraction = microseconds % 1_000_000
        if fraction != 0 {
            bytes.append(UInt8(ascii: "."))
            appendDecimal(UInt64(fraction < 0 ? fraction + 1_000_000 : fraction), width: 6, to: &bytes)
        }
        bytes.append(UInt8(ascii: "Z"))
    }
}

/// Takes fixed-width fields off the front of a text.
private struct FieldReader {
    var rest: ArraySlice<UInt8>

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    mutating func number(_ width: Int) -> Int? {
        guard rest.count >= width else { return nil }
        var value = 0
        for byte in rest.prefix(width) {
            guard let digit = decimalDigit(byte) else { return nil }
            value = value * 10 + Int(digit)
        }
        rest.removeFirst(width)
        return value
    }

    /// Microseconds; 0 when there is no fraction.
    mutating func fraction() -> Int64? {
        guard take(".") else { return 0 }
        var value: Int64 = 0
        var count = 0
        while let byte = rest.first, let digit = decimalDigit(byte) {
            count += 1
            guard count <= 9, count <= 6 || digit == 0 else { return nil }
            if count <= 6 { value = value * 10 + Int64(digit) }
            rest.removeFirst()
        }
        guard count > 0 else { return nil }
        for _ in min(count, 6)..<6 { value *= 10 }
        return value
    }

    /// Seconds east of UTC.
    mutating func offset() -> Int64? {
        if take("Z") || take("z") { return 0 }
        let isWest = take("-")
        guard isWest || take("+"), let hours = number(2), take(":"), let minutes = number(2), hours < 24, minutes < 60 else { return nil }
        let seconds = Int64(hours * 3600 + minutes * 60)
        return isWest ? -seconds : seconds
    }
}
