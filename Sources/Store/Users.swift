/// Users: people and services with roles in the tree. Their API keys have their roles, as they are at each request.
public import Budgets
import JSON
import Postgres

public struct UserRecord: Sendable {
    public let id: UserID
    public var name: String
    /// Nil for a service.
    public var email: String?
    public var roles: [RoleGrant]
    public let revision: Int64
    public let createdAt: Instant
    public let archivedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let column: JSONB
        (id, name, email, column, revision, createdAt, archivedAt) = try row.decode(
            as: (UserID, String, String?, JSONB, Int64, Instant, Instant?).self)
        roles = try [RoleGrant](column: column)
    }
}

extension Store {
    public func createUser(
        _ id: UserID, of organization: OrganizationID, name: String, email: String?, roles: [RoleGrant]
    ) async throws -> UserRecord {
        try await configure(organization) { connection in
            try Bound.users.requireRoom(in: organization, connection)
            try Store.requireTeams(of: roles, of: organization, connection)
            try connection.query(
                """
                INSERT INTO users (organization_id, id, name, email, roles)
                VALUES (\(organization), \(id), \(name), \(email), \(roles.column))
                """)
            return try Store.user(id, of: organization, connection)
        }
    }

    public func user(_ id: UserID, of organization: OrganizationID) async throws -> UserRecord {
        try await read { connection in try Store.user(id, of: organization, connection) }
    }

    /// - Parameter teams: only users with a role on one of these; nil for all.
    public func users(
        of organization: OrganizationID, teams: [TeamID]?, _ filter: ListFilter, _ listing: Listing<UserRecord, UserID>
    ) async throws -> Page<UserRecord, ListPlace<UserID>> {
        let teams = teams?.map(\.description)
        return try await read { connection in
            let result = try connection.query(
                """
                SELECT id, name, email, roles, revision, created_at, archived_at FROM users
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("id")]) AND \(list: [filter.holds])
                  AND (\(teams) IS NULL
                       OR EXISTS (SELECT FROM jsonb_array_elements(roles) AS r WHERE r ->> 'team' = ANY (\(teams))))
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(UserRecord.init)) { $0.id }
        }
    }

    public func changeUser(
        _ id: UserID, of organization: OrganizationID, ifRevision: Int64?, _ change: @Sendable (inout UserRecord) throws -> Void
    ) async throws -> UserRecord {
        try await configure(organization) { connection in
            var user = try Store.user(id, of: organization, connection)
            try Store.check(revision: user.revision, archivedAt: user.archivedAt, against: ifRevision)
            let before = Set(user.roles)
            try change(&user)
            try Store.requireTeams(of: user.roles.filter { !before.contains($0) }, of: organization, connection)
            let update: Query = """
                UPDATE users SET name = \(user.name), email = \(user.email), roles = \(user.roles.column), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """
            try Store.change([update], keepingAnOwnerOf: organization, connection)
            return try Store.user(id, of: organization, connection)
        }
    }

    /// Puts a user away and revokes their API keys with it (law 10).
    public func archiveUser(
        _ id: UserID, of organization: OrganizationID, ifRevision: Int64?, allowed: @Sendable (UserRecord) throws -> Void
    ) async throws {
        try await configure(organization) { connection in
            let user = try Store.user(id, of: organization, connection)
            try Store.check(revision: user.revision, archivedAt: user.archivedAt, against: ifRevision)
            try allowed(user)
            let archiving: [Query] = [
                """
                UPDATE users SET archived_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """,
                """
                UPDATE api_keys SET revoked_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND user_id = \(id) AND revoked_at IS NULL
                """,
            ]
            try Store.change(archiving, keepingAnOwnerOf: organization, connection)
        }
    }

    /// Brings an archived user back. Repeating it changes nothing.
    public func restoreUser(
        _ id: UserID, of organization: OrganizationID, allowed: @Sendable (UserRecord) throws -> Void
    ) async throws -> UserRecord {
        try await configure(organization) { connection in
            let user = try Store.user(id, of: organization, connection)
            try allowed(user)
            if user.archivedAt == nil { return user }
            try Bound.users.requireRoom(in: organization, connection)
            try Store.requireTeams(of: user.roles, of: organization, connection)
            try connection.query(
                """
                UPDATE users SET archived_at = NULL, revision = revision + 1 WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try Store.user(id, of: organization, connection)
        }
    }

    static func user(_ id: UserID, of organization: OrganizationID, _ connection: isolated PostgresConnection) throws -> UserRecord {
        let result = try connection.query(
            """
            SELECT id, name, email, roles, revision, created_at, archived_at FROM users
            WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try UserRecord(row)
    }

    /// The user a body refers to: one that lives.
    static func requireUser(
        _ id: UserID, of organization: OrganizationID, at pointer: String, _ connection: isolated PostgresConnection
    ) throws {
        let result = try connection.query(
            "SELECT id FROM users WHERE organization_id = \(organization) AND id = \(id) AND archived_at IS NULL")
        guard !result.rows.isEmpty else { throw AdminRefusal.unknownReference(pointer: pointer) }
    }

    private static func requireTeams(
        of roles: [RoleGrant], of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        for team in Set(roles.compactMap(\.team)) { try requireTeam(team, of: organization, at: "/roles", connection) }
    }
}
