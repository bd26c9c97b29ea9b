/// One round trip in pipeline mode: everything is sent, then one Sync, then every answer is collected. Reading goes on while
/// sending is stuck, as the server stops reading when its own answers are not taken (PostgreSQL commit 22c9c8a).
import CPostgres

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What was sent and how much of it has been answered.
private struct Exchange {
    enum Step {
        case deallocate(String)
        case prepare(Statement)
        case query(Statement, isCommit: Bool, isAsked: Bool)
    }

    var steps: [Step] = []
    var results: [PostgresResult] = []
    /// The server's first error; nothing after it ran.
    var failure: PostgresError?
    var failedAtCommit = false
    /// The statement whose plan no longer fits the schema.
    var staleStatement: Statement?
    var isCommitSent = false
    var isCommitted = false

    /// What to throw when the connection was lost, or too slow, before the last answer.
    func verdict(_ loss: PostgresError) -> PostgresError {
        if let failure { return failedAtCommit ? failure.afterCommitWasSent : failure }
        return isCommitSent ? loss.afterCommitWasSent : loss
    }
}

extension Wire {
    enum Framing { case none, transaction }

    /// Sends queries and returns their results in order; the first error is thrown and the rest did not run.
    func exchange(_ queries: [Query], framing: Framing) throws(PostgresError) -> [PostgresResult] {
        for query in queries { try query.check() }
        guard isOpen else { throw PostgresError(.connection, "the connection is lost") }
        let wasIdle = isIdle
        guard wasIdle || framing == .none else { throw PostgresError(.misuse, "a flight inside a transaction") }
        if queries.isEmpty { return [] }
        var exchange = Exchange()
        try run(queries, framing, &exchange)
        if let stale = exchange.staleStatement {
            statements.forget(stale)
            // Nothing was written, so outside a transaction the same again, freshly prepared, is safe.
            if wasIdle, isIdle {
                exchange = Exchange()
                try run(queries, framing, &exchange)
            }
        }
        guard let failure = exchange.failure else { return exchange.results }
        // A server that has become read-only is no longer the one to talk to, however well it answers.
        if failure.sqlState == "25006" { isBroken = true }
        throw failure
    }

    /// One attempt. Returns with `failure` set when the server refused something and the connection is in order.
    private func run(_ queries: [Query], _ framing: Framing, _ exchange: inout Exchange) throws(PostgresError) {
        let deadline = exchangeTimeout.map { ContinuousClock.now + $0 }
        do {
            try send(queries, framing, &exchange)
            try collect(&exchange, until: deadline)
        } catch {
            isBroken = true
            if exchange.isCommitted { return }
            throw exchange.verdict(error)
        }
        guard exchange.failure != nil, framing == .transaction, !isIdle else { return }
        var undo = Exchange()
        try? run([.rollback], .none, &undo)
        if !isIdle { isBroken = true }
    }

    private func send(_ queries: [Query], _ framing: Framing, _ exchange: inout Exchange) throws(PostgresError) {
        if unsafe PQpipelineStatus(handle) == PQ_PIPELINE_OFF { try sent(unsafe PQenterPipelineMode(handle)) }
        exchange.steps.reserveCapacity(queries.count + 2)
        exchange.results.reserveCapacity(queries.count)
        if isIdle {
            for name in statements.leftovers {
                try sent(unsafe PQsendQueryParams(handle, "DEALLOCATE \(name)", 0, nil, nil, nil, nil, 1))
                exchange.steps.append(.deallocate(name))
            }
        }
        if framing == .transaction { try send(.begin, isAsked: false, &exchange) }
        for query in queries { try send(query, isAsked: true, &exchange) }
        if framing == .transaction { try send(.commit, isAsked: false, &exchange) }
        try sent(unsafe PQpipelineSync(handle))
    }

    private func send(_ query: Query, isAsked: Bool, _ exchange: inout Exchange) throws(PostgresError) {
        let (statement, isNew) = statements.statement(for: query)
        if isNew {
            let sql = alteringSQL?(query.sql) ?? query.sql
            try sent(unsafe PQsendPrepare(handle, statement.name, sql, Int32(query.types.count), query.types))
            exchange.steps.append(.prepare(statement))
        }
        let isCommit = query.isCommit
        if isCommit { exchange.isCommitSent = true }
        try sent(
            unsafe query.withPointers { count, values, lengths, formats in
                unsafe PQsendQueryPrepared(handle, statement.name, count, values, lengths, formats, 1)
            })
        exchange.steps.append(.query(statement, isCommit: isCommit, isAsked: isAsked))
    }

    private func sent(_ outcome: Int32) throws(PostgresError) {
        guard outcome == 1 else { throw PostgresError(.connection, "the connection was lost while sending") }
    }

