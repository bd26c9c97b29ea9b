/// Endpoints: where an organization wants to be told, and of what. What opens them is sealed on the way in and comes out only for a
/// delivery. No fence is raised: deliveries are made from the live rows in the transaction that books the spend.
public import Budgets
import JSON
import Postgres

/// What an administrator may set of an endpoint.
public struct EndpointSettings: Sendable {
    public var name: String
    /// Patterns such as `budget.*`.
    public var events: [String]
    /// Teams, projects and budgets that it wants to hear about; empty: all, and what concerns none of them.
    public var about: [Concern]
    /// Events of a lower percentage are not sent here.
    public var minPercent: Int64
    public var minSeverity: Severity
    /// Nil: what the kind's vendor takes.
    public var ratePerMinute: Int64?
    /// Deliveries wait until it is no longer.
    public var isPaused = false

    public init(
        name: String, events: [String] = ["*"], about: [Concern] = [], minPercent: Int64 = 0, minSeverity: Severity = .info,
        ratePerMinute: Int64? = nil
    ) {
        self.name = name
        self.events = events
        self.about = about
        self.minPercent = minPercent
        self.minSeverity = minSeverity
        self.ratePerMinute = ratePerMinute
    }
}

public struct EndpointRecord: Sendable {
    public let id: EndpointID
    public let kind: EndpointCredentials.Kind
    public var settings: EndpointSettings
    public var isEnabled: Bool
    /// Why Bursar disabled it, in words fit for the tenant.
    public let disabledReason: String?
    /// Attempts that failed since the last that did not.
    public let failures: Int64
    public let failingSince: Instant?
    public let lastSuccessAt: Instant?
    public let lastFailureAt: Instant?
    public let revision: Int64
    public let createdAt: Instant
    public let archivedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let words: (kind: String, severity: String)
        let about: [String]
        let (name, events, minPercent, rate, isPaused): (String, [String], Int64, Int64?, Bool)
        (
            id, name, words.kind, events, about, minPercent, words.severity, rate, isPaused, isEnabled, disabledReason, failures,
            failingSince, lastSuccessAt, lastFailureAt, revision, createdAt, archivedAt
        ) = try row.decode(
            as: (
                EndpointID, String, String, [String], [String], Int64, String, Int64?, Bool, Bool, String?, Int64, Instant?, Instant?,
                Instant?, Int64, Instant, Instant?
            ).self)
        guard let kind = EndpointCredentials.Kind(rawValue: words.kind), let severity = Severity(rawValue: words.severity) else {
            throw .decoding("an endpoint of unknown kind or severity")
        }
        self.kind = kind
        settings = EndpointSettings(
            name: name, events: events, about: about.compactMap { Concern($0) }, minPercent: minPercent, minSeverity: severity,
            ratePerMinute: rate)
        settings.isPaused = isPaused
    }
}

extension Store {
    /// Seals the credentials and saves the endpoint.
    public func createEndpoint(
        _ id: EndpointID, of organization: OrganizationID, _ settings: EndpointSettings, credentials: EndpointCredentials, sealer: Sealer
    ) async throws -> EndpointRecord {
        let sealed = try sealer.seal(credentials.json.bytes, at: Store.place(of: id, organization))
        return try await transaction { connection in
            try Bound.endpoints.requireRoom(in: organization, connection)
            try Store.require(settings.about, of: organization, connection)
            try connection.query(
                """
                INSERT INTO endpoints
                    (organization_id, id, name, kind, events, about, min_percent, min_severity, rate_per_minute, is_paused, sealed)
                VALUES (\(organization), \(id), \(settings.name), \(credentials.kind.rawValue), \(settings.events),
                        \(settings.about.map(\.description)), \(settings.minPercent), \(settings.minSeverity.rawValue),
                        \(settings.ratePerMinute), \(settings.isPaused), \(Bytea(sealed)))
                """)
            return try Store.endpoint(id, of: organization, connection)
        }
    }

    public func endpoint(_ id: EndpointID, of organization: OrganizationID) async throws -> EndpointRecord {
        try await read { connection in try Store.endpoint(id, of: organization, connection) }
    }

