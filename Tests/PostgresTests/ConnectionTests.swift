// Sessions: how they are set up, and what is left of them when something goes wrong.
import TestSupport
import Testing

@testable import Postgres

@Suite(.serialized) struct ConnectionTests {
    @Test("A session has the settings asked for, whatever surrounds it")
    func settings() async throws {
        let values = try await onConnection {
            $0.applicationName = "it's a name"
            $0.statementTimeout = .milliseconds(1500)
            $0.lockTimeout = .milliseconds(700)
            $0.idleInTransactionTimeout = .seconds(3)
            $0.planCacheMode = .generic
            $0.settings = ["search_path": "pg_catalog, a\\b", "synchronous_commit": "off"]
        } _: { connection in
            try [
                "TimeZone", "client_encoding", "application_name", "statement_timeout", "lock_timeout",
                "idle_in_transaction_session_timeout", "plan_cache_mode", "search_path", "synchronous_commit",
            ].map { try connection.query("SELECT current_setting(\($0))").rows[0].decode(as: String.self) }
        }
        #expect(values == ["UTC", "UTF8", "it's a name", "1500ms", "700ms", "3s", "force_generic_plan", "pg_catalog, a\\b", "off"])
    }

    @Test("The first host that answers is taken")
    func severalHosts() async throws {
        let one = try await onConnection {
            $0.hosts.insert(.init("127.0.0.1", port: 1), at: 0)
            $0.hosts.insert(.init("/nowhere", port: 1), at: 0)
        } _: {
            try $0.query("SELECT 1").rows[0].decode(as: Int.self)
        }
        #expect(one == 1)
    }

    @Test("A server that is not there is a connection error at once, and says where it was looked for")
    func nobodyThere() async throws {
        let configuration = PostgresConfiguration(
            host: .init("127.0.0.1", port: 1), user: "u", password: "open-sesame-secret", database: "d")
        let error = try await withTestLog {
            secret("open-sesame-secret")
            return await failure { _ = try await PostgresConnection.connect(configuration, logger: testLogger) }
        }
        #expect(error?.kind == .connection)
        #expect(error?.description.contains("127.0.0.1") == true)
        #expect(error?.debugDescription.contains("secret") == false)
    }

    @Test("A server that accepts and says nothing is given up after the connect timeout")
    func silentServer() async throws {
        let silent = SilentServer()
        var configuration = PostgresConfiguration(host: .init("127.0.0.1", port: silent.port), user: "u", database: "d")
        configuration.connectTimeout = .milliseconds(200)
        let error = try await withTestLog { [configuration] in
            await failure { _ = try await PostgresConnection.connect(configuration, logger: testLogger) }
        }
        #expect(error?.kind == .connection)
        #expect(error?.reason.contains("did not answer") == true)
    }

    @Test(
        "URLs and variables",
        arguments: [
            ("postgresql://me:p%20w@db1:6000,db2:6001/books?sslmode=require&connect_timeout=7", "me@db1:6000,db2:6001/books"),
            ("postgres://me@h1,h2:9/books", "me@h1:5432,h2:9/books"), ("postgresql://me@h1,h2/books", "me@h1:5432,h2:5432/books"),
            ("host=/run/pg user=me dbname=books port=5433", "me@/run/pg:5433/books"), ("postgresql://", "postgres@localhost:5432/postgres"),
            ("http://x", nil), ("nonsense", nil),
        ] as [(String, String?)])
    func urls(url: String, description: String?) {
        #expect((try? PostgresConfiguration(url: url))?.description == description)
        #expect((try? PostgresConfiguration(environment: ["DATABASE_URL": url]))?.description == description)
    }

