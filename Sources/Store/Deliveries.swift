/// The outbox (design §8): deliveries are claimed for a while, made without any database transaction open, and finished only by whoever
/// still holds the claim. Time is Postgres's alone, so that replicas with different clocks agree.
public import Budgets
import JSON
import Postgres

/// A delivery that is this sender's to make until the lease ends, with all that it takes.
public struct ClaimedDelivery: Sendable {
    public let organization: OrganizationID
    public let id: DeliveryID
    public let event: EventID
    public let endpoint: EndpointID
    /// Counts from 1, and is the fence: another claim raises it.
    public let attempt: Int64
    /// False when the endpoint was disabled or archived meanwhile.
    public let isWanted: Bool
    public let kind: EndpointCredentials.Kind
    /// The event's, as JSON text.
    public let body: String
    private let sealed: Bytea

    init(_ row: Row) throws(PostgresError) {
        let kindName: String
        let json: JSONB
        (organization, id, event, endpoint, attempt, isWanted, kindName, json, sealed) = try row.decode(
            as: (OrganizationID, DeliveryID, EventID, EndpointID, Int64, Bool, String, JSONB, Bytea).self)
        guard let kind = EndpointCredentials.Kind(rawValue: kindName) else { throw .decoding("an endpoint of unknown kind") }
        self.kind = kind
        body = json.text
    }

    /// What opens the endpoint.
    /// - Throws: `SealingError`.
    public func credentials(_ sealer: Sealer) throws(SealingError) -> EndpointCredentials {
        let bytes = try sealer.open(sealed.bytes, at: Store.place(of: endpoint, organization))
        guard let json = try? JSON.parse(bytes), let credentials = EndpointCredentials(kind, json) else { throw .unknownFormat }
        return credentials
    }
}

/// How many deliveries this sender has under way, so that one endpoint or organization does not take all the places.
public struct DeliveryLoad: Sendable {
    public var endpoints: [EndpointID: Int]
    public var organizations: [OrganizationID: Int]

    public init(endpoints: [EndpointID: Int] = [:], organizations: [OrganizationID: Int] = [:]) {
        self.endpoints = endpoints
        self.organizations = organizations
    }
}

/// What one attempt came to, for the log.
public struct AttemptRecord: Sendable {
    public let duration: Duration
    /// HTTP; nil without an answer.
    public let status: Int?
    /// `delivered`, or why not, in words fit for the tenant.
    public let outcome: String
    /// The beginning of the answer, scrubbed.
    public let response: String?

    public init(duration: Duration, status: Int?, outcome: String, response: String?) {
        self.duration = duration
        self.status = status
        self.outcome = outcome
        self.response = response
    }
}

/// What becomes of a delivery after an attempt.
public enum DeliveryFate: Sendable, Equatable {
    case delivered
    case retry(after: Duration)
    case failed
    case cancelled
    /// Failed, and so will all others: the endpoint is disabled with this reason.
    case endpointDisabled(reason: String)

    fileprivate var state: String {
        switch self {
        case .delivered: "delivered"
        case .retry: "pending"
        case .failed, .endpointDisabled: "failed"
        case .cancelled: "cancelled"
        }
    }

    fileprivate var retryMicroseconds: Int64? {
        if case .retry(let delay) = self { delay.microseconds } else { nil }
    }
}

