// The domain's exact values in Postgres and back.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@Suite(.serialized) struct ConformancesTests {
    static func trip<V: PostgresEncodable & PostgresDecodable>(_ values: [V]) async throws -> ([V], [String]) {
        try await withDatabase { configuration in
            let connection = try await PostgresConnection.connect(configuration, logger: testLogger)
            return try await connection.query("SELECT \(values), \(values)::text[]").rows[0].decode(as: ([V], [String]).self)
        }
    }

    @Test("Ids are uuids, byte for byte")
    func ids() async throws {
        let ids = [TeamID(high: 0x0123_4567_89ab_7def, low: 0x8123_4567_89ab_cdef), TeamID(high: 0, low: 0), TeamID(high: .max, low: .max)]
        let (back, texts) = try await Self.trip(ids)
        #expect(back == ids)
        #expect(texts[0] == "01234567-89ab-7def-8123-456789abcdef")
    }

    @Test("Amounts are numerics of twelve digits")
    func amounts() async throws {
        let amounts = [
            Amount.zero, Amount(pico: 1), Amount(pico: -1), Amount(whole: 5000), .maximum, Amount(pico: .max), Amount(pico: .min),
        ]
        let (back, texts) = try await Self.trip(amounts)
        #expect(back == amounts)
        #expect(texts[..<4] == ["0.000000000000", "0.000000000001", "-0.000000000001", "5000.000000000000"])
    }

    @Test(
        "Numerics of fewer digits are amounts, of more only when nothing is lost",
        arguments: [
            ("5", Amount(whole: 5)), ("-0.5", Amount(pico: -500_000_000_000)), ("1.0000000000000000", Amount(whole: 1)),
            ("0.0000000000001", nil), ("1e30", nil), ("NaN", nil),
        ] as [(String, Amount?)])
    func otherScales(text: String, amount: Amount?) async throws {
        let read: Amount? = try await withDatabase { configuration in
            let connection = try await PostgresConnection.connect(configuration, logger: testLogger)
            let row = try await connection.query("SELECT \(text)::text::numeric").rows[0]
            return try? row.decode(as: Amount.self)
        }
        #expect(read == amount)
    }

    @Test("Instants are timestamps of microseconds")
    func instants() async throws {
        let instants = [Instant(microseconds: 0), Instant(microseconds: -1), Instant(microseconds: 1_754_000_000_123_456)]
        let (back, texts) = try await Self.trip(instants)
        #expect(back == instants)
        #expect(texts[2] == "2025-07-31 22:13:20.123456+00")
    }
}
