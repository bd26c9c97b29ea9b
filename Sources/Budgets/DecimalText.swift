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
    private(set) var digitCount = 0
    private(set) var exponent = 0

    /// Nil when the text is not exactly one JSON number (RFC 8259 §6), or has more significant digits than 128 bits hold.
    init?(_ text: some Collection<UInt8>) {
        var rest = text[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest.removeFirst() }

        // Zeros wait until a digit follows them, so that 1.50000000000000000000 is as good as 1.5.
        var zeros = 0
        var fractionCount = 0
        func takeDigits(_ body: (UInt8) -> Bool) -> Int? {
            var count = 0
            while let byte = rest.first, let digit = decimalDigit(byte) {
                guard body(digit) else { return nil }
                rest.removeFirst()
                count += 1
            }
            return count
        }
        func takeSignificant(_ digit: UInt8) -> Bool {
            guard digit != 0 else {
                zeros += 1
                return true
            }
            let width = coefficient == 0 ? 1 : zeros + 1
            guard digitCount + width <= 38 else { return false }
            coefficient = coefficient * powersOfTen[width] + Int128(digit)
            digitCount += width
            zeros = 0
            return true
        }

        let startsWithZero = rest.first == UInt8(ascii: "0")
        guard let integerCount = takeDigits(takeSignificant), integerCount == 1 || (integerCount > 1 && !startsWithZero) else { return nil }
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            guard let count = takeDigits(takeSignificant), count > 0 else { return nil }
            fractionCount = count
        }
        var written = 0
        if let mark = rest.first, mark == UInt8(ascii: "e") || mark == UInt8(ascii: "E") {
            rest.removeFirst()
            let isDown = rest.first == UInt8(ascii: "-")
            if isDown || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
            // Far beyond any range an amount has, and far below what could overflow.
            let bound = 1_000_000_000_000
            let count = takeDigits { digit in
                written = min(written * 10 + Int(digit), bound)
                return true
            }
            guard let count, count > 0 else { return nil }
            if isDown { written = -written }
        }
        guard rest.isEmpty else { return nil }
        exponent = written - fractionCount + zeros
        if isNegative { coefficient = -coefficient }
    }
}
