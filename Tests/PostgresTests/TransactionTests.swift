// All or nothing: transactions, flights and pipelines, with errors where they hurt most.
import Postgres
import Testing

@Suite(.serialized) struct TransactionTests {
    struct Unrelated: Error {}

    static let table = "CREATE TABLE t (a int8 PRIMARY KEY)"
    /// Fails at COMMIT when a negative number was written; kills its own backend there when it was −1.
    static let deferred = """
        CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.a = -1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            IF NEW.a < 0 THEN RAISE EXCEPTION 'too small' USING ERRCODE = '23514', CONSTRAINT = 'not_negative', TABLE = 't'; END IF;
            RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER judge AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION judge();
        """

    static func numbers(_ connection: isolated PostgresConnection) throws -> [Int] {
        try connection.query("SELECT a FROM t ORDER BY a").map { try $0.decode(as: Int.self) }
    }

    @Test("A transaction commits what its body did and returns its value")
    func commits() async throws {
        try await onConnection { connection in
            try connection.script(Self.table)
            let inserted = try connection.transaction { connection in
                try connection.query("INSERT INTO t SELECT generate_series(1, 3)").affected
            }
            #expect(inserted == 3)
            let all = try Self.numbers(connection)
            #expect(all == [1, 2, 3])
        }
    }

