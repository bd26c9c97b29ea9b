/// The options of `serve`, and how flags, environment and file become the settings of a server.
import ArgumentParser
import Configuration
import Foundation
import Logging
import Outbound
import Postgres
import Server

struct ServeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The address to listen on. (default: 127.0.0.1)", valueName: "address"))
    var host: String?

    @Option(help: ArgumentHelp("The port to listen on, 0 for any free one. (default: 8080)", valueName: "port"))
    var port: Int?

    @Option(help: ArgumentHelp("How people reach this server, for links in alerts.", valueName: "url"))
    var publicURL: String?

    @Option(
        help: ArgumentHelp(
            "A file with 64 hexadecimal digits, as `openssl rand -hex 32` prints: the key that seals the secrets of endpoints.",
            discussion: """
                Further lines are keys that still open what they sealed (see rotate-secrets). Or set BURSAR_SECRET_KEY to the digits, \
                with commas between several. With --embedded a key is made and kept with the data.
                """,
            valueName: "file"))
    var secretKeyFile: String?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Networks where endpoints may be private or plain http, such as 127.0.0.0/8.", valueName: "cidr"))
    var allowTargets: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Networks of proxies that are believed whom they speak for: API keys may be bound to networks.", valueName: "cidr"))
    var trustProxies: [String] = []

    @Option(
        help: ArgumentHelp(
            "API keys that are none, tried from one address, before it has to wait. (default: 100)", valueName: "n"))
    var badKeysPerMinute: Int?

    @Option(
        help: ArgumentHelp(
            "The mail server that takes alerts by e-mail: smtp://host:587, with STARTTLS, or smtps://host:465.",
            discussion: "With --smtp-sender, and for a login BURSAR_SMTP_USER and BURSAR_SMTP_PASSWORD.", valueName: "url"))
    var smtpURL: String?

    @Option(help: ArgumentHelp("The address that alerts by e-mail come from.", valueName: "address"))
    var smtpSender: String?

    @Option(help: ArgumentHelp("Connections to Postgres, besides one a lane. (default: 8)", valueName: "n"))
    var poolSize: Int?

    @Option(help: ArgumentHelp("Lanes, over which organizations are spread. (default: 4)", valueName: "n"))
    var lanes: Int?

    @Option(help: ArgumentHelp("Seconds between two looks for expired reservations. (default: 1)", valueName: "seconds"))
    var sweepInterval: Int?

    @Option(
        help: ArgumentHelp(
            "The least severe log: trace, debug, info, notice, warning, error, critical. (default: info)", valueName: "level"))
    var logLevel: String?

    @Flag(help: "Log the way of each request as spans, with W3C trace context: to find out where time goes.")
    var trace = false

    /// What these options say, by setting.
    var flags: [String: ConfigValue] {
        var flags: [String: ConfigValue] = [:]
        if trace { flags["trace"] = ConfigValue(.bool(true), isSecret: false) }
        let texts = [
            "host": host, "public_url": publicURL, "secret_key_file": secretKeyFile, "log_level": logLevel, "smtp_url": smtpURL,
            "smtp_sender": smtpSender,
        ]
        for (key, value) in texts { if let value { flags[key] = ConfigValue(.string(value), isSecret: false) } }
        let numbers = [
            "port": port, "pool_size": poolSize, "lanes": lanes, "sweep_interval": sweepInterval, "bad_keys_per_minute": badKeysPerMinute,
        ]
        for (key, value) in numbers { if let value { flags[key] = ConfigValue(.int(value), isSecret: false) } }
        for (key, blocks) in ["allow_targets": allowTargets, "trust_proxies": trustProxies] where !blocks.isEmpty {
            let networks = blocks.flatMap { $0.split(separator: ",").map(String.init) }
            flags[key] = ConfigValue(.stringArray(networks), isSecret: false)
        }
        return flags
    }
}

/// The settings of a server as they were found, each with its source.
struct FoundSettings: Sendable {
    struct Line: Sendable {
        let name: String
        let value: String
        let source: String
    }

    let database: DatabaseChoice
    /// Nil for a private server, whose keys lie with its data.
    let secretKeys: [[UInt8]]?
    /// In the order in which they are shown; secrets are masked already.
    private(set) var lines: [Line] = []
    private var values = ServerSettings(database: PostgresConfiguration(host: .init(""), user: "", database: ""), secretKey: [])

