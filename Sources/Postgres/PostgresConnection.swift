/// A session with Postgres. The actor's executor is its own OS thread, so its methods are plain synchronous calls for whoever
/// runs on it: a lane's loop sends a flight without leaving its thread.
public import Logging

/// One connection. Methods block its own thread and nothing else; use one from one task at a time (a pool lends it so).
///
/// When an exchange fails half-way (lost, too late) the connection closes itself, and `isUsable` says so.
public actor PostgresConnection {
    let thread: ConnectionThread
    let logger: Logger
    /// libpq's handle; nil once closed. Not Sendable: the compiler keeps it on this actor's thread.
    var wire: Wire?
    /// Runs as the first statement of every transaction here, in the same round trip; its result is not shown. A pool takes it back with
    /// the connection.
    public var preamble: Query? { didSet { if preamble != oldValue { isPreambleStanding = false } } }
    /// Whether what the preamble says holds beyond its transaction: then it runs once, and again after each failure, which may have undone it.
    public var isPreambleLasting = false
    /// A transaction has begun, and nothing was asked in it yet.
    private var isPreambleDue = false
    /// A lasting preamble ran, and nothing failed since.
    private var isPreambleStanding = false

    nonisolated public var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

    private init(logger: Logger) {
        thread = ConnectionThread(name: "postgres")
        self.logger = logger
    }

    deinit { thread.stop() }

    /// Connects to the first host that accepts writes. Throws `.connection` when none does, with the last host's reason.
    public static func connect(_ configuration: PostgresConfiguration, logger: Logger) async throws(PostgresError) -> PostgresConnection {
        let connection = PostgresConnection(logger: logger)
        try await connection.open(configuration)
        return connection
    }

    private func open(_ configuration: PostgresConfiguration) throws(PostgresError) {
        wire = try Wire.connect(configuration, logger: logger)
    }

    /// Runs one statement, prepared once per SQL text, binary both ways.
    ///
    /// Throws `.server` and `.timeout` for what the server refuses, `.connection` when the connection is lost,
    /// `.outcomeUnknown` when the statement was COMMIT, `.encoding` for more than 65,535 binds.
    @discardableResult public func query(_ query: Query) throws(PostgresError) -> PostgresResult {
        try exchange([query], framing: .none)[0]
    }

    /// Runs statements in one round trip, without BEGIN and COMMIT of its own: inside an open transaction they join it, outside
    /// they are one implicit transaction. Results come in the queries' order; the first error is thrown and the rest did not run.
    /// After an error inside an open transaction that is left failed, and ROLLBACK is the caller's to send.
    @discardableResult public func pipeline(_ queries: [Query]) throws(PostgresError) -> [PostgresResult] {
        try exchange(queries, framing: .none)
    }

    /// Commits statements as one transaction in one round trip: BEGIN, the queries, COMMIT. All or nothing.
    ///
    /// Returns only when COMMIT was answered `COMMIT`. Throws what the first failing statement threw, with everything rolled
    /// back and the connection usable; `.outcomeUnknown` when the connection was lost before COMMIT was answered; `.misuse`
    /// inside a transaction.
    @discardableResult public func flight(_ queries: [Query]) throws(PostgresError) -> [PostgresResult] {
        try exchange(queries, framing: .transaction)
    }

    /// Runs `body` between BEGIN and COMMIT. An error of `body` rolls back and is thrown as it is.
    ///
    /// Throws `.server` when COMMIT is answered `ROLLBACK` (a failure inside was swallowed), `.outcomeUnknown` when
    /// the connection is lost while COMMIT is on its way, `.misuse` inside a transaction.
    public func transaction<T>(_ body: (isolated PostgresConnection) throws -> T) throws -> T {
        try begin()
        let value: T
        do { value = try body(self) } catch { throw rolledBack(error) }
        try commit()
        return value
    }

    /// The same for a body that leaves this connection's thread in between. The connection is its alone meanwhile.
    public func heldTransaction<T: Sendable>(_ body: (isolated PostgresConnection) async throws -> T) async throws -> T {
        try begin()
        let value: T
        do { value = try await body(self) } catch { throw rolledBack(error) }
        try commit()
        return value
    }

    private func begin() throws(PostgresError) {
        guard try open().isIdle else { throw PostgresError(.misuse, "a transaction inside a transaction") }
        try query(.begin)
    }

    private func rolledBack(_ error: any Error) -> any Error {
        // A failing ROLLBACK must not hide the error; then the connection is not idle and will not be used again.
        _ = try? query(.rollback)
        if wire?.isIdle != true { close() }
        return error
    }

    private func commit() throws(PostgresError) {
        do {
            try query(.commit)
        } catch {
            // A COMMIT that could not even be sent leaves the transaction open.
            if wire?.isIdle != true { close() }
            throw error
        }
    }

    /// Runs SQL of many statements as it is, without binds or results: for migrations. Outside a transaction it is one implicit
    /// transaction, and one that it opened and did not finish because of an error is rolled back.
    public func script(_ sql: String) throws(PostgresError) {
        do {
            try open().script(sql)
        } catch {
            dropIfLost()
            throw error
        }
    }

    /// Closes the connection. Everything afterwards throws `.connection`. Harmless when closed already.
    public func close() { wire = nil }

    /// Whether the connection is open as far as is known without asking the server.
    public var isUsable: Bool { wire?.isOpen ?? false }

    private func open() throws(PostgresError) -> Wire {
        guard let wire else { throw PostgresError(.connection, "the connection is closed") }
        return wire
    }

    private func exchange(_ queries: [Query], framing: Wire.Framing) throws(PostgresError) -> [PostgresResult] {
        do {
            let wire = try open()
            guard let preamble, !isPreambleStanding, wire.isIdle || isPreambleDue else {
                return try wire.exchange(queries, framing: framing)
            }
            // Behind what may stand before the first query only.
            let place = queries.firstIndex { !$0.comesFirst }
            isPreambleDue = place == nil && !queries.isEmpty
            guard let place else { return try wire.exchange(queries, framing: framing) }
            var all = queries
            all.insert(preamble, at: place)
            var results = try wire.exchange(all, framing: framing)
            results.remove(at: place)
            isPreambleStanding = isPreambleLasting
            return results
        } catch {
            isPreambleStanding = false
            dropIfLost()
            throw error
        }
    }

    private func dropIfLost() {
        if wire?.isOpen == false { close() }
    }
}
