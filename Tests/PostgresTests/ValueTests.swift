// Every type, at its edges, there and back; and beside each what Postgres itself thinks the value is.
import Postgres
import Testing

@Suite(.serialized) struct ValueTests {
    /// Binds a value, reads it back, and reads Postgres's own text of it.
    static func trip<V: PostgresEncodable & PostgresDecodable>(
        _ value: V, on connection: isolated PostgresConnection
    ) throws -> (V, String?) {
        try connection.query("SELECT \(value) AS value, \(value)::text AS text").rows[0].decode(as: (V, String?).self)
    }

    /// Expects each value back as it went, and Postgres's text of it to be the one beside it.
    static func check<V: PostgresEncodable & PostgresDecodable & Equatable>(_ cases: [(V, String?)]) async throws {
        try await onConnection { connection in
            for (value, text) in cases {
                let back = try trip(value, on: connection)
                #expect(back == (value, text))
            }
        }
    }

    static func check<V: PostgresEncodable & PostgresDecodable & Equatable & CustomStringConvertible>(_ values: [V]) async throws {
        try await check(values.map { ($0, $0.description) })
    }

    @Test("Whole numbers keep every bit")
    func wholeNumbers() async throws {
        try await Self.check([Int64.min, -1, 0, 1, 255, 256, .max])
        try await Self.check([Int.min, -1, 0, 1, 255, 256, .max])
        try await Self.check([Int32.min, -1, 0, 1, 255, 256, .max])
        try await Self.check([Int16.min, -1, 0, 1, 255, 256, .max])
    }

    @Test("Int64 also reads int4 and int2")
    func narrowerIntegers() async throws {
        let values = try await onConnection { connection in
            try connection.query("SELECT (-2147483648)::int4, 32767::int2, ARRAY[1,2]::int4[]").rows[0]
                .decode(as: (Int64, Int, [Int64]).self)
        }
        #expect(values == (-2_147_483_648, 32767, [1, 2]))
    }

    @Test("Truth")
    func truth() async throws { try await Self.check([true, false]) }

    @Test("Text, byte for byte")
    func text() async throws {
        let texts = ["", "a", "'; DROP TABLE teams; --", "$1 \\ \"", "Zażółć 🦉 e\u{301}", String(repeating: "x", count: 100_000)]
        try await Self.check(texts)
        let back = try await onConnection { try Self.trip(texts, on: $0).0 }
        #expect(back.map { Array($0.utf8) } == texts.map { Array($0.utf8) })
    }

    @Test("Text is read from varchar, char and name columns")
    func textKinds() async throws {
        let values = try await onConnection { connection in
            try connection.query("SELECT 'a'::varchar(9), 'b'::char(2), 'c'::name").rows[0].decode(as: (String, String, String).self)
        }
        #expect(values == ("a", "b ", "c"))
    }

    @Test("A NUL in text is refused, not cut off")
    func nulInText() async throws {
        try await onConnection { connection in
            let error = failure(on: connection) { try $0.query("SELECT \("a\0b")") }
            #expect(error?.kind == .server)
            #expect(error?.sqlState == "22021")
            let one = try connection.query("SELECT 1").rows[0].decode(as: Int.self)
            #expect(one == 1)
        }
    }

    @Test("Bytes")
    func bytes() async throws {
        try await Self.check([
            (Bytea([]), "\\x"), (Bytea([0]), "\\x00"), (Bytea([0, 255, 0]), "\\x00ff00"),
            (Bytea(Array(0...255)), "\\x" + (0...255).map { String($0 / 16, radix: 16) + String($0 % 16, radix: 16) }.joined()),
        ])
    }

    @Test("Microseconds")
    func microseconds() async throws {
        let cases: [(Int64, String)] = [
            (0, "1970-01-01 00:00:00+00"), (-1, "1969-12-31 23:59:59.999999+00"), (946_684_800_000_000, "2000-01-01 00:00:00+00"),
            (1_754_000_000_123_456, "2025-07-31 22:13:20.123456+00"), (-210_866_803_200_000_000, "4714-11-24 00:00:00+00 BC"),
            (.max, "294247-01-10 04:00:54.775807+00"),
        ]
        try await Self.check(cases.map { (Timestamp(microseconds: $0.0), $0.1) })
    }

    @Test("Times that Postgres does not have are refused", arguments: [Int64.min, Int64.min + 946_684_800_000_000])
    func timesOutOfRange(value: Int64) async throws {
        let error = await failure { try await onConnection { _ = try Self.trip(Timestamp(microseconds: value), on: $0) } }
        #expect(error?.sqlState == "22008")
    }

