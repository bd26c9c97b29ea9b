/// What happens to endpoints beside their settings: rotation of what opens them, disabling, and sending again.
public import Budgets
import JSON
import Postgres

extension Store {
    /// Replaces what opens an endpoint. The old is kept: an incident can only be resolved by the routing key that triggered it.
    public func rotateEndpoint(
        _ id: EndpointID, of organization: OrganizationID, sealer: Sealer,
        _ change: @Sendable (EndpointCredentials) throws -> EndpointCredentials
    ) async throws -> (EndpointRecord, EndpointCredentials) {
        try await transaction { connection in
            let endpoint = try Store.lockEndpoint(id, of: organization, connection)
            try Store.check(revision: endpoint.revision, archivedAt: endpoint.archivedAt, against: nil)
            let kept = try connection.query("SELECT sealed FROM endpoints WHERE organization_id = \(organization) AND id = \(id)")
            let old = try EndpointCredentials(
                endpoint.kind, opening: try kept.rows[0].decode(as: Bytea.self), of: id, organization, sealer)
            let new = try change(old)
            let sealed = try sealer.seal(new.json.bytes, at: Store.place(of: id, organization))
            try connection.pipeline([
                """
                INSERT INTO endpoint_credentials (organization_id, endpoint_id, version, sealed)
                SELECT organization_id, id, credentials_version, sealed FROM endpoints
                WHERE organization_id = \(organization) AND id = \(id)
                """,
                """
                UPDATE endpoints SET sealed = \(Bytea(sealed)), credentials_version = credentials_version + 1, revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """,
            ])
            return (try Store.endpoint(id, of: organization, connection), new)
        }
    }

    /// Disables an endpoint that cannot be used, tells the organization's others, and gives up what waits for it: it can be sent again
    /// (`recoverEndpoint`). Does nothing when it is disabled already.
    public func disableEndpoint(_ id: EndpointID, of organization: OrganizationID, reason: String, at now: Instant) async throws {
        try await transaction { connection in
            let result = try connection.query(
                """
                UPDATE endpoints SET is_enabled = false, disabled_reason = \(reason), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id) AND is_enabled RETURNING name, kind
                """)
            guard let row = result.rows.first else { return }
            let (name, kind) = try row.decode(as: (String, String).self)
            try connection.query(
                """
                UPDATE deliveries SET state = 'failed', finished_at = now(), last_error = 'endpoint disabled'
                WHERE organization_id = \(organization) AND endpoint_id = \(id) AND state = 'pending'
                """)
            try Store.append(
                NewEvent(
                    .endpointDisabled, severity: .error, title: "Endpoint disabled: \(name)",
                    summary:
                        "Nothing is sent to «\(name)» (\(kind)) any more: \(reason). Put it right, enable it, and recover what it missed.",
                    details: JSON.Object([
                        ("endpoint", ["id": .string(id.description), "name": .string(name), "kind": .string(kind)]),
                        ("reason", .string(reason)), ("links", ["endpoint": .string("/v1/endpoints/\(id)")]),
                    ]), at: now), of: organization, connection)
        }
    }

    /// How far back an endpoint's events can be sent again.
    public static let longestRecovery: Duration = .seconds(30 * 86_400)
    /// How many at once (law 11); what comes after can be asked for next.
    public static let mostRecovered = 10_000

    /// Sends again what an endpoint missed since then: events it subscribes to that it has no delivery of, or one that failed.
    /// - Returns: how many deliveries wait for it now.
    public func recoverEndpoint(_ id: EndpointID, of organization: OrganizationID, since: Instant) async throws -> Int {
        try await transaction { connection in
            let endpoint = try Store.lockEndpoint(id, of: organization, connection)
            guard endpoint.archivedAt == nil else { throw AdminRefusal.archived }
            guard endpoint.isEnabled else { throw AdminRefusal.inUse("The endpoint is disabled: enable it first.") }
            // Ids begin with their millisecond.
            let first = EventID(high: UInt64(clamping: since.microseconds / 1000) << 16, low: 0)
            let missed = try connection.query(
                """
                SELECT e.id FROM events AS e
                LEFT JOIN deliveries AS d
                    ON d.organization_id = e.organization_id AND d.event_id = e.id AND d.endpoint_id = \(id)
                WHERE e.organization_id = \(organization) AND e.id >= \(first) AND e.created_at >= \(since)
                      AND e.type <> 'endpoint.test' AND (d.id IS NULL OR d.state = 'failed')
                ORDER BY e.id LIMIT \(Store.mostRecovered)
                """)
            let events = try missed.rows.map { (organization, try $0.decode(as: EventID.self)) }
            return try connection.query(AlertWrites.deliveries(of: events, only: id)).affected
        }
    }

