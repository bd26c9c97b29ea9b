// The pool with real connections: many callers, lost servers, and waiting that ends.
import Postgres
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@Suite(.serialized) struct PoolTests {
    static func withPool(size: Int = 4, _ body: (PostgresPool) async throws -> Void) async throws {
        try await withDatabase { configuration in
            let pool = PostgresPool(configuration, size: size, logger: testLogger)
            do { try await body(pool) } catch {
                await pool.shutdown()
                throw error
            }
            await pool.shutdown()
        }
    }

    /// Lends a connection of the pool until `release` is called; `taken` returns once it is lent.
    final class Borrower: Sendable {
        private let signal = AsyncStream.makeStream(of: Void.self)
        private let release = AsyncStream.makeStream(of: Void.self)

        func borrow(from pool: PostgresPool) async throws {
            defer { signal.continuation.finish() }
            try await pool.withConnection { [signal, release] connection in
                signal.continuation.yield()
                for await _ in release.stream { break }
            }
        }
        func taken() async { for await _ in signal.stream { break } }
        func giveBack() { release.continuation.finish() }
    }

    final class Flag: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { value.load(ordering: .sequentiallyConsistent) }
        func set() { value.store(true, ordering: .sequentiallyConsistent) }
    }

    @Test("A thousand callers share four connections and all are served")
    func manyCallers() async throws {
        try await Self.withPool { pool in
            let backends = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<1000 {
                    group.addTask {
                        try await pool.withConnection(deadline: .seconds(60)) { connection in
                            let (echo, backend) = try connection.query("SELECT \(number), pg_backend_pid()").rows[0].decode(
                                as: (Int, Int).self)
                            return echo == number ? backend : -1
                        }
                    }
                }
                return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
            }
            #expect((1...4).contains(backends.count))
            #expect(!backends.contains(-1))
        }
    }

    @Test("A caller that is cancelled while it waits leaves at once, and the next one is served")
    func cancelledWaiter() async throws {
        try await Self.withPool(size: 1) { pool in
            let borrower = Borrower()
            async let lent: Void = borrower.borrow(from: pool)
            await borrower.taken()
            let waiter = Task { try await pool.withConnection(deadline: .seconds(60)) { _ in } }
            waiter.cancel()
            let error = await failure { try await waiter.value }
            #expect(error?.kind == .cancelled)
            async let next = pool.withConnection(deadline: .seconds(60)) { try $0.query("SELECT 1").rows[0].decode(as: Int.self) }
            borrower.giveBack()
            try await lent
            #expect(try await next == 1)
        }
    }

    @Test("A caller whose deadline passes is told that the pool is exhausted")
    func deadline() async throws {
        try await Self.withPool(size: 1) { pool in
            let borrower = Borrower()
            async let lent: Void = borrower.borrow(from: pool)
            await borrower.taken()
            let error = await failure { try await pool.withConnection(deadline: .milliseconds(20)) { _ in } }
            #expect(error?.kind == .poolExhausted)
            borrower.giveBack()
            try await lent
            try await pool.withConnection { _ in }
        }
    }

    @Test("A connection left inside a transaction is not lent again")
    func leftInTransaction() async throws {
        try await Self.withPool(size: 1) { pool in
            let first = try await pool.withConnection { connection in
                try connection.script("CREATE TABLE t (a int8)")
                try connection.script("BEGIN; INSERT INTO t VALUES (1)")
                return try connection.query("SELECT pg_backend_pid()").rows[0].decode(as: Int.self)
            }
            let (second, rows) = try await pool.withConnection { connection in
                try connection.query("SELECT pg_backend_pid(), (SELECT count(*) FROM pg_class WHERE relname = 't')").rows[0]
                    .decode(as: (Int, Int).self)
            }
            #expect(second != first)
            #expect(rows == 1)
            let (third, left) = try await pool.withConnection { connection in
                try connection.query("SELECT pg_backend_pid(), (SELECT count(*) FROM t)").rows[0].decode(as: (Int, Int).self)
            }
            #expect(third == second)
            #expect(left == 0)
        }
    }

    @Test("An error of the body is thrown as it is and costs no connection")
    func bodyError() async throws {
        struct Mine: Error {}
        try await Self.withPool(size: 1) { pool in
            for _ in 0..<10 {
                await #expect(throws: Mine.self) { try await pool.withConnection { _ in throw Mine() } }
                let error = await failure { try await pool.withConnection { _ = try $0.query("SELECT 1/0") } }
                #expect(error?.sqlState == "22012")
            }
        }
    }

    @Test("Idle connections that the server has ended are replaced before anybody notices")
    func replaced() async throws {
        try await withDatabase { configuration in
            let pool = PostgresPool(configuration, size: 3, logger: testLogger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 { group.addTask { try await pool.withConnection { _ = try $0.query("SELECT pg_sleep(0.05)") } } }
                try await group.waitForAll()
            }
            let killer = try await PostgresConnection.connect(configuration, logger: testLogger)
            try await killer.query(
                """
                SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                """
            )
            for _ in 0..<5 {
                let one = try await pool.withConnection { try $0.query("SELECT 1").rows[0].decode(as: Int.self) }
                #expect(one == 1)
            }
            await killer.close()
            await pool.shutdown()
        }
    }

    @Test("A server that is away is said at once, to those who wait too")
    func serverAway() async throws {
        let nowhere = PostgresConfiguration(host: .init("127.0.0.1", port: 1), user: "u", database: "d")
        try await withTestLog {
            let pool = PostgresPool(nowhere, size: 2, logger: testLogger)
            let start = ContinuousClock.now
            let kinds = await withTaskGroup(of: PostgresError.Kind?.self) { group in
                for _ in 0..<100 {
                    group.addTask { await failure { try await pool.withConnection(deadline: .seconds(60)) { _ in } }?.kind }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(kinds == Array(repeating: .connection, count: 100))
            #expect(ContinuousClock.now - start < .seconds(30))
            await pool.shutdown()
        }
    }

    @Test("Shutdown refuses newcomers and waits for what is lent")
    func shutdown() async throws {
        try await Self.withPool(size: 1) { pool in
            let borrower = Borrower()
            let isReleased = Flag()
            async let lent: Void = borrower.borrow(from: pool)
            await borrower.taken()
            let waiter = Task { await failure { try await pool.withConnection(deadline: .seconds(60)) { _ in } } }
            async let wasReleasedBefore = {
                await pool.shutdown()
                return isReleased.isSet
            }()
            #expect(await waiter.value?.kind == .connection)
            isReleased.set()
            borrower.giveBack()
            try await lent
            #expect(await wasReleasedBefore)
            let error = await failure { try await pool.withConnection { _ in } }
            #expect(error?.reason == "the pool is shut down")
        }
    }

    @Test("As a service it runs until graceful shutdown")
    func service() async throws {
        try await withDatabase { configuration in
            let pool = PostgresPool(configuration, size: 1, logger: testLogger)
            let group = ServiceGroup(configuration: .init(services: [pool], logger: testLogger))
            async let running: Void = group.run()
            let one = try await pool.withConnection { try $0.query("SELECT 1").rows[0].decode(as: Int.self) }
            #expect(one == 1)
            await group.triggerGracefulShutdown()
            try await running
            let error = await failure { try await pool.withConnection { _ in } }
            #expect(error?.kind == .connection)
        }
    }
}
