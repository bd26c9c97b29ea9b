// Rows in one bind: there and back, and what Postgres says of rows that do not fit their type.
import Postgres
import Testing

@Suite struct RowsTests {
    private static let type: Query = "CREATE TYPE pg_temp.visit AS (id int8, place text, paid numeric, at timestamptz, note bytea)"

    /// The rows as Postgres reads them.
    private static func read(_ rows: Rows) async throws -> [String] {
        try await onConnection { connection in
            try connection.query(type)
            return try connection.query("SELECT v::text FROM unnest(\(rows, of: "pg_temp.visit")) AS v").rows.map {
                try $0.decode(as: String.self)
            }
        }
    }

    @Test("none, one and many rows arrive as they went, NULL and empty apart")
    func trip() async throws {
        var rows = Rows()
        #expect(try await Self.read(rows) == [])
        rows.row { row in
            row.column(Int64.min)
            row.column("")
            row.column(Numeric(coefficient: -15, scale: 1))
            row.column(Timestamp(microseconds: 0))
            row.column(Bytea([0, 255]))
        }
        var expected = [#"(-9223372036854775808,"",-1.5,"1970-01-01 00:00:00+00","\\x00ff")"#]
        #expect(try await Self.read(rows) == expected)
        for number in 0..<1000 {
            rows.row { row in
                row.column(number)
                row.column(String?.none)
                row.column(Numeric?.none)
                row.column(Timestamp?.none)
                row.column(Bytea?.none)
            }
            expected.append("(\(number),,,,)")
        }
        #expect(try await Self.read(rows) == expected)
    }

    @Test("Postgres refuses a row with a column too few, and one with a column of another type")
    func unfit() async throws {
        var short = Rows()
        short.row { $0.column(1) }
        var other = Rows()
        other.row { row in for _ in 0..<5 { row.column("1") } }
        for rows in [short, other] {
            let error = await failure { _ = try await Self.read(rows) }
            #expect(error?.sqlState == "42804")
        }
    }

    @Test("binds before and after rows keep their places, also in a part of a longer statement")
    func places() async throws {
        var rows = Rows()
        for number in 1...3 {
            rows.row { row in
                row.column(number)
                for _ in 0..<4 { row.column(String?.none) }
            }
        }
        let part: Query = "chosen AS (SELECT id FROM unnest(\(rows, of: "pg_temp.few")) WHERE id > \(1))"
        try await onConnection { connection in
            try connection.query("CREATE TYPE pg_temp.few AS (id int8, a text, b text, c text, d text)")
            let query: Query =
                "WITH \(list: ["one AS (SELECT \(7) AS seven)", part]) SELECT sum(id)::int8 + \(100) + max(seven) FROM chosen, one"
            #expect(try connection.query(query).rows[0].decode(as: Int64.self) == 112)
        }
    }
}
