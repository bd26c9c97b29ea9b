/// How the domain's exact values live in Postgres: ids as `uuid`, amounts as `numeric(38,12)`, instants as `timestamptz`.
public import Budgets
public import Postgres

/// The sixteen raw bytes, most significant first.
extension ID: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { .uuid }

    public func encode(into bytes: inout [UInt8]) {
        bytes.append(bigEndian: high)
        bytes.append(bigEndian: low)
    }

    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        guard bytes.count == 16 else { throw .decoding("\(bytes.count) bytes, not 16") }
        self.init(high: bytes.integer(at: 0), low: bytes.integer(at: 8))
    }
}

/// All twelve fractional digits, nothing rounded: `numeric(38,12)` and the 128 bits hold the same amounts.
extension Amount: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { .numeric }

    public func encode(into bytes: inout [UInt8]) {
        Numeric(coefficient: pico, scale: Amount.fractionDigits).encode(into: &bytes)
    }

    /// Also reads results of arithmetic with fewer digits; throws `.decoding` when there are digits beyond the twelfth.
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        let numeric = try Numeric(postgres: bytes)
        var pico = numeric.coefficient
        for _ in 0..<max(Amount.fractionDigits - numeric.scale, 0) {
            let (product, overflow) = pico.multipliedReportingOverflow(by: 10)
            guard !overflow else { throw .decoding("an amount beyond 128 bits") }
            pico = product
        }
        for _ in 0..<max(numeric.scale - Amount.fractionDigits, 0) {
            let (quotient, remainder) = pico.quotientAndRemainder(dividingBy: 10)
            guard remainder == 0 else { throw .decoding("an amount with more than twelve fractional digits") }
            pico = quotient
        }
        self.init(pico: pico)
    }
}

/// Whole microseconds on both sides.
extension Instant: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { .timestamptz }

    public func encode(into bytes: inout [UInt8]) { Timestamp(microseconds: microseconds).encode(into: &bytes) }

    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        self.init(microseconds: try Timestamp(postgres: bytes).microseconds)
    }
}
