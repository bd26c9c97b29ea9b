/// The wiring: every part made once, in one place, for `bursar serve` and for tests alike.
import Alerts
public import Budgets
import Chargeback
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Ledger
public import Logging
import NIOCore
import Outbound
import Postgres
public import ServiceLifecycle
public import Store
import Tracing
public import UnixSignals

/// How long what is under way may take when the server is asked to stop; then it is cancelled (law 11).
public let gracefulShutdownBound: Duration = .seconds(30)

/// Months that are read or exported at once; more of them wait, and after five seconds are told `overloaded` (law 11).
let statementConnections = 2

/// Connections for what goes on beside requests: one closes months, an export takes one to read, one to write and one to live (law 11).
let backgroundConnections = 4

/// So long may one statement of theirs take: about one month, nobody waits for it.
let backgroundPatience: Duration = .seconds(1800)

/// How long Postgres may take until the first line of a month is there: all of them have to be sorted before.
let statementPatience: Duration = .seconds(120)

/// A setting with which the server cannot start.
public struct SettingsFault: Error, CustomStringConvertible {
    public let description: String
}

/// Everything that runs, in the order in which it starts. Stopping goes the other way round: the HTTP server first, so that nothing
/// new comes in, then the engine, which serves what waits, then the alerts' dispatcher, and the pool last.
///
/// - Parameters:
///   - now: The clock, for tests to hold.
///   - onRunning: Called with the port once the server listens.
public func buildServices(
    _ settings: ServerSettings, now: @escaping @Sendable () -> Instant = { Instant.now() }, logger: Logger,
    onRunning: @escaping @Sendable (Int) async -> Void = { _ in }
) throws -> [any Service] {
    let sealer = try Sealer(masterKey: settings.secretKeys.first ?? [], oldKeys: Array(settings.secretKeys.dropFirst()))
    let allowed = try blocks(settings.allowTargets)
    let outbound = OutboundClient(allowTargets: allowed, logger: logger)
    // What works for requests states whose rows it may see. What connects by itself does work that is nobody's own.
    let requests = settings.database
    var settings = settings
    settings.database = requests.forEveryone
    let pool = PostgresPool(requests, size: settings.poolSize, logger: logger)
    let tracer: (any Tracer)? = settings.traces ? LogTracer(logger: logger) : nil
    let store = Store(pool: pool, tracer: tracer)
    var patient = requests
    patient.statementTimeout = statementPatience
    let statements = PostgresPool(patient, size: statementConnections, logger: logger)
    var unhurried = settings.database
    unhurried.statementTimeout = backgroundPatience
    let background = PostgresPool(unhurried, size: backgroundConnections, logger: logger)
    let dispatcher = AlertDispatcher(
        Sending(store: store, sealer: sealer, outbound: outbound, mail: settings.mail, publicURL: settings.publicURL), logger: logger)
    let ledger = Ledger(
        requests, laneCount: settings.laneCount, sweepInterval: settings.sweepInterval, now: now,
        onAlerts: { dispatcher.wake() }, tracer: tracer, logger: logger)
    let upkeep = Upkeep(settings.database, now: now, logger: logger)
    let readiness = Readiness(settings.database, engineHindrance: { ledger.hindrance }, logger: logger)
    let open = OpenMetrics(store)
    let keyUses = KeyUses(logger: logger) { try await store.noteUses($0) }
    let served = settings.hasBareRoute ? routes + [.bare] : routes
    let api = API(
        store: store, statements: Store(pool: statements, tracer: tracer),
        authenticator: Authenticator(badKeysPerMinute: settings.badKeysPerMinute) { try await store.credential(sha256: $0) },
        trustedProxies: try blocks(settings.trustProxies),
        keyUses: keyUses,
        journal: Journal(logger: logger, tracer: tracer),
        metrics: Metrics(
            http: HTTPMetrics(served),
            sources: [
                { EngineMetrics.write(ledger, to: &$0) }, { EngineMetrics.write(pool, to: &$0) }, open.write,
                { CheckMetrics.write(upkeep.lastCheck, to: &$0) }, ProcessMetrics(startedAt: now()).write,
            ]),
        engine: Engine(submit: { await ledger.submit($0, for: $1) }), hindrance: { await readiness.hindrance() },
        sealer: sealer, links: ExportLinks(masterKeys: settings.secretKeys, publicURL: settings.publicURL), outbound: outbound,
        canMail: settings.mail != nil, wakeDispatcher: { dispatcher.wake() }, now: now)
    let closing = ClosingWatch(pool: background, now: now, onNews: { dispatcher.wake() }, logger: logger)
    let exports = Store(pool: background, tracer: tracer)
    let making = ExportWatch(worker: ExportWorker(store: exports), logger: logger)
    let watches = [
        Watch(to: "look for bursts to tell of", every: .seconds(10), logger: logger) {
            if try await store.tellOfBursts(at: now()) > 0 { dispatcher.wake() }
        }, Watch(to: "look for months to close", every: .seconds(1), logger: logger) { try await closing.look() },
        Watch(to: "look for exports to make", every: .seconds(1), logger: logger) { try await making.look() },
        Watch(to: "let go of old exports", every: .seconds(60), logger: logger) { try await exports.pruneExports() },
    ]
    return [pool, statements, background, upkeep, dispatcher] + watches + [
        keyUses, ledger,
        buildApplication(api, served, host: settings.host, port: settings.port, logger: logger, onRunning: onRunning),
    ]
}

