/// Nobody outside an organization can make an owner of it, so its last one does not go: it could never be administered again.
import Budgets
import Postgres

extension Store {
    /// Runs what may take an owner's role or API key away.
    /// - Throws: `AdminRefusal.inUse` when it took the last key that an owner could work with.
    static func change(
        _ queries: [Query], keepingAnOwnerOf organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        let hadOne = try hasOwner(organization, connection)
        try connection.pipeline(queries)
        guard try !hadOne || hasOwner(organization, connection) else {
            throw AdminRefusal.inUse("It is the last API key of an owner: make another one first, or rotate it.")
        }
    }

    private static func hasOwner(_ organization: OrganizationID, _ connection: isolated PostgresConnection) throws -> Bool {
        let found = try connection.query(
            """
            SELECT 1::bigint FROM api_keys AS k LEFT JOIN users AS u ON u.organization_id = k.organization_id AND u.id = k.user_id
            WHERE k.organization_id = \(organization) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
              AND k.scopes IS NULL AND (k.role = 'owner' OR (u.archived_at IS NULL AND u.roles @> '[{"role": "owner"}]'))
            LIMIT 1
            """)
        return !found.rows.isEmpty
    }
}