    @Test("A body's error rolls back and is thrown as it is")
    func rollsBack() async throws {
        try await onConnection { connection in
            try connection.script(Self.table)
            #expect(throws: Unrelated.self) {
                try connection.transaction { connection in
                    try connection.query("INSERT INTO t VALUES (1)")
                    throw Unrelated()
                }
            }
            let error = failure(on: connection) { connection in
                try connection.transaction { connection in
                    try connection.query("INSERT INTO t VALUES (1)")
                    try connection.query("INSERT INTO t VALUES (1)")
                }
            }
            #expect(error?.constraint == "t_pkey")
            let none = try Self.numbers(connection)
            #expect(none == [])
        }
    }

    @Test("A COMMIT that was answered ROLLBACK is an error, in a transaction, a query, a pipeline and a script")
    func lies() async throws {
        try await onConnection { connection in
            try connection.script(Self.table)
            let swallowed = failure(on: connection) { connection in
                try connection.transaction { connection in
                    try connection.query("INSERT INTO t VALUES (1)")
                    _ = try? connection.query("SELECT 1/0")
                }
            }
            #expect(swallowed?.description == "postgres server 25P02: COMMIT was answered with ROLLBACK")
            let commits: [(isolated PostgresConnection) throws -> Void] = [
                { try $0.query("commit") }, { try $0.pipeline(["END"]) }, { try $0.script("COMMIT") },
            ]
            for commit in commits {
                try connection.script("BEGIN; INSERT INTO t VALUES (1)")
                _ = try? connection.query("SELECT 1/0")
                #expect(failure(on: connection, commit)?.sqlState == "25P02")
            }
            try connection.script("BEGIN")
            _ = try? connection.query("SELECT 1/0")
            try connection.script("ROLLBACK")
            let none = try Self.numbers(connection)
            #expect(none == [])
        }
    }

    @Test("A constraint that fails at COMMIT is an error; the connection stays", arguments: ["transaction", "flight", "pipeline", "query"])
    func deferredConstraint(way: String) async throws {
        try await onConnection { connection in
            try connection.script(Self.table + ";" + Self.deferred)
            let error = failure(on: connection) { connection in
                switch way {
                case "transaction": try connection.transaction { _ = try $0.query("INSERT INTO t VALUES (\(-2))") }
                case "flight": try connection.flight(["INSERT INTO t VALUES (\(-2))"])
                case "pipeline": try connection.pipeline(["INSERT INTO t VALUES (\(5))", "INSERT INTO t VALUES (\(-2))"])
                default: try connection.query("INSERT INTO t VALUES (\(-2))")
                }
            }
            #expect(error?.kind == .server)
            #expect(error?.constraint == "not_negative")
            let none = try Self.numbers(connection)
            #expect(none == [])
        }
    }

    @Test("A connection lost while COMMIT runs leaves the outcome unknown", arguments: [true, false])
    func lostAtCommit(isFlight: Bool) async throws {
        try await onConnection { connection in
            try connection.script(Self.table + ";" + Self.deferred)
            let error = failure(on: connection) { connection in
                if isFlight {
                    try connection.flight(["INSERT INTO t VALUES (\(-1))"])
                } else {
                    try connection.transaction { _ = try $0.query("INSERT INTO t VALUES (\(-1))") }
                }
            }
            #expect(error?.kind == .outcomeUnknown)
            #expect(error?.sqlState == "57P01")
            let isUsable = connection.isUsable
            #expect(!isUsable)
        }
    }

    @Test("A connection lost before COMMIT's turn is a lost connection, and nothing was written")
    func lostBeforeCommit() async throws {
        try await onConnection { connection in
            let error = failure(on: connection) { connection in
                try connection.flight(["SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1"])
            }
            #expect(error?.kind == .connection)
            #expect(error?.sqlState == "57P01")
        }
    }

    @Test("A flight is all or nothing: an error in the middle undoes it, and the next one flies")
    func flights() async throws {
        try await onConnection { connection in
            try connection.script(Self.table)
            let results = try connection.flight(["INSERT INTO t VALUES (\(1))", "SELECT a FROM t", "INSERT INTO t VALUES (\(2)), (\(3))"])
            #expect(results.map(\.commandTag) == ["INSERT 0 1", "SELECT 1", "INSERT 0 2"])
            #expect(results.map(\.affected) == [1, 1, 2])
            let error = failure(on: connection) { connection in
                try connection.flight([
                    "INSERT INTO t VALUES (\(4))", "INSERT INTO t VALUES (\(1))", "SELECT 'never prepared'", "INSERT INTO t VALUES (\(5))",
                ])
            }
            #expect(error?.sqlState == "23505")
            #expect(error?.table == "t")
            let syntax = failure(on: connection) { try $0.flight(["INSERT INTO t VALUES (\(6))", "SELEKT"]) }
            #expect(syntax?.sqlState == "42601")
            let after = try connection.flight(["SELECT 'never prepared'", "INSERT INTO t VALUES (\(7))", "SELECT count(*) FROM t"])
            #expect(try after[2].rows[0].decode(as: Int.self) == 4)
            let all = try Self.numbers(connection)
            #expect(all == [1, 2, 3, 7])
            let empty = try connection.flight([])
            #expect(empty.isEmpty)
        }
    }

    @Test("Pipelines join an open transaction; flights and transactions refuse to")
    func nesting() async throws {
        try await onConnection { connection in
            try connection.script(Self.table)
            let error = failure(on: connection) { connection in
                try connection.transaction { connection in
                    try connection.pipeline(["INSERT INTO t VALUES (\(1))", "INSERT INTO t VALUES (\(2))"])
                    #expect(failure(on: connection) { try $0.flight(["SELECT 1"]) }?.kind == .misuse)
                    #expect(failure(on: connection) { try $0.transaction { _ in } }?.kind == .misuse)
                    let seen = try Self.numbers(connection)
                    #expect(seen == [1, 2])
                    throw PostgresError.decoding("enough")
                }
            }
            #expect(error?.reason == "enough")
            let none = try Self.numbers(connection)
            #expect(none == [])
        }
    }

    @Test("A pipeline of its own is one implicit transaction")
    func pipelineAlone() async throws {
        try await onConnection { connection in
            try connection.script(Self.table)
            let error = failure(on: connection) { try $0.pipeline(["INSERT INTO t VALUES (\(1))", "SELECT 1/0"]) }
            #expect(error?.sqlState == "22012")
            let none = try Self.numbers(connection)
            #expect(none == [])
        }
    }

    @Test("Ten thousand queries with answers far beyond the socket's buffers do not lock up", arguments: [true, false])
    func largePipeline(isFlight: Bool) async throws {
        try await onConnection { connection in
            let blob = String(repeating: "x", count: 2_000)
            let queries = (0..<10_000).map { "SELECT \($0), repeat(\(blob), 2)" as Query }
            let results = try isFlight ? connection.flight(queries) : connection.pipeline(queries)
            #expect(results.count == 10_000)
            var wrong = 0
            for (index, result) in results.enumerated() {
                let (number, text) = try result.rows[0].decode(as: (Int, String).self)
                if number != index || text.utf8.count != 4_000 { wrong += 1 }
            }
            #expect(wrong == 0)
        }
    }

    @Test("A script that fails leaves nothing open and nothing done")
    func scripts() async throws {
        try await onConnection { connection in
            try connection.script(Self.table + "; INSERT INTO t VALUES (1); SELECT a FROM t")
            for script in ["INSERT INTO t VALUES (2); SELECT 1/0", "BEGIN; INSERT INTO t VALUES (2); SELECT 1/0; COMMIT"] {
                let error = failure(on: connection) { try $0.script(script) }
                #expect(error?.sqlState == "22012")
            }
            let all = try Self.numbers(connection)
            #expect(all == [1])
            let nul = failure(on: connection) { try $0.script("SELECT 1 \0; DROP TABLE t") }
            #expect(nul?.kind == .encoding)
        }
    }
}
