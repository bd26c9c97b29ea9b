/// The simple protocol: a string of statements, as migrations are. No binds, no rows.
import CPostgres

extension Wire {
    /// Runs all statements of a string; the first error ends it and is thrown.
    func script(_ sql: String) throws(PostgresError) {
        guard isOpen else { throw PostgresError(.connection, "the connection is lost") }
        guard !sql.utf8.contains(0) else { throw PostgresError(.encoding, "a script with a NUL in it") }
        let wasIdle = isIdle
        let wasFailed = unsafe PQtransactionStatus(handle) == PQTRANS_INERROR
        var failure = try simple(sql)
        // Within one string nothing runs after an error, so only a transaction that had failed before it can end in a lie.
        if failure == nil, wasFailed, isIdle, !sql.lowercased().contains("rollback"), !sql.lowercased().contains("abort") {
            failure = .commitRefused
        }
        guard let failure else { return }
        if wasIdle, !isIdle {
            _ = try? simple("ROLLBACK")
            if !isIdle { isBroken = true }
        }
        throw failure
    }

    /// Sends a string and takes every answer. Returns the server's error; throws when the connection is lost.
    private func simple(_ sql: String) throws(PostgresError) -> PostgresError? {
        let deadline = exchangeTimeout.map { ContinuousClock.now + $0 }
        var failure: PostgresError?
        do throws(PostgresError) {
            if unsafe PQpipelineStatus(handle) != PQ_PIPELINE_OFF, unsafe PQexitPipelineMode(handle) != 1 {
                throw PostgresError(.connection, "the connection is out of step")
            }
            guard unsafe PQsendQuery(handle, sql) == 1 else { throw PostgresError(.connection, "the connection was lost while sending") }
            while let result = unsafe try nextResult(until: deadline) {
                defer { unsafe PQclear(result) }
                switch unsafe PQresultStatus(result) {
                case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: break
                case PGRES_FATAL_ERROR: if failure == nil { failure = unsafe PostgresError(result: result) }
                default: throw PostgresError(.misuse, "COPY cannot be used here")
                }
            }
        } catch {
            isBroken = true
            if let failure { throw failure }
            throw error
        }
        if unsafe PQstatus(handle) != CONNECTION_OK {
            isBroken = true
            throw failure ?? PostgresError(.connection, "the connection was lost")
        }
        return failure
    }
}
