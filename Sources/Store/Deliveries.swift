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
    /// The same, counted since the schedule last began: sent again by hand, it begins anew.
    public let scheduledAttempt: Int64
    public let lane: DeliveryLane
    /// Why it should not be made any more: the endpoint was disabled or archived, or a later event says more.
    public let unwanted: String?
    /// How old the news is.
    public let age: Duration
    /// How many alerts of teams and projects were muted at this endpoint because of what this event tells.
    public let muted: Int64
    public let kind: EndpointCredentials.Kind
    public let credentialsVersion: Int64
    /// The event's, as JSON text.
    public let body: String
    private let sealed: Bytea

    fileprivate init(_ row: Row, _ lane: DeliveryLane) throws(PostgresError) {
        self.lane = lane
        let kindName: String
        let json: JSONB
        let ageSeconds: Int64
        (
            organization, id, event, endpoint, attempt, scheduledAttempt, unwanted, ageSeconds, muted, kindName, credentialsVersion, json,
            sealed
        ) = try row.decode(
            as: (
                OrganizationID, DeliveryID, EventID, EndpointID, Int64, Int64, String?, Int64, Int64, String, Int64, JSONB, Bytea
            ).self)
        guard let kind = EndpointCredentials.Kind(rawValue: kindName) else { throw .decoding("an endpoint of unknown kind") }
        self.kind = kind
        age = .seconds(max(0, ageSeconds))
        body = json.text
    }

    /// What opens the endpoint.
    /// - Throws: `SealingError`.
    public func credentials(_ sealer: Sealer) throws(SealingError) -> EndpointCredentials {
        try EndpointCredentials(kind, opening: sealed, of: endpoint, organization, sealer)
    }
}

/// Two lanes, so that what fails does not hold up what is new.
public enum DeliveryLane: Sendable, Hashable, CaseIterable {
    /// First and second attempts at endpoints that took the last one.
    case fresh
    /// Everything else: later attempts, and endpoints that fail, one attempt at a time.
    case retry
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

/// How much a sender may have under way (law 11).
public struct DeliveryBounds: Sendable {
    public let perEndpoint: Int
    public let perOrganization: Int
    public let lease: Duration

