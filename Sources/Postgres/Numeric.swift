/// Exact decimals. Postgres keeps `numeric` in base 10,000; Bursar in one 128-bit whole number with a scale. Nothing in between
/// is ever a binary float (law 5).

/// A `numeric`: `coefficient` × 10^−`scale`. Equality is of both parts, as trailing zeros are part of a `numeric`.
public struct Numeric: Hashable, Sendable {
    /// The digits as one whole number.
    public let coefficient: Int128
    /// How many of the digits stand after the point.
    public let scale: Int

    /// Makes a decimal; `scale` must be between 0 and 1,000 (the most a `numeric(p,s)` column may declare).
    public init(coefficient: Int128, scale: Int) {
        precondition((0...1000).contains(scale))
        self.coefficient = coefficient
        self.scale = scale
    }

    /// The powers of ten that fit a base-10,000 digit.
    static let powers: [UInt128] = [1, 10, 100, 1000]
}

/// The binary form (numeric_send in numeric.c): digit count, weight of the first digit, sign, digits after the point, and the
/// base-10,000 digits without leading or trailing zero ones.
extension Numeric: PostgresEncodable {
    public static var postgresType: PostgresType { .numeric }

    public func encode(into bytes: inout [UInt8]) {
        // At most 39 decimal digits, so at most 11 of base 10,000 when the point cuts one short.
        var digits = InlineArray<12, UInt16>(repeating: 0)
        var count = 0
        var rest = coefficient.magnitude
        if scale % 4 != 0 {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: Numeric.powers[scale % 4])
            digits[0] = UInt16(remainder * Numeric.powers[4 - scale % 4])
            count = 1
            rest = quotient
        }
        while rest > UInt128(UInt64.max) {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 10_000_000_000_000_000)
            var four = UInt64(remainder)
            for _ in 0..<4 {
                digits[count] = UInt16(four % 10_000)
                count += 1
                four /= 10_000
            }
            rest = quotient
        }
        var low = UInt64(rest)
        while low > 0 {
            digits[count] = UInt16(low % 10_000)
            count += 1
            low /= 10_000
        }
        while count > 0, digits[count - 1] == 0 { count -= 1 }
        var first = 0
        while first < count, digits[first] == 0 { first += 1 }
        let weight = count == 0 ? 0 : count - 1 - (scale + 3) / 4
        bytes.append(bigEndian: Int16(count - first))
        bytes.append(bigEndian: Int16(weight))
        bytes.append(bigEndian: coefficient < 0 ? Sign.negative : Sign.positive)
        bytes.append(bigEndian: Int16(scale))
        for index in stride(from: count - 1, through: first, by: -1) { bytes.append(bigEndian: digits[index]) }
    }

    enum Sign {
        static let positive: UInt16 = 0x0000
        static let negative: UInt16 = 0x4000
    }
}

extension Numeric: PostgresDecodable {
    /// Reads any finite `numeric` whose digits fit 128 bits; throws `.decoding` for NaN, the infinities and larger ones.
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        guard bytes.count >= 8 else { throw .decoding("a numeric's header is cut short") }
        let count = Int(bytes.integer(at: 0, as: Int16.self))
        let weight = Int(bytes.integer(at: 2, as: Int16.self))
        let sign = bytes.integer(at: 4, as: UInt16.self)
        let scale = Int(bytes.integer(at: 6, as: Int16.self))
        guard sign == Sign.positive || sign == Sign.negative else { throw .decoding("NaN and infinity are no amounts") }
        guard count >= 0, bytes.count == 8 + count * 2, (0...1000).contains(scale) else { throw .decoding("a malformed numeric") }
        var magnitude: UInt128 = 0
        for index in 0..<count {
            let digit = UInt128(bytes.integer(at: 8 + index * 2, as: UInt16.self))
            guard digit < 10_000 else { throw .decoding("a malformed numeric") }
            // How many decimal digits of this base-10,000 digit stand beyond the scale; those must be zeros.
            let beyond = -(4 * (weight - index) + scale)
            guard beyond < 4 else { throw .decoding("a numeric with digits beyond its scale") }
            let cut = max(beyond, 0)
            let (quotient, remainder) = digit.quotientAndRemainder(dividingBy: Numeric.powers[cut])
            guard remainder == 0 else { throw .decoding("a numeric with digits beyond its scale") }
            magnitude = try Numeric.shift(magnitude, by: 4 - cut, adding: quotient)
        }
        if magnitude != 0 {
            let missing = 4 * (weight - count + 1) + scale
            guard missing <= 39 else { throw .decoding("a numeric beyond 128 bits") }
            for _ in 0..<max(missing, 0) { magnitude = try Numeric.shift(magnitude, by: 1, adding: 0) }
        }
        guard magnitude <= UInt128(Int128.max) + (sign == Sign.negative ? 1 : 0) else {
            throw .decoding("a numeric beyond 128 bits")
        }
        let coefficient = Int128(truncatingIfNeeded: magnitude)
        self.init(coefficient: sign == Sign.negative ? 0 &- coefficient : coefficient, scale: scale)
    }

    private static func shift(_ value: UInt128, by digits: Int, adding digit: UInt128) throws(PostgresError) -> UInt128 {
        let power = digits == 4 ? 10_000 : powers[digits]
        let (product, tooLarge) = value.multipliedReportingOverflow(by: power)
        let (sum, overflow) = product.addingReportingOverflow(digit)
        guard !tooLarge, !overflow else { throw .decoding("a numeric beyond 128 bits") }
        return sum
    }
}
