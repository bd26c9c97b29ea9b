/// An organization with endpoints and an outbox in a real Postgres, for tests of the dispatcher.
import Budgets
import Foundation
import JSON
import Postgres
import ServiceLifecycle
import Store
import Synchronization
import TestSupport

@testable import Alerts
@testable import Outbound

struct Outbox: Sendable {
    static let organization = OrganizationID(high: 0x1111, low: 1)

    let store: Store
    let sealer: Sealer
    private let numbers = Numbers()

    init(_ configuration: PostgresConfiguration) async throws {
        store = Store(pool: PostgresPool(configuration.serving, size: 4, logger: testLogger))
        let masterKey = [UInt8](repeating: 42, count: 32)
        TestLog.current?.secrets.add(bytes: masterKey)
        TestSupport.secret(Outbox.secret.revealed.dropFirst(6))
        sealer = try Sealer(masterKey: masterKey)
        try await run(
            "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(Outbox.organization), 'Acme', 'Europe/Berlin')")
    }

    @discardableResult func run(_ query: Query) async throws -> PostgresResult {
        try await store.pool.withConnection { connection in try connection.query(query) }
    }

    /// At a rate that no test waits for, unless it asks for another.
    func endpoint(
        _ credentials: EndpointCredentials, minPercent: Int64 = 0, events: [String] = ["budget.*"], about: [Concern] = [],
        minSeverity: Severity = .info, ratePerMinute: Int64? = 6000
    ) async throws -> EndpointID {
        switch credentials {
        case .slack(let url), .teams(let url): TestLog.current?.secrets.add(pathOf: url)
        case .pagerduty(_, let routingKey): TestSupport.secret(routingKey)
        case .webhook(let url, let secrets):
            TestLog.current?.secrets.add(pathOf: url)
            for one in secrets { TestSupport.secret(one.revealed.dropFirst(6)) }
        case .email: break
        }
        let id = EndpointID(high: 0x2222, low: numbers.next())
        let settings = EndpointSettings(
            name: "endpoint \(id)", events: events, about: about, minPercent: minPercent, minSeverity: minSeverity,
            ratePerMinute: ratePerMinute)
        _ = try await store.createEndpoint(id, of: Outbox.organization, settings, credentials: credentials, sealer: sealer)
        return id
    }

    func webhook(_ receiver: Receiver, _ path: String = "/hook/that-nobody-else-knows") async throws -> EndpointID {
        try await endpoint(.webhook(url: receiver.url(path), secrets: [Outbox.secret]))
    }

    /// The secret of every webhook here.
    static let secret: WebhookSecret = {
        var generator = SeededGenerator(seed: 5)
        return WebhookSecret(.hmac, using: &generator)
    }()

    /// What a receiver has of it.
    static var secretBytes: Data { Data(base64Encoded: String(secret.revealed.dropFirst(6)))! }

    /// Writes events and their deliveries as the engine does.
    @discardableResult func post(
        _ count: Int = 1, threshold: Int64 = 90, about: NewEvent.Subject = NewEvent.Subject(), mutesUntil: Instant? = nil,
        at: Instant = .now()
    ) async throws -> [EventID] {
        let rows = (0..<count).map { _ in
            let id = EventID(high: UInt64(at.microseconds / 1000) << 16, low: numbers.next())
            let body = eventBody(id: id.description, threshold: threshold)
            return EventRow(
                organization: Outbox.organization, id: id, type: threshold >= 100 ? .exceeded : .thresholdReached,
                severity: Severity(threshold: Int(threshold)), percent: threshold, about: about, mutesUntil: mutesUntil,
                body: JSONB(text: body.text), at: at)
        }
        _ = try await store.pool.withConnection { connection in
            try connection.flight([AlertWrites.events(rows), AlertWrites.deliveries(of: rows.map { ($0.organization, $0.id) })])
        }
        return rows.map(\.id)
    }

    /// A monthly budget of the organization, in a database.
    func budget() async throws -> Budget {
        let budget = Budget(
            id: BudgetID(high: 0x4444, low: numbers.next()), name: "Monthly", scope: .organization, match: .any, per: nil, unit: .usd,
            rule: PeriodRule(.month), amount: Amount(whole: 10), thresholds: [90, 100], limitVersion: 1, enforcement: .block)
        try await run(
            """
            INSERT INTO budgets (organization_id, id, name, unit, period, amount)
            VALUES (\(Outbox.organization), \(budget.id), \(budget.name), 'usd', 'month', \(budget.amount))
            """)
        return budget
    }

    /// An alert of its present period, as the engine writes it: the row, the event with a real body, and the deliveries.
    func alert(_ budget: Budget, threshold: Int64) async throws {
        // Made before: a closure that captures as many amounts as these statements hold returns to a wrong address (Swift 6.3, debug).
        let statements = statements(ofAlert: budget, threshold, at: .now())
        _ = try await store.pool.withConnection { connection in try connection.flight(statements) }
    }