extension Store {
    /// Claims due deliveries, and those whose sender let its lease run out: its claim is void, but its attempt counts. Of each
    /// endpoint and each organization at most so many are under way with this sender, the longest due first.
    public func claimDeliveries(
        owner: ID<SenderKind>, atMost count: Int, lease: Duration, load: DeliveryLoad, perEndpoint: Int, perOrganization: Int
    ) async throws -> [ClaimedDelivery] {
        try await read { connection in
            let result = try connection.query(
                """
                WITH load_endpoints AS (SELECT * FROM unnest(\(Array(load.endpoints.keys)), \(load.endpoints.values.map(Int64.init)))
                         AS l (endpoint_id, count)),
                     load_organizations AS (SELECT * FROM unnest(\(Array(load.organizations.keys)),
                         \(load.organizations.values.map(Int64.init))) AS l (organization_id, count)),
                     due AS (
                         SELECT d.organization_id, d.id, d.next_attempt_at, d.endpoint_id,
                                row_number() OVER (PARTITION BY d.organization_id, d.endpoint_id ORDER BY d.next_attempt_at, d.id) AS place
                         FROM deliveries AS d WHERE d.state IN ('pending', 'sending') AND d.next_attempt_at <= now()),
                     fair AS (
                         SELECT due.organization_id, due.id, due.next_attempt_at,
                                row_number() OVER (PARTITION BY due.organization_id ORDER BY due.next_attempt_at, due.id)
                                    + coalesce(lo.count, 0) AS place
                         FROM due LEFT JOIN load_endpoints AS le ON le.endpoint_id = due.endpoint_id
                              LEFT JOIN load_organizations AS lo ON lo.organization_id = due.organization_id
                         WHERE due.place + coalesce(le.count, 0) <= \(perEndpoint)),
                     claimed AS MATERIALIZED (
                         SELECT d.organization_id, d.id
                         FROM fair JOIN deliveries AS d ON d.organization_id = fair.organization_id AND d.id = fair.id
                         WHERE fair.place <= \(perOrganization)
                               AND d.state IN ('pending', 'sending') AND d.next_attempt_at <= now()
                         ORDER BY fair.next_attempt_at, fair.id LIMIT \(count) FOR UPDATE OF d SKIP LOCKED)
                UPDATE deliveries AS d
                SET state = 'sending', attempts = d.attempts + 1, lease_owner = \(owner),
                    lease_until = now() + \(lease.microseconds) * interval '1 microsecond',
                    next_attempt_at = now() + \(lease.microseconds) * interval '1 microsecond'
                FROM claimed, events AS e, endpoints AS p
                WHERE d.organization_id = claimed.organization_id AND d.id = claimed.id
                      AND e.organization_id = d.organization_id AND e.id = d.event_id
                      AND p.organization_id = d.organization_id AND p.id = d.endpoint_id
                RETURNING d.organization_id, d.id, d.event_id, d.endpoint_id, d.attempts, p.is_enabled AND p.archived_at IS NULL, p.kind,
                          e.body, p.sealed
                """)
            return try result.rows.map(ClaimedDelivery.init)
        }
    }

    /// Logs an attempt (nil: none was made) and decides the delivery, in one transaction. Returns false when the claim had been lost
    /// and the delivery is another sender's to decide; the attempt is logged all the same.
    @discardableResult
    public func finishDelivery(
        _ delivery: ClaimedDelivery, owner: ID<SenderKind>, fate: DeliveryFate, attempt: AttemptRecord?, reason: String?
    ) async throws -> Bool {
        var queries: [Query] = [
            """
            UPDATE deliveries SET state = \(fate.state), lease_owner = NULL, lease_until = NULL, last_error = \(reason),
                next_attempt_at = CASE WHEN \(fate.retryMicroseconds) IS NULL THEN next_attempt_at
                                       ELSE now() + \(fate.retryMicroseconds) * interval '1 microsecond' END,
                finished_at = CASE WHEN \(fate.retryMicroseconds) IS NULL THEN now() END
            WHERE organization_id = \(delivery.organization) AND id = \(delivery.id) AND state = 'sending'
                  AND lease_owner = \(owner) AND attempts = \(delivery.attempt)
            """
        ]
        if let attempt {
            queries.append(
                """
                INSERT INTO delivery_attempts (organization_id, delivery_id, attempt, started_at, duration_ms, status, outcome, response)
                VALUES (\(delivery.organization), \(delivery.id), \(delivery.attempt),
                        now() - \(attempt.duration.microseconds) * interval '1 microsecond', \(attempt.duration.microseconds / 1000),
                        \(attempt.status.map(Int64.init)), \(attempt.outcome), \(attempt.response))
                ON CONFLICT DO NOTHING
                """)
        }
        if case .endpointDisabled(let disabledReason) = fate {
            queries.append(
                """
                UPDATE endpoints SET is_enabled = false, disabled_reason = \(disabledReason), revision = revision + 1
                WHERE organization_id = \(delivery.organization) AND id = \(delivery.endpoint) AND is_enabled
                """)
        }
        let all = queries
        return try await pool.withConnection { connection in try connection.flight(all)[0].affected == 1 }
    }
}

/// Names one run of one dispatcher, for the leases it holds.
public enum SenderKind: IDKind { public static let prefix = "snd" }

extension Duration {
    /// Whole microseconds, rounded towards zero.
    fileprivate var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}
