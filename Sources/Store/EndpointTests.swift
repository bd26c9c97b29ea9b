/// Trying an endpoint out: an event for it alone, which takes the way of every other.
public import Budgets
import Postgres

extension Store {
    /// Puts an event in the outbox that only this endpoint is told of, whatever it subscribes to. The dispatcher delivers it.
    /// - Returns: the delivery, to be looked for among `deliveries`.
    public func testEndpoint(
        _ id: EndpointID, of organization: OrganizationID, event: EventID, delivery: DeliveryID, at instant: Instant
    ) async throws -> DeliveryID {
        try await transaction { connection in
            guard try Store.endpoint(id, of: organization, connection).archivedAt == nil else { throw AdminRefusal.archived }
            let test = NewEvent(
                .endpointTest, severity: .info, title: "Test", summary: "This endpoint can be reached. No budget is concerned.",
                id: event, at: instant)
            try connection.query(AlertWrites.events([test.row(of: try Store.organization(organization, connection))]))
            try connection.query(
                """
                INSERT INTO deliveries (organization_id, id, event_id, endpoint_id, state, next_attempt_at, created_at)
                VALUES (\(organization), \(delivery), \(event), \(id), 'pending', least(\(instant), now()), \(instant))
                """)
            return delivery
        }
    }
}