private func blocks(_ texts: [String]) throws -> [CIDR] {
    try texts.map { text in
        guard let block = CIDR(text) else { throw SettingsFault(description: "«\(text)» is no block of addresses such as 10.0.0.0/8") }
        return block
    }
}

/// The services as one group, which ends when a signal comes or `triggerGracefulShutdown()` is called. What lies `underneath`, such
/// as a private Postgres, starts before all and stops after all.
public func buildServer(
    _ settings: ServerSettings, underneath: [any Service] = [], gracefulShutdownSignals: [UnixSignal] = [],
    now: @escaping @Sendable () -> Instant = { Instant.now() }, logger: Logger,
    onRunning: @escaping @Sendable (Int) async -> Void = { _ in }
) throws -> ServiceGroup {
    let services = underneath + (try buildServices(settings, now: now, logger: logger, onRunning: onRunning))
    var configuration = ServiceGroupConfiguration(
        services: services.map { ServiceGroupConfiguration.ServiceConfiguration(service: $0) },
        gracefulShutdownSignals: gracefulShutdownSignals, logger: logger)
    configuration.maximumGracefulShutdownDuration = gracefulShutdownBound
    return ServiceGroup(configuration: configuration)
}

/// Serves until SIGTERM or SIGINT; then lets what is under way finish and returns.
public func runServer(
    _ settings: ServerSettings, underneath: [any Service] = [], logger: Logger,
    onRunning: @escaping @Sendable (Int) async -> Void = { _ in }
) async throws {
    let group = try buildServer(
        settings, underneath: underneath, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger, onRunning: onRunning)
    try await group.run()
}

func buildApplication(
    _ api: API, _ served: [Route] = routes, host: String, port: Int, logger: Logger, onRunning: @escaping @Sendable (Int) async -> Void
) -> some ApplicationProtocol {
    let http = HTTP1Channel.Configuration(
        // Idle connections of clients that went away, and requests that trickle in, are closed after this.
        idleTimeout: .seconds(75),
        // Room for a long proxy's trail of headers, and no more (law 11).
        httpDecoderConfiguration: .init(maxHeaderFieldSize: 16_384, maxHeaderListSize: 32_768, maxHeaderFieldCount: 100))
    let configuration = ApplicationConfiguration(
        address: .hostname(host, port: port),
        // Each connection takes a descriptor and some 20 kB; beyond this they wait to be accepted (law 11).
        availableConnectionsDelegate: MaximumAvailableConnections(4096))
    return Application(
        router: buildRouter(api, served), server: .http1(configuration: http), configuration: configuration,
        onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? port) }, logger: logger)
}

/// The routes, HEAD for each GET, and for every other method of their paths an answer that says which there are.
func buildRouter(_ api: API, _ routes: [Route] = routes) -> Router<ServerContext> {
    let router = Router(context: ServerContext.self, options: .autoGenerateHeadEndpoints)
    let figures = api.metrics.http
    router.add(middleware: Unmatched(journal: api.journal, figures: figures.unmatched, allowed: AllowedMethods(routes)))
    for (route, figures) in zip(routes, figures.routes) {
        router.on(RouterPath(route.path), method: route.method) { request, context in
            try await api.journal.answer(request, figures, isChange: route.isChange) { asked in
                try await route.respond(to: request, context, &asked, api)
            }
        }
    }
    return router
}
