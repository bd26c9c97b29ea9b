/// Where Postgres is and how sessions there behave. Everything that libpq would otherwise pick up from its surroundings is
/// said explicitly, so that two replicas with the same configuration have the same sessions.
import CPostgres

/// How to connect and what each session is set to. A value: change a copy for another role, such as a lane's connection.
public struct PostgresConfiguration: Sendable {
    /// One server.
    public struct Host: Hashable, Sendable {
        /// A name, an address, or the directory of a Unix socket (beginning with `/`).
        public var name: String
        /// The port; part of the socket's name for Unix sockets.
        public var port: Int

        public init(_ name: String, port: Int = 5432) {
            self.name = name
            self.port = port
        }
    }

    /// How the server plans prepared statements (`plan_cache_mode`).
    public enum PlanCacheMode: String, Sendable {
        case automatic = "auto"
        /// Plans do not depend on statistics of the moment: for lanes, whose statements outlive an empty table (design §5).
        case generic = "force_generic_plan"
        case custom = "force_custom_plan"
    }

    /// The servers, tried in order; the first that accepts writes is taken.
    public var hosts: [Host]
    /// The role to log in as.
    public var user: String
    /// Its password; nil for none.
    public var password: String?
    /// The database.
    public var database: String
    /// Further libpq keywords, such as `sslmode` and `sslrootcert`. What this type has a property for wins over them.
    public var parameters: [String: String] = [:]
    /// What `pg_stat_activity` shows.
    public var applicationName = "bursar"
    /// The longest a connection attempt to one host may take. Name resolution is not bounded by it.
    public var connectTimeout: Duration = .seconds(5)
    /// The longest a statement may run; `.zero` for no bound, then no exchange has a deadline either.
    public var statementTimeout: Duration = .seconds(10)
    /// The longest a statement may wait for a lock; `.zero` for no bound.
    public var lockTimeout: Duration = .seconds(5)
    /// The longest a session may sit inside a transaction doing nothing, which would hold its locks; `.zero` for no bound.
    public var idleInTransactionTimeout: Duration = .seconds(15)
    /// How much longer than `statementTimeout` an answer may take on its way; then the connection is given up.
    public var answerGrace: Duration = .seconds(5)
    /// How prepared statements are planned; nil for the server's default.
    public var planCacheMode: PlanCacheMode?
    /// Further session settings by name, such as `synchronous_commit`.
    public var settings: [String: String] = [:]
    /// What becomes of each statement's SQL before it is prepared; nil: nothing. For tests that take something out of all of them.
    public var alteringSQL: (@Sendable (String) -> String)?

    public init(host: Host, user: String, password: String? = nil, database: String) {
        hosts = [host]
        self.user = user
        self.password = password
        self.database = database
    }

    /// Reads a `postgresql://` URL or a libpq keyword string, several hosts included. Throws `.misuse` when libpq cannot parse
    /// it or a port is no number; the error does not quote the text, which may hold a password.
    public init(url: String) throws(PostgresError) {
        guard var pairs = parseConnectionString(url) else { throw PostgresError(.misuse, "the database URL cannot be read") }
        let names = (pairs.removeValue(forKey: "host") ?? "localhost").split(separator: ",").map(String.init)
        // An empty port, as in `h1,h2:6000`, is the usual one.
        let ports = (pairs.removeValue(forKey: "port") ?? "5432").split(separator: ",", omittingEmptySubsequences: false).map {
            $0.isEmpty ? 5432 : Int($0)
        }
        guard !names.isEmpty, ports.count == 1 || ports.count == names.count, !ports.contains(nil) else {
            throw PostgresError(.misuse, "the database URL's hosts and ports do not match")
        }
        hosts = names.enumerated().map { index, name in
            Host(name, port: (ports.count == 1 ? ports[0] : ports[index]) ?? 5432)
        }
        user = pairs.removeValue(forKey: "user") ?? "postgres"
        password = pairs.removeValue(forKey: "password")
        database = pairs.removeValue(forKey: "dbname") ?? user
        if let name = pairs.removeValue(forKey: "application_name") { applicationName = name }
        if let seconds = pairs.removeValue(forKey: "connect_timeout").flatMap(Int.init), seconds > 0 {
            connectTimeout = .seconds(seconds)
        }
        parameters = pairs
    }