    /// Sends a delivery again that failed or was cancelled; its schedule begins anew. One that waits is due at once.
    public func retryDelivery(_ id: DeliveryID, of organization: OrganizationID) async throws -> DeliveryRecord {
        try await transaction { connection in
            let changed = try connection.query(
                """
                UPDATE deliveries AS d
                SET state = 'pending', next_attempt_at = now(), schedule_from = d.attempts, last_error = NULL, finished_at = NULL
                FROM endpoints AS p
                WHERE d.organization_id = \(organization) AND d.id = \(id) AND d.state IN ('pending', 'failed', 'cancelled')
                      AND p.organization_id = d.organization_id AND p.id = d.endpoint_id AND p.is_enabled AND p.archived_at IS NULL
                """)
            let delivery = try Store.delivery(id, of: organization, connection)
            guard changed.affected == 1 else {
                throw AdminRefusal.inUse("It is \(delivery.state), or its endpoint is disabled: there is nothing to send again.")
            }
            return delivery
        }
    }

    /// Gives up what has waited at a paused endpoint for longer than this: its queue is bounded, and old alerts help nobody.
    public static let longestPause: Duration = .seconds(3 * 86_400)

    public func giveUpPaused() async throws {
        _ = try await read { connection in
            try connection.query(
                """
                UPDATE deliveries AS d SET state = 'failed', finished_at = now(), last_error = 'endpoint paused for too long'
                FROM endpoints AS p
                WHERE p.is_paused AND d.organization_id = p.organization_id AND d.endpoint_id = p.id AND d.state = 'pending'
                      AND d.created_at < now() - \(Store.longestPause.components.seconds) * interval '1 second'
                """)
        }
    }

    /// An incident that was, or may have been, triggered at the endpoint by earlier events of the same counter.
    public struct Trigger: Sendable {
        public let isExceeded: Bool
        /// What triggered it.
        public let credentials: EndpointCredentials
    }

    /// What a `budget.recovered` may have to resolve at its endpoint.
    public func triggers(before delivery: ClaimedDelivery, sealer: Sealer) async throws -> [Trigger] {
        let rows = try await read { connection in
            try connection.query(
                """
                SELECT DISTINCT e.type = 'budget.exceeded', coalesce(c.sealed, p.sealed)
                FROM events AS r
                JOIN events AS e ON e.organization_id = r.organization_id AND e.topic = r.topic
                     AND e.type IN ('budget.threshold_reached', 'budget.exceeded')
                JOIN deliveries AS d ON d.organization_id = e.organization_id AND d.event_id = e.id
                     AND d.endpoint_id = \(delivery.endpoint) AND d.attempts > 0
                JOIN endpoints AS p ON p.organization_id = d.organization_id AND p.id = d.endpoint_id
                LEFT JOIN endpoint_credentials AS c
                    ON c.organization_id = d.organization_id AND c.endpoint_id = d.endpoint_id AND c.version = d.credentials_version
                WHERE r.organization_id = \(delivery.organization) AND r.id = \(delivery.event)
                """
            ).rows
        }
        return try rows.map { row in
            let (isExceeded, sealed) = try row.decode(as: (Bool, Bytea).self)
            return Trigger(
                isExceeded: isExceeded,
                credentials: try EndpointCredentials(
                    delivery.kind, opening: sealed, of: delivery.endpoint, delivery.organization, sealer))
        }
    }
}
