// Decimals of every length and position of the point, exact in both directions.
import Postgres
import Testing

@Suite(.serialized) struct NumericTests {
    static let cases: [(Int128, Int, String)] = [
        (0, 0, "0"), (0, 12, "0.000000000000"), (1, 0, "1"), (-1, 0, "-1"), (1, 1, "0.1"), (10, 1, "1.0"), (9999, 0, "9999"),
        (10000, 0, "10000"), (10001, 4, "1.0001"), (1, 4, "0.0001"), (1, 5, "0.00001"), (1, 12, "0.000000000001"),
        (-1, 12, "-0.000000000001"),
        (12_340_000_000_000, 12, "12.340000000000"), (100_000_000, 0, "100000000"), (1_000_000_000_000, 12, "1.000000000000"),
        (123_456_789_012_345_678, 3, "123456789012345.678"), (-5, 2, "-0.05"), (50_000_000_000, 7, "5000.0000000"),
        (1, 38, "0.00000000000000000000000000000000000001"), (1, 50, "0." + String(repeating: "0", count: 49) + "1"),
        (Int128(UInt64.max), 0, "18446744073709551615"), (Int128(UInt64.max) + 1, 0, "18446744073709551616"),
        (99_999_999_999_999_999_999_999_999_999_999_999_999, 12, "99999999999999999999999999.999999999999"),
        (.max, 0, "170141183460469231731687303715884105727"), (.min, 0, "-170141183460469231731687303715884105728"),
        (.max, 1, "17014118346046923173168730371588410572.7"), (.min, 2, "-1701411834604692317316873037158841057.28"),
        (.max, 3, "170141183460469231731687303715884105.727"), (.min, 38, "-1.70141183460469231731687303715884105728"),
    ]

    @Test("Known decimals, written by us and written by Postgres")
    func known() async throws {
        try await ValueTests.check(Self.cases.map { (Numeric(coefficient: $0.0, scale: $0.1), $0.2) })
        try await onConnection { connection in
            for (coefficient, scale, text) in Self.cases {
                let read = try connection.query("SELECT \(text)::text::numeric").rows[0].decode(as: Numeric.self)
                #expect(read == Numeric(coefficient: coefficient, scale: scale))
            }
        }
    }

    @Test("A thousand decimals of random length and scale")
    func random() async throws {
        var generator = SplitMix(state: 20_260_801)
        let values = (0..<1000).map { _ in
            let digits =
                Int128(truncatingIfNeeded: UInt128.random(in: 0 ... .max, using: &generator)) >> Int.random(in: 0...127, using: &generator)
            return Numeric(coefficient: digits, scale: Int.random(in: 0...45, using: &generator))
        }
        let (back, texts) = try await onConnection { connection in
            try connection.query("SELECT \(values), \(values)::text[]").rows[0].decode(as: ([Numeric], [String]).self)
        }
        #expect(back == values)
        for (value, text) in zip(values, texts) { #expect(text == Self.text(value)) }
    }

    @Test(
        "What is no finite decimal of 128 bits is refused",
        arguments: [
            "NaN", "Infinity", "-Infinity", "170141183460469231731687303715884105728", "-170141183460469231731687303715884105729", "1e60",
            "1e-1001",
        ])
    func refused(text: String) async throws {
        let error = await failure {
            try await onConnection { _ = try $0.query("SELECT \(text)::text::numeric AS amount").rows[0].decode(as: Numeric.self) }
        }
        #expect(error?.kind == .decoding)
        #expect(error?.description.contains("column amount, expected numeric") == true)
    }

    /// The decimal's text, the schoolbook way.
    static func text(_ value: Numeric) -> String {
        var digits = String(value.coefficient.magnitude)
        if digits.count <= value.scale { digits = String(repeating: "0", count: value.scale - digits.count + 1) + digits }
        if value.scale > 0 { digits.insert(".", at: digits.index(digits.endIndex, offsetBy: -value.scale)) }
        return (value.coefficient < 0 ? "-" : "") + digits
    }
}

/// A small generator with a seed, so that a failure can be repeated (Steele, Lea, Flood 2014).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