    /// Takes every answer up to the one for the Sync. Throws only when the connection is lost, too slow, or out of step.
    private func collect(_ exchange: inout Exchange, until deadline: ContinuousClock.Instant?) throws(PostgresError) {
        for step in exchange.steps {
            var isAnswered = false
            while let result = unsafe try nextResult(until: deadline) {
                defer { unsafe PQclear(result) }
                isAnswered = true
                switch unsafe PQresultStatus(result) {
                case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: unsafe accept(result, step, &exchange)
                case PGRES_PIPELINE_ABORTED: abandon(step)
                case PGRES_FATAL_ERROR: try unsafe refuse(result, step, &exchange)
                default: throw PostgresError(.misuse, "COPY cannot be used here")
                }
            }
            guard isAnswered else { throw PostgresError(.connection, "the connection was lost") }
        }
        // An error at the Sync itself is that of the implicit transaction's commit; the Sync's own answer follows it.
        var silences = 0
        while silences < 3 {
            guard let result = unsafe try nextResult(until: deadline) else {
                silences += 1
                continue
            }
            defer { unsafe PQclear(result) }
            if unsafe PQresultStatus(result) == PGRES_PIPELINE_SYNC { return }
            let failure = unsafe PostgresError(result: result)
            guard failure.sqlState != nil, exchange.failure == nil else { break }
            exchange.failure = failure
        }
        throw PostgresError(.connection, "the connection was lost")
    }

    private func accept(_ result: OpaquePointer, _ step: Exchange.Step, _ exchange: inout Exchange) {
        switch step {
        case .deallocate(let name): statements.deallocated(name)
        case .prepare(let statement): statements.confirm(statement)
        case .query(let statement, let isCommit, let isAsked):
            if isCommit {
                // COMMIT of a failed transaction is answered with success and the tag ROLLBACK.
                if unsafe strcmp(PQcmdStatus(result), "COMMIT") == 0 {
                    exchange.isCommitted = true
                } else {
                    exchange.failure = .commitRefused
                }
            }
            if isAsked { exchange.results.append(unsafe PostgresResult(result: result, statement: statement)) }
        }
    }

    private func abandon(_ step: Exchange.Step) {
        if case .prepare(let statement) = step { statements.forget(statement) }
    }

    private func refuse(_ result: OpaquePointer, _ step: Exchange.Step, _ exchange: inout Exchange) throws(PostgresError) {
        abandon(step)
        let failure = unsafe PostgresError(result: result)
        guard failure.sqlState != nil else { throw failure }
        guard exchange.failure == nil else { return }
        guard case .query(let statement, let isCommit, _) = step else {
            if case .prepare(let statement) = step { exchange.failure = failure.about(statement.sql) } else { exchange.failure = failure }
            return
        }
        exchange.failure = failure.about(statement.sql)
        exchange.failedAtCommit = isCommit
        if unsafe failure.isStalePlan(result) { exchange.staleStatement = statement }
    }

    /// The next result, nil at the end of one statement's. Flushes and reads as the socket allows.
    func nextResult(until deadline: ContinuousClock.Instant?) throws(PostgresError) -> OpaquePointer? {
        while unsafe PQisBusy(handle) != 0 {
            let isStuck = unsafe PQflush(handle) == 1
            let ready = try Wire.wait(
                socket: unsafe PQsocket(handle), events: Int32(POLLIN) | (isStuck ? Int32(POLLOUT) : 0), until: deadline)
            // When the server has hung up, PQgetResult gives its last words or an error, and does not block.
            if ready & ~Int32(POLLOUT) != 0, unsafe PQconsumeInput(handle) == 0 { break }
        }
        return unsafe PQgetResult(handle)
    }
}

extension Query {
    /// Calls libpq with pointers to the binds; they are valid only inside `body`.
    fileprivate func withPointers(
        _ body: (Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> Int32
    ) -> Int32 {
        guard !types.isEmpty else { return body(0, nil, nil, nil) }
        return unsafe bytes.withUnsafeBytes { raw in
            unsafe withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: types.count) { values in
                unsafe withUnsafeTemporaryAllocation(of: Int32.self, capacity: types.count * 2) { numbers in
                    // A null pointer means NULL, so an empty value needs some other address, which is not read.
                    let base = unsafe raw.baseAddress ?? UnsafeRawPointer(numbers.baseAddress!)
                    var start = 0
                    for (index, end) in ends.enumerated() {
                        let length = end < 0 ? 0 : end - start
                        unsafe values.initializeElement(
                            at: index, to: end < 0 ? nil : (base + start).assumingMemoryBound(to: CChar.self))
                        unsafe numbers.initializeElement(at: index, to: Int32(length))
                        unsafe numbers.initializeElement(at: types.count + index, to: 1)
                        start += length
                    }
                    return unsafe body(
                        Int32(types.count), values.baseAddress, numbers.baseAddress, numbers.baseAddress! + types.count)
                }
            }
        }
    }
}
