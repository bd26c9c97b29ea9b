/// libpq's handle and everything that is true of it: owned by one actor, never shared, closed when let go.
import CPostgres
import Logging

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// An open connection in non-blocking mode. Not Sendable on purpose.
@safe final class Wire {
    let handle: OpaquePointer
    let exchangeTimeout: Duration?
    let alteringSQL: (@Sendable (String) -> String)?
    var statements = Statements()
    /// Set when the exchange can no longer be followed; nothing may be sent then.
    var isBroken = false
    private let notices: NoticeLog

    init(handle: OpaquePointer, _ configuration: PostgresConfiguration, logger: Logger) {
        unsafe self.handle = handle
        exchangeTimeout = configuration.exchangeTimeout
        alteringSQL = configuration.alteringSQL
        notices = NoticeLog(logger: logger)
        // libpq keeps the pointer without owning it; `notices` lives as long as the handle.
        unsafe PQsetNoticeReceiver(
            handle,
            { context, result in
                guard let context = unsafe context, let result = unsafe result else { return }
                unsafe Unmanaged<NoticeLog>.fromOpaque(context).takeUnretainedValue().write(result)
            }, Unmanaged.passUnretained(notices).toOpaque())
    }

    deinit { unsafe PQfinish(handle) }

    var isOpen: Bool { unsafe !isBroken && PQstatus(handle) == CONNECTION_OK }

    /// Open, and between transactions: only so may a pool lend it again.
    var isIdle: Bool { unsafe isOpen && PQtransactionStatus(handle) == PQTRANS_IDLE }

    /// Whether the server has hung up in the meantime, found without a round trip: an idle session has nothing to say, except
    /// notices and its last words.
    func isStale() -> Bool {
        var descriptor = pollfd(fd: unsafe PQsocket(handle), events: Int16(POLLIN), revents: 0)
        while unsafe poll(&descriptor, 1, 0) > 0 {
            guard unsafe PQconsumeInput(handle) == 1, unsafe PQisBusy(handle) == 0, isOpen else { return true }
        }
        return false
    }

    /// Sleeps until the socket is ready. Throws `.timeout`, having given the connection up, when the deadline passes first.
    func wait(events: Int32, until deadline: ContinuousClock.Instant?) throws(PostgresError) {
        do {
            _ = try Wire.wait(socket: unsafe PQsocket(handle), events: events, until: deadline)
        } catch {
            isBroken = true
            throw error
        }
    }

    /// Sleeps until a socket is ready and returns what it is ready for. Throws `.timeout` at the deadline.
    static func wait(socket: Int32, events: Int32, until deadline: ContinuousClock.Instant?) throws(PostgresError) -> Int32 {
        var descriptor = pollfd(fd: socket, events: Int16(events), revents: 0)
        while true {
            var milliseconds: Int32 = -1
            if let deadline {
                let (seconds, attoseconds) = ContinuousClock.now.duration(to: deadline).components
                guard seconds >= 0, attoseconds >= 0 else { throw PostgresError(.timeout, "the server did not answer in time") }
                milliseconds = Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
            }
            let ready = unsafe poll(&descriptor, 1, milliseconds)
            if ready > 0 { return Int32(descriptor.revents) }
            guard ready == 0 || errno == EINTR else { throw PostgresError(.connection, "the connection's socket is gone") }
        }
    }
}

/// Writes what the server says on the side to the log, by severity.
private final class NoticeLog {
    let logger: Logger

    init(logger: Logger) { self.logger = logger }

    func write(_ result: OpaquePointer) {
        let severity = unsafe PQresultErrorField(result, Int32(BURSAR_DIAG_SEVERITY)).map { unsafe String(cString: $0) } ?? "NOTICE"
        let message = unsafe PQresultErrorField(result, Int32(BURSAR_DIAG_MESSAGE)).map { unsafe String(cString: $0) } ?? ""
        let state = unsafe PQresultErrorField(result, Int32(BURSAR_DIAG_SQLSTATE)).map { unsafe String(cString: $0) } ?? ""
        logger.log(
            level: severity == "WARNING" ? .warning : .debug, "postgres notice",
            metadata: ["message": "\(message)", "sql_state": "\(state)"])
    }
}
