/// Endpoints: where an organization wants to be told, and of what. What opens them is sealed on the way in and comes out only for a
/// delivery. No fence is raised: deliveries are made from the live rows in the transaction that books the spend.
public import Budgets
import JSON
import Postgres

public struct EndpointRecord: Sendable {
    public let id: EndpointID
    public var name: String
    public let kind: EndpointCredentials.Kind
    /// Patterns such as `budget.*`.
    public var events: [String]
    /// Events of a lower percentage are not sent here.
    public var minPercent: Int64
    public var isEnabled: Bool
    /// Why Bursar disabled it, in words fit for the tenant.
    public let disabledReason: String?
    public let revision: Int64
    public let createdAt: Instant
    public let archivedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let kindName: String
        (id, name, kindName, events, minPercent, isEnabled, disabledReason, revision, createdAt, archivedAt) = try row.decode(
            as: (EndpointID, String, String, [String], Int64, Bool, String?, Int64, Instant, Instant?).self)
        guard let kind = EndpointCredentials.Kind(rawValue: kindName) else { throw .decoding("an endpoint of unknown kind") }
        self.kind = kind
    }
}

extension Store {
    /// Seals the credentials and saves the endpoint.
    public func createEndpoint(
        _ id: EndpointID, of organization: OrganizationID, name: String, credentials: EndpointCredentials, events: [String],
        minPercent: Int64, sealer: Sealer
    ) async throws -> EndpointRecord {
        let sealed = try sealer.seal(credentials.json.bytes, at: Store.place(of: id, organization))
        return try await transaction { connection in
            try Bound.endpoints.requireRoom(in: organization, connection)
            let result = try connection.query(
                """
                INSERT INTO endpoints (organization_id, id, name, kind, events, min_percent, sealed)
                VALUES (\(organization), \(id), \(name), \(credentials.kind.rawValue), \(events), \(minPercent), \(Bytea(sealed)))
                RETURNING id, name, kind, events, min_percent, is_enabled, disabled_reason, revision, created_at, archived_at
                """)
            return try EndpointRecord(result.rows[0])
        }
    }

    public func endpoint(_ id: EndpointID, of organization: OrganizationID) async throws -> EndpointRecord {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, name, kind, events, min_percent, is_enabled, disabled_reason, revision, created_at, archived_at
                FROM endpoints WHERE organization_id = \(organization) AND id = \(id)
                """)
            guard let row = result.rows.first else { throw AdminRefusal.notFound }
            return try EndpointRecord(row)
        }
    }

    public func endpoints(
        of organization: OrganizationID, after: EndpointID, limit: Int
    ) async throws -> Page<EndpointRecord, EndpointID> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, name, kind, events, min_percent, is_enabled, disabled_reason, revision, created_at, archived_at
                FROM endpoints WHERE organization_id = \(organization) AND id > \(after) AND archived_at IS NULL
                ORDER BY id LIMIT \(limit + 1)
                """)
            return Page(try result.rows.map(EndpointRecord.init), limit: limit, cursor: \.id)
        }
    }

    /// Changes what may change; enabling forgets why the endpoint was disabled.
    public func changeEndpoint(
        _ id: EndpointID, of organization: OrganizationID, ifRevision: Int64?, _ change: @Sendable (inout EndpointRecord) throws -> Void
    ) async throws -> EndpointRecord {
        try await transaction { connection in
            var endpoint = try Store.lockEndpoint(id, of: organization, connection)
            try Store.check(revision: endpoint.revision, archivedAt: endpoint.archivedAt, against: ifRevision)
            try change(&endpoint)
            let result = try connection.query(
                """
                UPDATE endpoints SET name = \(endpoint.name), events = \(endpoint.events), min_percent = \(endpoint.minPercent),
                    is_enabled = \(endpoint.isEnabled),
                    disabled_reason = CASE WHEN \(endpoint.isEnabled) THEN NULL ELSE disabled_reason END, revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                RETURNING id, name, kind, events, min_percent, is_enabled, disabled_reason, revision, created_at, archived_at
                """)
            return try EndpointRecord(result.rows[0])
        }
    }

    /// Puts an endpoint away; what waits for it is cancelled. An attempt under way may still arrive.
    public func archiveEndpoint(_ id: EndpointID, of organization: OrganizationID, ifRevision: Int64?) async throws {
        try await transaction { connection in
            let endpoint = try Store.lockEndpoint(id, of: organization, connection)
            try Store.check(revision: endpoint.revision, archivedAt: endpoint.archivedAt, against: ifRevision)
            try connection.query(
                """
                UPDATE endpoints SET archived_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            try connection.query(
                """
                UPDATE deliveries SET state = 'cancelled', finished_at = now(), last_error = 'endpoint archived'
                WHERE organization_id = \(organization) AND endpoint_id = \(id) AND state = 'pending'
                """)
        }
    }

    private static func lockEndpoint(
        _ id: EndpointID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> EndpointRecord {
        let result = try connection.query(
            """
            SELECT id, name, kind, events, min_percent, is_enabled, disabled_reason, revision, created_at, archived_at
            FROM endpoints WHERE organization_id = \(organization) AND id = \(id) FOR UPDATE
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try EndpointRecord(row)
    }

    static func place(of endpoint: EndpointID, _ organization: OrganizationID) -> SealedPlace {
        SealedPlace(table: "endpoints", organization: organization, row: endpoint.description)
    }
}
