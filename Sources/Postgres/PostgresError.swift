/// One error type for everything that can go wrong between Bursar and Postgres, classified once so that callers decide by
/// kind and constraint name, never by reading messages (design §3: outcomes are values, faults are thrown).

/// A fault of Postgres, of the way there, or of how it was used. Its texts never contain bind values (law of the house: no
/// SQL parameters in errors); `description` is safe to log and to show to an operator.
public struct PostgresError: Error, Hashable {
    /// What kind of fault this is, and so what a caller may do about it.
    public enum Kind: String, Sendable {
        /// The server refused a statement; see `sqlState` and `constraint`.
        case server
        /// No connection could be had, or it was lost. Nothing that ran inside a transaction was committed. A single statement
        /// outside of one may have been: do writes in `flight` or `transaction`.
        case connection
        /// The connection was lost after COMMIT had been sent: it may or may not have happened. Resolve it by ids, never guess.
        case outcomeUnknown
        /// A statement, a lock wait or an exchange took longer than allowed. Nothing was committed, except perhaps, when it was
        /// we who gave up (`sqlState` is nil), a single statement outside of a transaction.
        case timeout
        /// No connection became free within the deadline, or too many callers were waiting already.
        case poolExhausted
        /// The calling task was cancelled while it waited for a connection.
        case cancelled
        /// A value that came back is not of the type asked for.
        case decoding
        /// A query cannot be expressed in the protocol.
        case encoding
        /// The API was used against its rules: a bug in Bursar.
        case misuse
    }

    /// What kind of fault this is.
    public let kind: Kind
    /// The five-character SQLSTATE (PostgreSQL appendix A), when the server gave one.
    public let sqlState: String?
    /// The violated constraint's name, when the server named one.
    public let constraint: String?
    /// The table concerned, when the server named one.
    public let table: String?
    /// What happened in words of ours or of libpq about the connection; never bind values.
    public let reason: String
    /// The server's message and detail where they cannot quote values.
    let serverText: String?
    /// The SQL that failed: literals only, values are binds.
    var statement: String?

    init(
        _ kind: Kind, _ reason: String, sqlState: String? = nil, constraint: String? = nil, table: String? = nil,
        serverText: String? = nil
    ) {
        self.kind = kind
        self.reason = reason
        self.sqlState = sqlState
        self.constraint = constraint
        self.table = table
        self.serverText = serverText
    }

    /// The same transaction may succeed when it is run again from its start: 40001 (serialization) and 40P01 (deadlock).
    public var isRetryable: Bool { sqlState == "40001" || sqlState == "40P01" }

    /// Whether the fault is one of the moment: Postgres is away, full, stopping, too slow, or in conflict with itself (SQLSTATE classes
    /// 08, 53, 57 and 58). The same may succeed later. Anything else fails as often as it is tried.
    public var isTransient: Bool {
        switch kind {
        case .connection, .outcomeUnknown, .timeout, .poolExhausted, .cancelled: true
        case .server: isRetryable || ["08", "53", "57", "58"].contains(sqlState?.prefix(2))
        case .decoding, .encoding, .misuse: false
        }
    }

    /// A fault to be thrown by a `PostgresDecodable` whose bytes make no sense; the row adds the column's name.
    public static func decoding(_ reason: String) -> PostgresError { PostgresError(.decoding, reason) }

    @usableFromInline func naming(column: String, type: PostgresType) -> PostgresError {
        PostgresError(kind, "column \(column), expected \(type.name): \(reason)")
    }

    func about(_ statement: String) -> PostgresError {
        var error = self
        error.statement = statement
        return error
    }
}

extension PostgresError: CustomStringConvertible, CustomDebugStringConvertible {
    /// Kind, SQLSTATE, table, constraint and reason; safe for logs.
    public var description: String {
        var text = "postgres \(kind.rawValue)"
        if let sqlState { text += " \(sqlState)" }
        if let table { text += " table=\(table)" }
        if let constraint { text += " constraint=\(constraint)" }
        return text + ": \(reason)"
    }

    /// `description`, the server's own words where they cannot quote values, and the SQL without its binds.
    public var debugDescription: String {
        var text = description
        if let serverText { text += " (\(serverText))" }
        if let statement { text += " in: \(statement)" }
        return text
    }
}

extension PostgresError {
    /// Classifies what the server said. Its message goes to `serverText` unless it may quote values: data exceptions (class 22)
    /// quote the offending input, and the DETAIL of integrity violations (class 23) quotes the row.
    static func server(
        sqlState: String, message: String, detail: String?, table: String?, constraint: String?
    ) -> PostgresError {
        let sqlClass = sqlState.prefix(2)
        let (kind, reason): (Kind, String) =
            switch sqlState {
            case "57014": (.timeout, "the statement took too long and was cancelled")
            case "55P03": (.timeout, "a lock was not available in time")
            case "57P01", "57P02", "57P03", "25P03": (.connection, "the server ended the session")
            case "53300": (.connection, "the server has no connection left")
            case "25006": (.connection, "the server is read-only")
            case _ where sqlClass == "08": (.connection, "connection exception")
            case "25P02": (.server, "the transaction had failed already")
            case "23505": (.server, "a row of that key exists already")
            case _ where sqlClass == "23": (.server, "a constraint was violated")
            case _ where sqlClass == "22": (.server, "a value was refused")
            case "42501": (.server, "permission denied")
            case "40001", "40P01": (.server, "a conflict with a concurrent transaction")
            default: (.server, "the statement failed")
            }
        var texts: [String] = []
        if sqlClass != "22" { texts.append(message) }
        if sqlClass != "22", sqlClass != "23", let detail { texts.append(detail) }
        return PostgresError(
            kind, reason, sqlState: sqlState, constraint: constraint, table: table,
            serverText: texts.isEmpty ? nil : texts.joined(separator: "; "))
    }

    /// Says the same of a fault that hit while COMMIT was on its way: nobody knows whether it happened.
    var afterCommitWasSent: PostgresError {
        PostgresError(
            .outcomeUnknown, "COMMIT was sent and not answered: \(reason)", sqlState: sqlState, constraint: constraint, table: table,
            serverText: serverText)
    }
}
