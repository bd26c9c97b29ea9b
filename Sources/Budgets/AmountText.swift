/// Amounts as decimal text without loss (law 5): what Postgres, JSON and people write and read.

extension Amount: LosslessStringConvertible {
    /// The most digits that may stand before the point: with twelve behind it, what `numeric(38,12)` can hold.
    public static let integerDigits = 26

    /// Reads a plain decimal: an optional `-`, one to 26 digits, and optionally a point with one to twelve digits.
    /// Nil for anything else: no exponent, no `+`, no blanks, no digit that could not be kept.
    public init?(_ text: String) {
        var digits = text.utf8[...]
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative { digits.removeFirst() }
        var coefficient: Int128 = 0
        var integerCount = 0
        var fractionCount = 0
        var hasPoint = false
        for byte in digits {
            if byte == UInt8(ascii: "."), !hasPoint {
                hasPoint = true
                continue
            }
            guard let digit = decimalDigit(byte) else { return nil }
            if hasPoint { fractionCount += 1 } else { integerCount += 1 }
            guard integerCount <= Amount.integerDigits, fractionCount <= Amount.fractionDigits else { return nil }
            coefficient = coefficient * 10 + Int128(digit)
        }
        guard integerCount > 0, hasPoint == (fractionCount > 0) else { return nil }
        coefficient *= powersOfTen[Amount.fractionDigits - fractionCount]
        self.init(pico: isNegative ? -coefficient : coefficient)
    }

    /// Reads the text of a JSON number (RFC 8259 §6), exponent included, exactly: `1.5e-07` is 0.00000015.
    /// Nil when the text is no JSON number, or its value needs more than twelve fraction digits or 26 integer digits.
    public init?(number text: some StringProtocol) {
        guard let number = JSONDecimal(Array(text.utf8)) else { return nil }
        guard number.coefficient != 0 else {
            self.init(pico: 0)
            return
        }
        let shift = number.exponent + Amount.fractionDigits
        guard shift >= 0, number.digitCount + shift <= Amount.integerDigits + Amount.fractionDigits else { return nil }
        self.init(pico: number.coefficient * powersOfTen[shift])
    }

    /// Always twelve fraction digits, such as `12.340000000000`: the form of JSON, exports and Postgres.
    public var description: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Without trailing zeros, such as `12.34` or `5000`: the form for people.
    public var plain: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        appendPlain(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends `plain` as ASCII.
    public func appendPlain(to bytes: inout [UInt8]) {
        append(to: &bytes)
        var count = bytes.count
        while bytes[count - 1] == UInt8(ascii: "0") { count -= 1 }
        if bytes[count - 1] == UInt8(ascii: ".") { count -= 1 }
        bytes.removeLast(bytes.count - count)
    }

    /// Appends `description` as ASCII, for writers that answer thousands of calls a second.
    public func append(to bytes: inout [UInt8]) {
        if pico < 0 { bytes.append(UInt8(ascii: "-")) }
        let magnitude = pico.magnitude
        let fraction: UInt64
        // 64-bit division is several times cheaper and covers 18 million dollars.
        if let small = UInt64(exactly: magnitude) {
            let (whole, rest) = small.quotientAndRemainder(dividingBy: 1_000_000_000_000)
            appendDecimal(whole, to: &bytes)
            fraction = rest
        } else {
            let (whole, rest) = magnitude.quotientAndRemainder(dividingBy: 1_000_000_000_000)
            if let word = UInt64(exactly: whole) {
                appendDecimal(word, to: &bytes)
            } else {
                let (high, low) = whole.quotientAndRemainder(dividingBy: 1_000_000_000_000_000_000)
                appendDecimal(UInt64(high), to: &bytes)
                appendDecimal(UInt64(low), width: 18, to: &bytes)
            }
            fraction = UInt64(rest)
        }
        bytes.append(UInt8(ascii: "."))
        appendDecimal(fraction, width: Amount.fractionDigits, to: &bytes)
    }
}

extension Amount {
    /// This amount `quantity` times; nil when 128 bits cannot hold it.
    public func multiplied(by quantity: Int64) -> Amount? {
        let (product, overflow) = pico.multipliedReportingOverflow(by: Int128(quantity))
        return overflow ? nil : Amount(pico: product)
    }

    /// The sum; nil when 128 bits cannot hold it.
    public func adding(_ other: Amount) -> Amount? {
        let (sum, overflow) = pico.addingReportingOverflow(other.pico)
        return overflow ? nil : Amount(pico: sum)
    }
}