    private func statements(ofAlert budget: Budget, _ threshold: Int64, at: Instant) -> [Query] {
        let zone = Zone("Europe/Berlin") ?? .utc
        let span = budget.rule.span(containing: at, in: zone)
        let counter = CounterID(budget: budget.id, subject: "", periodStart: span.start)
        let settled = Amount(pico: budget.amount.pico * Int128(threshold) / 100)
        let body = BudgetEventBody(
            organization: (Outbox.organization, "Acme", zone), budget: budget, scopeName: nil, counter: counter, span: span,
            settled: settled, at: at)
        let id = EventID(high: UInt64(at.microseconds / 1000) << 16, low: numbers.next())
        let type: EventType = threshold >= 100 ? .exceeded : .thresholdReached
        let severity = Severity(threshold: Int(threshold))
        let bytes = body.bytes(type, severity, id: id) { $0.field("threshold", threshold) }
        let row = EventRow(
            organization: Outbox.organization, id: id, type: type, severity: severity, percent: threshold, topic: body.topic,
            body: JSONB(bytes: bytes), at: at)
        return [
            """
            INSERT INTO alerts
                (organization_id, id, budget_id, subject, period_start, limit_version, threshold, settled, amount, event_id, review_at,
                 created_at)
            VALUES (\(Outbox.organization), \(AlertID(at: at)), \(budget.id), '', \(span.start), 1, \(threshold), \(settled),
                    \(budget.amount), \(id), \(span.end), \(at))
            """, AlertWrites.events([row]), AlertWrites.deliveries(of: [(Outbox.organization, id)]),
        ]
    }

    /// Runs a dispatcher beside `body`, then shuts it down gracefully and returns when it has ended.
    func dispatching(
        allow: [String] = ["127.0.0.0/8"], sealer: Sealer? = nil, mail: MailServer? = nil, publicURL: String? = nil,
        authorities: String? = nil, heldClock: (@Sendable () -> Instant)? = nil, _ body: @Sendable (AlertDispatcher) async throws -> Void
    ) async throws {
        var policy = TargetPolicy(allowTargets: allow.compactMap { CIDR($0) })
        policy.authorities = authorities
        let outbound = OutboundClient(policy, logger: testLogger)
        defer { outbound.shutdown() }
        let dispatcher = AlertDispatcher(
            Sending(store: store, sealer: sealer ?? self.sealer, outbound: outbound, mail: mail, publicURL: publicURL),
            heldClock: heldClock, logger: testLogger)
        let group = ServiceGroup(services: [dispatcher], logger: testLogger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            try await body(dispatcher)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    /// State, attempts, seconds from the end of the last attempt until the next and last error of each delivery, in the order of their
    /// events.
    func deliveries() async throws -> [(state: String, attempts: Int64, wait: Int64, error: String?)] {
        try await run(
            """
            SELECT state, attempts, coalesce(extract(epoch FROM next_attempt_at - (
                       SELECT max(started_at + duration_ms * interval '1 millisecond') FROM delivery_attempts AS a
                       WHERE a.organization_id = d.organization_id AND a.delivery_id = d.id)), 0)::bigint, last_error
            FROM deliveries AS d ORDER BY event_id, endpoint_id, state
            """
        ).rows.map { row in
            let (state, attempts, wait, error) = try row.decode(as: (String, Int64, Int64, String?).self)
            return (state, attempts, wait, error)
        }
    }

    /// Waits until it is so in Postgres, which signals no such thing: this asks, with a short pause so that those it waits for get the
    /// machine. The suite's time limit ends it.
    func until(_ condition: @Sendable () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// Waits until no delivery is in these states, and each has had that many attempts.
    func untilNone(in states: [String], attempts: Int64 = 0) async throws {
        try await until {
            // Postgres may be away meanwhile.
            let left = try? await run(
                "SELECT count(*) FROM deliveries WHERE state = ANY(\(states)) OR attempts < \(attempts)"
            ).rows[0].decode(as: Int64.self)
            return left == 0
        }
    }

    /// Time passes: everything waiting is due.
    func makeDue() async throws {
        try await run(
            "UPDATE deliveries SET next_attempt_at = now(), lease_until = least(lease_until, now()) WHERE state IN ('pending', 'sending')")
        try await run("UPDATE endpoints SET next_slot_at = now()")
    }

    func close() async { await store.pool.shutdown() }
}

private final class Numbers: Sendable {
    private let last = Atomic<UInt64>(0)
    func next() -> UInt64 { last.wrappingAdd(1, ordering: .relaxed).newValue }
}

func withOutbox(_ body: (Outbox) async throws -> Void) async throws {
    try await withDatabase { configuration in
        let outbox = try await Outbox(configuration)
        try await body(outbox)
        await outbox.close()
    }
}
