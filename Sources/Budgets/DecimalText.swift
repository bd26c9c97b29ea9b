/// The bytes beneath texts: decimal digits of amounts and instants, read and written in one place, and texts compared as Postgres does.

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

/// Appends `value` in as many digits as it needs, and with leading zeros at least `width`, which is 20 at most.
func appendDecimal(_ value: UInt64, width: Int = 1, to bytes: inout [UInt8]) {
    var digits = InlineArray<20, UInt8>(repeating: UInt8(ascii: "0"))
    var start = digits.count
    var rest = value
    while rest > 0 {
        start -= 1
        let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
        digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
        rest = quotient
    }
    start = min(start, digits.count - width)
    digits.span.extracting(start..<digits.count).withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
}

extension String {
    /// Whether both are the same bytes, which is what Postgres calls equal. Swift's `==` holds canonically equivalent texts to be so.
    func hasSameBytes(as other: String) -> Bool {
        guard utf8.count == other.utf8.count else { return false }
        let answer = utf8.withContiguousStorageIfAvailable { own in
            other.utf8.withContiguousStorageIfAvailable { own.elementsEqual($0) }
        }
        return (answer ?? nil) ?? utf8.elementsEqual(other.utf8)
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
