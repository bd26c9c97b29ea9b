/// Trying an endpoint out: an event for it alone, which takes the way of every other.
public import Budgets
import JSON
import Postgres

extension Store {
    /// Puts an event in the outbox that only this endpoint is told of, whatever it subscribes to. The dispatcher delivers it.
    /// - Returns: the delivery, to be looked for among `deliveries`.
    public func testEndpoint(
        _ id: EndpointID, of organization: OrganizationID, event: EventID, delivery: DeliveryID, at instant: Instant
    ) async throws -> DeliveryID {
        try await refusing {
            try await pool.withConnection { connection in
                try connection.transaction { connection in
                    let endpoint = try connection.query(
                        """
                        SELECT id FROM endpoints WHERE organization_id = \(organization) AND id = \(id) AND archived_at IS NULL
                        """)
                    guard !endpoint.rows.isEmpty else { throw AdminRefusal.notFound }
                    let name = try Store.organization(organization, connection).name
                    let body: JSON = [
                        "id": .string(event.description), "type": "endpoint.test", "occurred_at": .string(instant.rfc3339),
                        "organization": ["id": .string(organization.description), "name": .string(name)], "severity": "info",
                    ]
                    try connection.query(
                        """
                        INSERT INTO events (organization_id, id, type, severity, body, created_at)
                        VALUES (\(organization), \(event), 'endpoint.test', 'info', \(JSONB(bytes: body.bytes)), \(instant))
                        """)
                    try connection.query(
                        """
                        INSERT INTO deliveries (organization_id, id, event_id, endpoint_id, state, next_attempt_at, created_at)
                        VALUES (\(organization), \(delivery), \(event), \(id), 'pending', \(instant), \(instant))
                        """)
                    return delivery
                }
            }
        }
    }
}
