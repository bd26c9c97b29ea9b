/// What a running server is told from outside. The command line reads it from flags, environment and file; tests make their own.
public import Logging
public import Outbound
public import Postgres

/// Bursar's version, in `--help` and in metrics.
public let bursarVersion = "0.1.0"

/// Everything `runServer` needs to know, with the defaults of `bursar serve`.
public struct ServerSettings: Sendable {
    /// The address to listen on.
    public var host = "127.0.0.1"
    /// The port to listen on; 0 for any free one.
    public var port = 8080
    /// Where Postgres is, migrated already.
    public var database: PostgresConfiguration
    /// Connections for everything but the lanes, which have one each. Waiting for one is bounded (law 11).
    public var poolSize = 8
    /// Lanes of the engine: organizations are spread over them, each commits one batch at a time (design §5).
    public var laneCount = 4
    /// Of 32 bytes each: the first seals the secrets of endpoints, all of them open (design §10).
    public var secretKeys: [[UInt8]]
    /// CIDR blocks where endpoints may be private or plain http (design §10).
    public var allowTargets: [String] = []
    /// CIDR blocks of proxies that are believed whom they speak for (`X-Forwarded-For`).
    public var trustProxies: [String] = []
    /// API keys that are none, tried from one address, before it has to wait. Many callers may stand behind one.
    public var badKeysPerMinute = 100
    /// How people reach this server, for links in alerts; nil: no links.
    public var publicURL: String?
    /// The server that takes e-mail to endpoints; nil: no e-mail.
    public var mail: MailServer?
    /// The least severe log that is written.
    public var logLevel = Logger.Level.info
    /// Whether the way of each request is logged as spans.
    public var traces = false
    /// Whether `POST /bench` is served: what a JSON route costs that does nothing, for `bursar bench` to compare with.
    public var hasBareRoute = false
    /// How often expired reservations are looked for.
    public var sweepInterval = Duration.seconds(1)

    /// The least that must be said.
    public init(database: PostgresConfiguration, secretKey: [UInt8]) {
        self.database = database
        secretKeys = [secretKey]
    }
}