    @Test("A URL's parts arrive, and nothing prints its password")
    func urlParts() throws {
        let configuration = try PostgresConfiguration(
            url: "postgresql://me:p%20w@h/books?sslmode=require&connect_timeout=7&application_name=a")
        #expect(configuration.password == "p w")
        #expect(configuration.connectTimeout == .seconds(7))
        #expect(configuration.applicationName == "a")
        let keywords = Dictionary(uniqueKeysWithValues: configuration.keywords(for: configuration.hosts[0]))
        #expect(keywords["sslmode"] == "require")
        #expect(keywords["gssencmode"] == "disable")
        #expect(keywords["target_session_attrs"] == "read-write")
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!"\(configuration) \(String(reflecting: configuration)) \(dumped)".contains("p w"))
        #expect(throws: PostgresError.self) { try PostgresConfiguration(environment: [:]) }
        let parts = try PostgresConfiguration(environment: ["PGHOST": "h", "PGUSER": "me", "PGDATABASE": "books", "PGSSLMODE": "require"])
        #expect(parts.description == "me@h:5432/books")
        #expect(parts.parameters["sslmode"] == "require")
    }

    @Test("A backend killed in the middle of a query is a lost connection; the next call says so too")
    func killed() async throws {
        try await withDatabase { configuration in
            let victim = try await PostgresConnection.connect(configuration, logger: testLogger)
            let killer = try await PostgresConnection.connect(configuration, logger: testLogger)
            try await killer.query("SELECT pg_advisory_lock(7)")
            async let lost = failure { try await victim.query("SELECT pg_advisory_lock(7)") }
            try await run(
                { connection in
                    // The victim waits for the lock as soon as the server shows it waiting.
                    while try connection.query(
                        """
                        SELECT pg_terminate_backend(pid) FROM pg_locks
                        JOIN pg_database d ON d.oid = database AND datname = current_database()
                        WHERE locktype = 'advisory' AND NOT granted
                        """
                    ).rows.isEmpty {}
                }, on: killer)
            let error = await lost
            #expect(error?.kind == .connection)
            #expect(error?.sqlState == "57P01")
            #expect(await !victim.isUsable)
            let next = await failure { try await victim.query("SELECT 1") }
            #expect(next?.kind == .connection)
            await killer.close()
        }
    }

    @Test("A statement beyond the server's timeout fails alone; the connection stays")
    func statementTimeout() async throws {
        try await onConnection {
            $0.statementTimeout = .milliseconds(50)
        } _: { connection in
            let error = failure(on: connection) { try $0.query("SELECT pg_sleep(10)") }
            #expect(error?.kind == .timeout)
            #expect(error?.sqlState == "57014")
            let one = try connection.query("SELECT 1").rows[0].decode(as: Int.self)
            #expect(one == 1)
        }
    }

    @Test("A server that answers too late is left: timeout, or unknown when COMMIT was on its way")
    func clientDeadline() async throws {
        for (isFlight, kind) in [(false, PostgresError.Kind.timeout), (true, .outcomeUnknown)] {
            try await onConnection {
                $0.statementTimeout = .milliseconds(100)
                $0.settings["statement_timeout"] = "0"
                $0.answerGrace = .zero
            } _: { connection in
                let error = failure(on: connection) {
                    if isFlight { try $0.flight(["SELECT pg_sleep(60)"]) } else { try $0.query("SELECT pg_sleep(60)") }
                }
                #expect(error?.kind == kind)
                let isUsable = connection.isUsable
                #expect(!isUsable)
            }
        }
    }

    @Test("A lock that is not free in time is a timeout")
    func lockTimeout() async throws {
        try await withDatabase { configuration in
            var configuration = configuration
            configuration.lockTimeout = .milliseconds(50)
            let holder = try await PostgresConnection.connect(configuration, logger: testLogger)
            let other = try await PostgresConnection.connect(configuration, logger: testLogger)
            try await holder.query("SELECT pg_advisory_lock(1)")
            let error = await failure { try await other.query("SELECT pg_advisory_lock(1)") }
            #expect(error?.kind == .timeout)
            #expect(error?.sqlState == "55P03")
        }
    }

    @Test("More distinct statements than are kept prepared, and more still: both sides forget the oldest")
    func manyStatements() async throws {
        let (last, kept) = try await onConnection { connection in
            var last = 0
            for _ in 0..<2 {
                for number in 0..<600 {
                    let query = Query(stringLiteral: "SELECT \(number)")
                    last = try connection.query(query).rows[0].decode(as: Int.self)
                }
            }
            return (last, try connection.query("SELECT count(*) FROM pg_prepared_statements").rows[0].decode(as: Int.self))
        }
        #expect(last == 599)
        // The question itself pushed one out, which is deallocated with the exchange after it.
        #expect(kept == Statements.bound + 1)
    }

    @Test("The same SQL with values of another type is another statement")
    func sameTextOtherTypes() async throws {
        let values = try await onConnection { connection in
            let queries: [Query] = ["SELECT \(1)::text", "SELECT \("one")::text", "SELECT \(true)::text", "SELECT \(2)::text"]
            return try queries.map { try connection.query($0).rows[0].decode(as: String.self) }
        }
        #expect(values == ["1", "one", "true", "2"])
    }

    @Test("A prepared statement that the schema has overtaken is prepared again, but not inside a transaction")
    func schemaChange() async throws {
        try await onConnection { connection in
            try connection.script("CREATE TABLE t (a int8); INSERT INTO t VALUES (1)")
            let query: Query = "SELECT * FROM t"
            _ = try connection.query(query)
            try connection.script("ALTER TABLE t ADD b text DEFAULT 'x'")
            let wide = try connection.query(query).rows[0].decode(as: (Int, String).self)
            #expect(wide == (1, "x"))
            try connection.script("ALTER TABLE t ALTER a TYPE text")
            let flown = try connection.flight(["SELECT 1", query])[1].rows[0].decode(as: (String, String).self)
            #expect(flown == ("1", "x"))
            try connection.script("ALTER TABLE t DROP b")
            let error = failure(on: connection) { try $0.transaction { _ = try $0.query(query) } }
            #expect(error?.sqlState == "0A000")
            let narrow = try connection.query(query).rows[0].decode(as: String.self)
            #expect(narrow == "1")
        }
    }

    @Test("A server that became read-only is a lost connection, not a fault of the statement")
    func readOnly() async throws {
        try await onConnection { connection in
            try connection.script("CREATE TABLE t (a int8); SET default_transaction_read_only = on")
            let error = failure(on: connection) { try $0.flight(["INSERT INTO t VALUES (1)"]) }
            #expect(error?.kind == .connection)
            let isUsable = connection.isUsable
            #expect(!isUsable)
        }
    }

    @Test("A closed connection refuses everything and may be closed again")
    func closed() async throws {
        try await onConnection { connection in
            connection.close()
            connection.close()
            let errors = [
                failure(on: connection) { try $0.query("SELECT 1") }, failure(on: connection) { try $0.script("SELECT 1") },
                failure(on: connection) { try $0.flight(["SELECT 1"]) }, failure(on: connection) { try $0.transaction { _ in } },
            ]
            #expect(errors.map(\.?.kind) == Array(repeating: .connection, count: 4))
        }
    }

    @Test("COPY is refused and the connection given up")
    func copy() async throws {
        for isScript in [true, false] {
            try await onConnection { connection in
                let error = failure(on: connection) {
                    if isScript { try $0.script("COPY (SELECT 1) TO STDOUT") } else { try $0.query("COPY (SELECT 1) TO STDOUT") }
                }
                #expect(error != nil)
                let isUsable = connection.isUsable
                #expect(!isUsable)
            }
        }
    }
}
