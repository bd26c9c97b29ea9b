// Errors say what happened and never what was bound.
import Testing

@testable import Postgres

@Suite(.serialized) struct ErrorTests {
    static let secret = "s3cr3t-value"

    @Test(
        "No error's text contains a bound value, though Postgres's own message or detail does",
        arguments: [
            ("INSERT INTO t VALUES (\(1), \(secret))", "23505"), ("INSERT INTO t VALUES (\(2), \(secret + secret))", "23514"),
            ("INSERT INTO t VALUES (\(2), \(String?.none))", "23502"), ("SELECT \(secret)::int8", "22P02"),
            ("SELECT \(secret)::jsonb", "22P02"),
            ("SELECT \(secret)::timestamptz", "22007"), ("SELECT 1 FROM missing WHERE a = \(secret)", "42P01"),
        ] as [(Query, String)])
    func nothingLeaks(query: Query, sqlState: String) async throws {
        try await onConnection { connection in
            try connection.script(
                "CREATE TABLE t (a int8, b text UNIQUE NOT NULL CHECK (length(b) < 20)); INSERT INTO t VALUES (1, '\(Self.secret)')")
            let error = failure(on: connection) { try $0.query(query) }
            #expect(error?.sqlState == sqlState)
            #expect(error.map { "\($0) \(String(reflecting: $0))".contains(Self.secret) } == false)
            #expect(error.map { String(reflecting: $0).contains(query.sql) } == true)
        }
    }

    @Test("Constraint and table are named")
    func names() async throws {
        try await onConnection { connection in
            try connection.script("CREATE TABLE t (a int8 CONSTRAINT positive CHECK (a > 0))")
            let error = failure(on: connection) { try $0.query("INSERT INTO t VALUES (\(-1))") }
            #expect(error?.description == "postgres server 23514 table=t constraint=positive: a constraint was violated")
            #expect(error?.isRetryable == false)
        }
    }

    @Test(
        "SQLSTATEs are classified once",
        arguments: [
            ("40001", .server, true), ("40P01", .server, true), ("57014", .timeout, false), ("55P03", .timeout, false),
            ("57P01", .connection, false),
            ("08006", .connection, false), ("53300", .connection, false), ("25006", .connection, false), ("23505", .server, false),
            ("BU001", .server, false), ("42501", .server, false),
        ] as [(String, PostgresError.Kind, Bool)])
    func classes(sqlState: String, kind: PostgresError.Kind, isRetryable: Bool) {
        let error = PostgresError.server(sqlState: sqlState, message: "", detail: nil, table: nil, constraint: nil)
        #expect((error.kind, error.isRetryable) == (kind, isRetryable))
    }

    @Test("A deadlock is retryable, and its victim's connection lives on")
    func conflict() async throws {
        try await onConnection { connection in
            let error = failure(on: connection) { try $0.script("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$") }
            #expect(error?.isRetryable == true)
            let isUsable = connection.isUsable
            #expect(isUsable)
        }
    }

    @Test("More binds than the protocol can count are an encoding error, before anything is sent")
    func tooManyBinds() async throws {
        var interpolation = Query.StringInterpolation(literalCapacity: 0, interpolationCount: 0)
        interpolation.appendLiteral("SELECT ")
        for number in 0...Query.maximumBinds { interpolation.appendInterpolation(number) }
        let query = Query(stringInterpolation: interpolation)
        try await onConnection { connection in
            #expect(failure(on: connection) { try $0.query(query) }?.kind == .encoding)
            #expect(failure(on: connection) { try $0.query("SELECT \([[1]])") }?.kind == .encoding)
            let one = try connection.flight(["SELECT 1"])[0].rows[0].decode(as: Int.self)
            #expect(one == 1)
        }
    }

    @Test("As many binds as the protocol can count are sent")
    func mostBinds() async throws {
        var interpolation = Query.StringInterpolation(literalCapacity: 0, interpolationCount: 0)
        interpolation.appendLiteral("SELECT cardinality(ARRAY[")
        for number in 0..<Query.maximumBinds {
            if number > 0 { interpolation.appendLiteral(",") }
            interpolation.appendInterpolation(number)
        }
        interpolation.appendLiteral("])")
        let query = Query(stringInterpolation: interpolation)
        #expect(try await onConnection { try $0.query(query).rows[0].decode(as: Int.self) } == Query.maximumBinds)
    }

    @Test(
        "Only COMMIT and END are commits",
        arguments: [
            ("COMMIT", true), ("  commit;", true), ("End", true), ("COMMIT AND CHAIN", true), ("commitment", false), ("SELECT 1", false),
            ("", false),
            ("ending", false), ("CREATE TABLE commit (a int8)", false),
        ] as [(String, Bool)])
    func commits(sql: String, isCommit: Bool) {
        #expect(Query(stringLiteral: sql).isCommit == isCommit)
    }
}