    /// Reads `DATABASE_URL`, or else libpq's own variables (`PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`,
    /// `PGSSLMODE`, `PGSSLROOTCERT`). Throws `.misuse` when neither says where Postgres is.
    public init(environment: [String: String]) throws(PostgresError) {
        if let url = environment["DATABASE_URL"] {
            try self.init(url: url)
            return
        }
        guard let host = environment["PGHOST"], let port = Int(environment["PGPORT"] ?? "5432") else {
            throw PostgresError(.misuse, "neither DATABASE_URL nor PGHOST says where Postgres is")
        }
        let user = environment["PGUSER"] ?? "postgres"
        self.init(
            host: Host(host, port: port), user: user, password: environment["PGPASSWORD"], database: environment["PGDATABASE"] ?? user)
        parameters["sslmode"] = environment["PGSSLMODE"]
        parameters["sslrootcert"] = environment["PGSSLROOTCERT"]
    }

    /// What one exchange with the server may take in all; nil for no bound. Longer than the server's own timeout, so that the
    /// server, which can say more, speaks first.
    var exchangeTimeout: Duration? { statementTimeout > .zero ? statementTimeout + answerGrace : nil }

    /// The keywords and values for one host.
    func keywords(for host: Host) -> [(String, String)] {
        var pairs = [
            "gssencmode": "disable", "sslmode": "prefer", "passfile": "/nonexistent", "target_session_attrs": "read-write",
            "keepalives": "1", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3",
            "tcp_user_timeout": "15000",
        ]
        pairs.merge(parameters) { _, given in given }
        pairs["host"] = host.name
        pairs["port"] = String(host.port)
        pairs["user"] = user
        pairs["password"] = password
        pairs["dbname"] = database
        pairs["client_encoding"] = "UTF8"
        pairs["application_name"] = applicationName
        pairs["connect_timeout"] = String(max(2, connectTimeout.components.seconds))
        pairs["options"] = ([parameters["options"]].compactMap(\.self) + [sessionOptions]).joined(separator: " ")
        return pairs.map { ($0.key, $0.value) }
    }

    /// The session settings as command-line options, where a blank and a backslash need a backslash (manual §34.1.2).
    private var sessionOptions: String {
        var all = [
            "TimeZone": "UTC", "IntervalStyle": "iso_8601", "DateStyle": "ISO",
            "statement_timeout": statementTimeout.wholeMilliseconds, "lock_timeout": lockTimeout.wholeMilliseconds,
            "idle_in_transaction_session_timeout": idleInTransactionTimeout.wholeMilliseconds,
        ]
        all["plan_cache_mode"] = planCacheMode?.rawValue
        all.merge(settings) { _, given in given }
        return all.sorted { $0.key < $1.key }.map { name, value in
            "-c \(name)=" + value.map { $0 == " " || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
        }.joined(separator: " ")
    }
}

extension PostgresConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// User, hosts and database; never the password.
    public var description: String {
        "\(user)@\(hosts.map { "\($0.name):\($0.port)" }.joined(separator: ","))/\(database)"
    }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["server": description]) }
}

extension Duration {
    /// Whole milliseconds, rounded up so that something small does not become "no bound", which 0 means to Postgres.
    fileprivate var wholeMilliseconds: String {
        let (seconds, attoseconds) = components
        return String(seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}

/// libpq's own reading of a URL or keyword string; nil when it has none.
private func parseConnectionString(_ text: String) -> [String: String]? {
    guard let options = unsafe PQconninfoParse(text, nil) else { return nil }
    defer { unsafe PQconninfoFree(options) }
    var pairs: [String: String] = [:]
    var option = unsafe options
    while let keyword = unsafe option.pointee.keyword {
        if let value = unsafe option.pointee.val { unsafe pairs[String(cString: keyword)] = unsafe String(cString: value) }
        unsafe option += 1
    }
    return pairs
}