    init(_ layers: ConfigurationLayers) throws {
        database = try DatabaseChoice(layers)
        let sealing = try FoundSettings.secretKey(layers, database)
        secretKeys = sealing.keys
        switch database.place {
        case .embedded(let directory):
            lines.append(Line(name: "embedded", value: "true", source: database.source))
            let source = try layers.string("data_directory")?.source ?? "default"
            lines.append(Line(name: "data_directory", value: directory, source: source))
        case .external(let configuration):
            lines.append(Line(name: "database_url", value: "\(configuration)", source: database.source))
        }
        lines.append(Line(name: "secret_key", value: sealing.shown, source: sealing.source))
        values.host = take("host", try layers.string("host"), values.host)
        values.port = try take("port", layers.int("port"), values.port, in: 0...65_535)
        values.poolSize = try take("pool_size", layers.int("pool_size"), values.poolSize, in: 1...200)
        values.laneCount = try take("lanes", layers.int("lanes"), values.laneCount, in: 1...64)
        let sweep = try take("sweep_interval", layers.int("sweep_interval"), Int(values.sweepInterval.components.seconds), in: 1...3600)
        values.sweepInterval = .seconds(sweep)
        values.badKeysPerMinute = try take(
            "bad_keys_per_minute", layers.int("bad_keys_per_minute"), values.badKeysPerMinute, in: 10...1_000_000)
        let level = take("log_level", try layers.string("log_level"), values.logLevel.rawValue)
        guard let logLevel = Logger.Level(rawValue: level) else { throw CommandError("log_level \(level) is no level") }
        values.logLevel = logLevel
        values.traces = take("trace", try layers.bool("trace"), values.traces)
        values.allowTargets = try take("allow_targets", layers.strings("allow_targets"))
        values.trustProxies = try take("trust_proxies", layers.strings("trust_proxies"))
        values.mail = try takeMail(layers)
        let url = try layers.string("public_url")
        values.publicURL = url?.value
        lines.append(Line(name: "public_url", value: url?.value ?? "", source: url?.source ?? "default"))
    }

    /// What the server is told, once its database runs.
    func settings(database: PostgresConfiguration, secretKeys: [[UInt8]]) -> ServerSettings {
        var settings = values
        settings.database = database
        settings.secretKeys = secretKeys
        return settings
    }

    var logLevel: Logger.Level { values.logLevel }

    /// A table for people: name, value, source.
    var table: String {
        let rows = [Line(name: "SETTING", value: "VALUE", source: "SOURCE")] + lines
        let (names, shown) = (rows.map(\.name.count).max() ?? 0, rows.map(\.value.count).max() ?? 0)
        return rows.map { line in
            line.name.padding(toLength: names + 2, withPad: " ", startingAt: 0)
                + line.value.padding(toLength: shown + 2, withPad: " ", startingAt: 0) + line.source
        }.joined(separator: "\n")
    }

    private mutating func take<Value>(_ name: String, _ found: ConfigurationLayers.Found<Value>?, _ fallback: Value) -> Value {
        let value = found?.value ?? fallback
        lines.append(Line(name: name, value: "\(value)", source: found?.source ?? "default"))
        return value
    }

    private mutating func take(_ name: String, _ found: ConfigurationLayers.Found<[String]>?) -> [String] {
        let networks = found?.value ?? []
        lines.append(Line(name: name, value: networks.joined(separator: ","), source: found?.source ?? "default"))
        return networks
    }

    private mutating func take(
        _ name: String, _ found: ConfigurationLayers.Found<Int>?, _ fallback: Int, in range: ClosedRange<Int>
    ) throws -> Int {
        let value = take(name, found, fallback)
        guard range.contains(value) else {
            throw CommandError("\(name) must be \(range.lowerBound) to \(range.upperBound), and \(found?.source ?? "") says \(value)")
        }
        return value
    }

    private mutating func takeMail(_ layers: ConfigurationLayers) throws -> MailServer? {
        let (url, sender) = (try layers.string("smtp_url"), try layers.string("smtp_sender"))
        lines.append(Line(name: "smtp_url", value: url?.value ?? "", source: url?.source ?? "default"))
        guard let url else { return nil }
        guard url.value.hasPrefix("smtp://") || url.value.hasPrefix("smtps://"), !url.value.contains("@") else {
            throw CommandError("smtp_url must be smtp://host:587 or smtps://host:465; a login goes into smtp_user and smtp_password")
        }
        guard let sender, OutboundMail.isAddress(sender.value) else {
            throw CommandError("with smtp_url say who mail comes from: smtp_sender, an address")
        }
        lines.append(Line(name: "smtp_sender", value: sender.value, source: sender.source))
        return MailServer(
            url: url.value, user: try layers.string("smtp_user")?.value, password: try layers.string("smtp_password")?.value,
            sender: sender.value)
    }

    private static func secretKey(
        _ layers: ConfigurationLayers, _ database: DatabaseChoice
    ) throws -> (keys: [[UInt8]]?, shown: String, source: String) {
        if let file = try layers.string("secret_key_file") {
            return (try SecretKey.read(file.value), "(set)", "\(file.source), \(file.value)")
        }
        if let text = try layers.string("secret_key") {
            guard let keys = SecretKey.parseAll(text.value) else {
                throw CommandError("secret_key from \(text.source) must be 64 hexadecimal digits, as `openssl rand -hex 32` prints")
            }
            return (keys, "(set)", text.source)
        }
        guard case .embedded(let directory) = database.place else {
            throw CommandError("no secret key: make one with `openssl rand -hex 32 > secret-key` and say --secret-key-file secret-key")
        }
        return (nil, "(set)", "made in \(directory)/secret-key")
    }
}