    public init(perEndpoint: Int, perOrganization: Int, lease: Duration) {
        self.perEndpoint = perEndpoint
        self.perOrganization = perOrganization
        self.lease = lease
    }
}

extension Store {
    /// Claims due deliveries of one lane, and those whose sender let its lease run out: its claim is void, but its attempt counts.
    ///
    /// It walks from endpoint to endpoint along an index, so the length of a queue does not matter; takes of each endpoint and each
    /// organization only so many as are not under way with this sender, the longest due first; and serves organizations in turn. An
    /// endpoint that fails is tried with one delivery at a time, and less often the longer it fails. What the endpoint's rate allows is
    /// noted in its row, which is locked meanwhile, so that it binds all replicas.
    ///
    /// - Parameter now: For tests that hold the clock; otherwise it is Postgres's.
    public func claimDeliveries(
        _ lane: DeliveryLane, owner: ID<SenderKind>, atMost count: Int, load: DeliveryLoad, bounds: DeliveryBounds, now: Instant? = nil
    ) async throws -> [ClaimedDelivery] {
        let lease = bounds.lease.microseconds
        return try await read { connection in
            let result = try connection.query(
                """
                WITH RECURSIVE clock AS (SELECT coalesce(\(now), now()) AS now),
                waiting AS (
                    (SELECT organization_id, endpoint_id FROM deliveries WHERE state IN ('pending', 'sending')
                     ORDER BY organization_id, endpoint_id LIMIT 1)
                    UNION ALL
                    SELECT next.organization_id, next.endpoint_id FROM waiting AS w CROSS JOIN LATERAL (
                        SELECT d.organization_id, d.endpoint_id FROM deliveries AS d
                        WHERE d.state IN ('pending', 'sending') AND (d.organization_id, d.endpoint_id) > (w.organization_id, w.endpoint_id)
                        ORDER BY d.organization_id, d.endpoint_id LIMIT 1) AS next),
                load_endpoints AS (SELECT * FROM unnest(\(Array(load.endpoints.keys)), \(load.endpoints.values.map(Int64.init)))
                    AS l (endpoint_id, count)),
                load_organizations AS (SELECT * FROM unnest(\(Array(load.organizations.keys)),
                    \(load.organizations.values.map(Int64.init))) AS l (organization_id, count)),
                open AS (
                    SELECT p.organization_id, p.id, p.failures > 0 AS fails,
                           CASE WHEN p.failures > 0 THEN 1 ELSE \(bounds.perEndpoint) END - coalesce(l.count, 0) AS room
                    FROM waiting AS w
                    JOIN endpoints AS p ON p.organization_id = w.organization_id AND p.id = w.endpoint_id
                    LEFT JOIN load_endpoints AS l ON l.endpoint_id = p.id, clock
                    WHERE NOT p.is_paused AND p.next_slot_at <= clock.now AND (\(lane == .retry) OR p.failures = 0)),
                due AS (
                    SELECT open.organization_id, d.id, d.next_attempt_at,
                           row_number() OVER (PARTITION BY open.organization_id ORDER BY d.next_attempt_at, d.id)
                               + coalesce(l.count, 0) AS place
                    FROM open LEFT JOIN load_organizations AS l ON l.organization_id = open.organization_id, clock, LATERAL (
                        SELECT d.id, d.next_attempt_at FROM deliveries AS d
                        WHERE d.organization_id = open.organization_id AND d.endpoint_id = open.id AND d.state IN ('pending', 'sending')
                              AND d.next_attempt_at <= clock.now
                              AND (open.fails OR (d.attempts - d.schedule_from >= 2) = \(lane == .retry))
                        ORDER BY d.next_attempt_at, d.id LIMIT greatest(open.room, 0)) AS d),
                claimed AS MATERIALIZED (
                    SELECT d.organization_id, d.id, d.endpoint_id
                    FROM due JOIN deliveries AS d ON d.organization_id = due.organization_id AND d.id = due.id
                    JOIN endpoints AS p ON p.organization_id = d.organization_id AND p.id = d.endpoint_id, clock
                    WHERE due.place <= \(bounds.perOrganization) AND p.next_slot_at <= clock.now
                          AND d.state IN ('pending', 'sending') AND d.next_attempt_at <= clock.now
                    ORDER BY due.place, due.next_attempt_at, due.id LIMIT \(count)
                    FOR UPDATE OF d SKIP LOCKED FOR NO KEY UPDATE OF p SKIP LOCKED),
                paced AS (
                    UPDATE endpoints AS p
                    SET next_slot_at = greatest(p.next_slot_at, clock.now) + c.count * interval '1 minute' / coalesce(p.rate_per_minute,
                        CASE p.kind WHEN 'slack' THEN 60 WHEN 'pagerduty' THEN 120 WHEN 'teams' THEN 60 WHEN 'email' THEN 30 ELSE 600 END)
                    FROM (SELECT organization_id, endpoint_id, count(*) AS count FROM claimed GROUP BY organization_id, endpoint_id) AS c, clock
                    WHERE p.organization_id = c.organization_id AND p.id = c.endpoint_id)
                UPDATE deliveries AS d
                SET state = 'sending', attempts = d.attempts + 1, lease_owner = \(owner), credentials_version = p.credentials_version,
                    lease_until = clock.now + \(lease) * interval '1 microsecond',
                    next_attempt_at = clock.now + \(lease) * interval '1 microsecond'
                FROM claimed, clock, events AS e, endpoints AS p
                WHERE d.organization_id = claimed.organization_id AND d.id = claimed.id
                      AND e.organization_id = d.organization_id AND e.id = d.event_id
                      AND p.organization_id = d.organization_id AND p.id = d.endpoint_id
                RETURNING d.organization_id, d.id, d.event_id, d.endpoint_id, d.attempts, d.attempts - d.schedule_from,
                    CASE WHEN NOT p.is_enabled OR p.archived_at IS NOT NULL THEN 'endpoint disabled or archived'
                         WHEN e.topic IS NOT NULL AND EXISTS (
                             SELECT FROM events AS n JOIN deliveries AS nd
                                 ON nd.organization_id = n.organization_id AND nd.event_id = n.id AND nd.endpoint_id = d.endpoint_id
                             WHERE n.organization_id = e.organization_id AND n.topic = e.topic
                                   AND (n.created_at, n.id) > (e.created_at, e.id) AND nd.state IN ('pending', 'sending', 'delivered'))
                         THEN 'superseded by a later event' END,
                    extract(epoch FROM clock.now - e.created_at)::bigint,
                    (SELECT count(*) FROM deliveries AS m JOIN events AS cause
                         ON cause.organization_id = m.organization_id AND cause.id = m.muted_by
                     WHERE m.organization_id = d.organization_id AND m.endpoint_id = d.endpoint_id AND m.muted_by IS NOT NULL
                           AND (m.muted_by = d.event_id OR e.type = 'budget.recovered' AND cause.topic = e.topic)),
                    p.kind, p.credentials_version, e.body, p.sealed
                """)
            return try result.rows.map { row throws(PostgresError) in try ClaimedDelivery(row, lane) }
        }
    }
}

/// Names one run of one dispatcher, for the leases it holds.
public enum SenderKind: IDKind { public static let prefix = "snd" }

extension Duration {
    /// Whole microseconds, rounded towards zero.
    var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}
