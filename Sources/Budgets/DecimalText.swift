/// The decimal digits beneath the text forms of amounts and instants: one place that reads and writes them.

/// 10⁰ … 10³⁸, all the powers of ten that 128 bits hold.
let powersOfTen: [Int128] = {
    var powers: [Int128] = [1]
    for _ in 0..<38 { powers.append(powers[powers.count - 1] * 10) }
    return powers
}()

/// The value of an ASCII digit; nil for any other byte.
func decimalDigit(_ byte: UInt8) -> UInt8? {
    let value = byte &- UInt8(ascii: "0")
    return value < 10 ? value : nil
}

/// Appends `value` in as many digits as it needs, and with leading zeros at least `width`.
func appendDecimal(_ value: UInt64, width: Int = 1, to bytes: inout [UInt8]) {
    var count = 1
    var bound: UInt64 = 10
    while value >= bound, count < 20 {
        count += 1
        let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
        bound = overflow ? .max : next
    }
    count = max(count, width)
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: count))
    var rest = value
    var index = start + count
    while rest > 0 {
        index -= 1
        let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
        bytes[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
        rest = quotient
    }
}

/// A JSON number taken apart: `coefficient` × 10^`exponent`, the coefficient without trailing zeros.
struct JSONDecimal {
    private(set) var coefficient: Int128 = 0
    /// The digits of the coefficient.
    private(set) var digitCount = 0
    private(set) var exponent = 0
    /// Zeros wait until a digit follows them, so that 1.50000000000000000000 is as good as 1.5.
    private var waitingZeros = 0

    /// Nil when the text is not exactly one JSON number (RFC 8259 §6), or has more significant digits than 128 bits hold.
    init?(_ text: [UInt8]) {
        var index = 0
        func byte(_ index: Int) -> UInt8 { index < text.count ? text[index] : 0 }

        let isNegative = byte(0) == UInt8(ascii: "-")
        if isNegative { index = 1 }
        let integerStart = index
        guard takeDigits(of: text, &index) else { return nil }
        let integerCount = index - integerStart
        guard integerCount == 1 || (integerCount > 1 && text[integerStart] != UInt8(ascii: "0")) else { return nil }

        var fractionCount = 0
        if byte(index) == UInt8(ascii: ".") {
            index += 1
            let start = index
            guard takeDigits(of: text, &index), index > start else { return nil }
            fractionCount = index - start
        }

        var written = 0
        if byte(index) == UInt8(ascii: "e") || byte(index) == UInt8(ascii: "E") {
            index += 1
            let isDown = byte(index) == UInt8(ascii: "-")
            if isDown || byte(index) == UInt8(ascii: "+") { index += 1 }
            let start = index
            while index < text.count, let digit = decimalDigit(text[index]) {
                // The bound is far beyond any range an amount has, and far below what could overflow.
                written = min(written * 10 + Int(digit), 1_000_000_000_000)
                index += 1
            }
            guard index > start else { return nil }
            if isDown { written = -written }
        }
        guard index == text.count else { return nil }
        exponent = written - fractionCount + waitingZeros
        if isNegative { coefficient = -coefficient }
    }

    /// Takes what digits there are; false when they are more than fit.
    private mutating func takeDigits(of text: [UInt8], _ index: inout Int) -> Bool {
        while index < text.count, let digit = decimalDigit(text[index]) {
            index += 1
            guard digit != 0 else {
                waitingZeros += 1
                continue
            }
            let width = coefficient == 0 ? 1 : waitingZeros + 1
            guard digitCount + width <= 38 else { return false }
            coefficient = coefficient * powersOfTen[width] + Int128(digit)
            digitCount += width
            waitingZeros = 0
        }
        return true
    }
}