    public func endpoints(
        of organization: OrganizationID, kind: EndpointCredentials.Kind? = nil, _ filter: ListFilter,
        _ listing: Listing<EndpointRecord, EndpointID>
    ) async throws -> Page<EndpointRecord, ListPlace<EndpointID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, name, kind, events, about, min_percent, min_severity, rate_per_minute, is_paused, is_enabled, disabled_reason,
                       failures, failing_since, last_success_at, last_failure_at, revision, created_at, archived_at
                FROM endpoints
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("id")]) AND \(list: [filter.holds])
                  AND (\(kind?.rawValue) IS NULL OR kind = \(kind?.rawValue))
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(EndpointRecord.init)) { $0.id }
        }
    }

    /// Changes what may change. Enabling forgets why the endpoint was disabled, and its failures.
    public func changeEndpoint(
        _ id: EndpointID, of organization: OrganizationID, ifRevision: Int64?, _ change: @Sendable (inout EndpointRecord) throws -> Void
    ) async throws -> EndpointRecord {
        try await transaction { connection in
            var endpoint = try Store.lockEndpoint(id, of: organization, connection)
            try Store.check(revision: endpoint.revision, archivedAt: endpoint.archivedAt, against: ifRevision)
            let about = endpoint.settings.about
            try change(&endpoint)
            if endpoint.settings.about != about { try Store.require(endpoint.settings.about, of: organization, connection) }
            let settings = endpoint.settings
            try connection.query(
                """
                UPDATE endpoints SET name = \(settings.name), events = \(settings.events), about = \(settings.about.map(\.description)),
                    min_percent = \(settings.minPercent), min_severity = \(settings.minSeverity.rawValue),
                    rate_per_minute = \(settings.ratePerMinute), is_paused = \(settings.isPaused),
                    failures = CASE WHEN \(endpoint.isEnabled) AND NOT is_enabled THEN 0 ELSE failures END,
                    failing_since = CASE WHEN \(endpoint.isEnabled) AND NOT is_enabled THEN NULL ELSE failing_since END,
                    disabled_reason = CASE WHEN \(endpoint.isEnabled) THEN NULL ELSE disabled_reason END,
                    is_enabled = \(endpoint.isEnabled), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try Store.endpoint(id, of: organization, connection)
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

    /// Brings an archived endpoint back as it was; a living one stays as it is. What it missed is sent when asked for (`recoverEndpoint`).
    public func restoreEndpoint(_ id: EndpointID, of organization: OrganizationID) async throws -> EndpointRecord {
        try await transaction { connection in
            let endpoint = try Store.lockEndpoint(id, of: organization, connection)
            guard endpoint.archivedAt != nil else { return endpoint }
            try Bound.endpoints.requireRoom(in: organization, connection)
            try connection.query(
                """
                UPDATE endpoints SET archived_at = NULL, revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try Store.endpoint(id, of: organization, connection)
        }
    }

    static func endpoint(
        _ id: EndpointID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> EndpointRecord {
        let result = try connection.query(
            """
            SELECT id, name, kind, events, about, min_percent, min_severity, rate_per_minute, is_paused, is_enabled, disabled_reason,
                   failures, failing_since, last_success_at, last_failure_at, revision, created_at, archived_at
            FROM endpoints WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try EndpointRecord(row)
    }

    /// The same, locked until the end of the Postgres transaction.
    static func lockEndpoint(
        _ id: EndpointID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> EndpointRecord {
        try connection.query("SELECT 1 FROM endpoints WHERE organization_id = \(organization) AND id = \(id) FOR UPDATE")
        return try endpoint(id, of: organization, connection)
    }

    /// What an endpoint wants to hear about must exist.
    private static func require(
        _ about: [Concern], of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        for (index, concern) in about.enumerated() {
            let pointer = "/about/\(index)"
            switch concern {
            case .team(let id): try requireTeam(id, of: organization, at: pointer, connection)
            case .project(let id): try requireProject(id, of: organization, at: pointer, connection)
            case .budget(let id):
                do { _ = try budget(id, of: organization, connection) } catch AdminRefusal.notFound {
                    throw AdminRefusal.unknownReference(pointer: pointer)
                }
            }
        }
    }

    static func place(of endpoint: EndpointID, _ organization: OrganizationID) -> SealedPlace {
        SealedPlace(table: "endpoints", organization: organization, row: endpoint.description)
    }
}