    @Test(
        "Infinity is no point in time, and what 64 bits since 1970 cannot hold is an error",
        arguments: [
            ("infinity", "infinity is no point in time"), ("-infinity", "infinity is no point in time"),
            ("294276-12-31", "a time after the year 294246"),
        ])
    func infinity(value: String, reason: String) async throws {
        let error = await failure {
            try await onConnection { _ = try $0.query("SELECT \(value)::text::timestamptz AS at").rows[0].decode(as: Timestamp.self) }
        }
        #expect(error?.description == "postgres decoding: column at, expected timestamptz: " + reason)
    }

    @Test("JSON comes back in Postgres's spelling")
    func json() async throws {
        let back = try await onConnection { try Self.trip(JSONB(text: #"{"b":[1,2.50,"ü"],"a":null}"#), on: $0).0 }
        #expect(back.text == #"{"a": null, "b": [1, 2.50, "ü"]}"#)
        let error = await failure { try await onConnection { _ = try Self.trip(JSONB(text: "{"), on: $0) } }
        #expect(error?.sqlState == "22P02")
    }

    @Test("NULL is read into optionals only")
    func null() async throws {
        try await Self.check([(String?.none, nil)])
        try await Self.check([(Int64?.none, nil), (7, "7")])
        try await Self.check([([Int64]?.none, nil), ([7], "{7}")])
        let error = await failure {
            try await onConnection { _ = try $0.query("SELECT NULL::int8 AS spent").rows[0].decode(as: Int64.self) }
        }
        #expect(error?.description == "postgres decoding: column spent, expected int8: NULL")
    }

    @Test("Arrays of every type, empty, with NULLs and long")
    func arrays() async throws {
        try await Self.check([([Int64](), "{}"), ([Int64.min, 0, .max], "{-9223372036854775808,0,9223372036854775807}")])
        try await Self.check([([1, nil, 3] as [Int64?], "{1,NULL,3}")])
        try await Self.check([(["a", "", "NULL", "b,\"c"], #"{a,"","NULL","b,\"c"}"#)])
        try await Self.check([([nil, ""] as [String?], "{NULL,\"\"}")])
        try await Self.check([([true, false], "{t,f}")])
        try await Self.check([([Bytea([1]), Bytea([])], #"{"\\x01","\\x"}"#)])
        try await Self.check([([Timestamp(microseconds: 0)], "{\"1970-01-01 00:00:00+00\"}")])
        try await Self.check([([Numeric(coefficient: -15, scale: 1), Numeric(coefficient: 0, scale: 12)], "{-1.5,0.000000000000}")])
        try await Self.check([([JSONB(text: "1")], "{1}")])
        try await Self.check([([Int32(1)], "{1}")])
        try await Self.check([([Int16(1)], "{1}")])
        let long = (0..<50_000).map(Int64.init)
        try await Self.check([(long, "{" + long.map(\.description).joined(separator: ",") + "}")])
    }

    @Test(
        "Arrays of two dimensions and NULLs among values are refused",
        arguments: [
            ("SELECT ARRAY[[1,2],[3,4]]::int8[] AS list", "an array of 2 dimensions"),
            ("SELECT ARRAY[1,NULL]::int8[] AS list", "NULL in an array of values"),
            ("SELECT ARRAY['1']::text[] AS list", "the column's type has object id 1009"),
        ] as [(Query, String)])
    func refusedArrays(query: Query, reason: String) async throws {
        let error = await failure { try await onConnection { _ = try $0.query(query).rows[0].decode(as: [Int64].self) } }
        #expect(error?.description == "postgres decoding: column list, expected int8[]: " + reason)
    }

    @Test("A column of another type, or another number of columns, is an error that says so")
    func wrongTypes() async throws {
        try await onConnection { connection in
            let row = try connection.query("SELECT 'x'::text AS name, 1.5::float8 AS ratio").rows[0]
            let type = failure(on: connection) { _ in _ = try row.decode(as: (Int64, Int64).self) }
            #expect(type?.description == "postgres decoding: column name, expected int8: the column's type has object id 25")
            let ratio = failure(on: connection) { _ in _ = try row.decode(as: (String, Numeric).self) }
            #expect(ratio?.description == "postgres decoding: column ratio, expected numeric: the column's type has object id 701")
            let count = failure(on: connection) { _ in _ = try row.decode(as: (String, Int64, Int64).self) }
            #expect(count?.description == "postgres decoding: the result has 2 columns, expected 3")
            let one = failure(on: connection) { _ in _ = try row.decode(as: String.self) }
            #expect(one?.kind == .decoding)
            let beyond = failure(on: connection) { _ in _ = try row.decode(column: 2, as: String.self) }
            #expect(beyond?.kind == .decoding)
        }
    }
}
