/// Opening a connection without libpq ever blocking on the network: each wait has our deadline.
import CPostgres
import Logging

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

extension Wire {
    /// Connects to the first host that will have us and accepts writes. Throws `.connection` with the last host's reason.
    static func connect(_ configuration: PostgresConfiguration, logger: Logger) throws(PostgresError) -> Wire {
        var failure = PostgresError(.connection, "no host is configured")
        // Host by host, as libpq's own list would let one silent host use up the deadline of all.
        for host in configuration.hosts {
            do {
                return try connect(to: host, configuration, logger: logger)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private static func connect(
        to host: PostgresConfiguration.Host, _ configuration: PostgresConfiguration, logger: Logger
    ) throws(PostgresError) -> Wire {
        guard let handle = unsafe start(configuration.keywords(for: host)) else {
            throw PostgresError(.connection, "libpq is out of memory")
        }
        // From here the wire owns the handle: it closes it, also when connecting fails.
        let wire = unsafe Wire(handle: handle, configuration, logger: logger)
        let deadline = ContinuousClock.now + configuration.connectTimeout
        var events = POLLOUT
        while unsafe PQstatus(handle) != CONNECTION_BAD {
            do {
                // The socket may be another one after each poll: libpq goes on to the next address of the host.
                _ = try wait(socket: unsafe PQsocket(handle), events: Int32(events), until: deadline)
            } catch {
                throw PostgresError(.connection, "\(host.name):\(host.port) did not answer within \(configuration.connectTimeout)")
            }
            switch unsafe PQconnectPoll(handle) {
            case PGRES_POLLING_READING: events = POLLIN
            case PGRES_POLLING_WRITING: events = POLLOUT
            case PGRES_POLLING_OK:
                guard unsafe PQsetnonblocking(handle, 1) == 0 else { throw PostgresError(.connection, "libpq is out of memory") }
                return wire
            default: throw wire.refusal()
            }
        }
        throw wire.refusal()
    }

    /// libpq's message about a failed attempt: names the server, the role or the database, never the password.
    private func refusal() -> PostgresError {
        let text = unsafe PQerrorMessage(handle).map { unsafe String(cString: $0) } ?? "no reason given"
        return PostgresError(.connection, text.split(whereSeparator: \.isNewline).joined(separator: " "))
    }

    private static func start(_ pairs: [(String, String)]) -> OpaquePointer? {
        var keywords = unsafe pairs.map { unsafe UnsafePointer<CChar>(strdup($0.0)) }
        var values = unsafe pairs.map { unsafe UnsafePointer<CChar>(strdup($0.1)) }
        defer { _ = unsafe (keywords + values).map { unsafe free(UnsafeMutableRawPointer(mutating: $0)) } }
        unsafe keywords.append(nil)
        unsafe values.append(nil)
        return unsafe PQconnectStartParams(keywords, values, 0)
    }
}
