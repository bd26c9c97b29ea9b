/// Who stands behind a secret: the one look-up that runs before the organization is known.
public import Budgets
import Postgres

/// Who asks, found by the hash of their API key.
public struct Credential: Hashable, Sendable {
    public let organization: OrganizationID
    public let apiKey: APIKeyID
    /// Nil for a key with roles.
    public let project: ProjectID?
    /// The person or service whose key it is, if it is one's.
    public let user: UserID?
    /// The key's own role, or its user's roles as they are now.
    public let roles: [RoleGrant]
    /// Who acts, whichever of their keys they use: the user, or the key that this one succeeds.
    public let actor: String
    /// Who made the key: a person does not become two by making one.
    public let madeBy: String?
    public let limits: APIKeyLimits

    public init(
        organization: OrganizationID, apiKey: APIKeyID, project: ProjectID? = nil, user: UserID? = nil, roles: [RoleGrant] = [],
        origin: APIKeyID? = nil, madeBy: String? = nil, limits: APIKeyLimits = APIKeyLimits()
    ) {
        self.organization = organization
        self.apiKey = apiKey
        self.project = project
        self.user = user
        self.roles = roles
        actor = user?.description ?? (origin ?? apiKey).description
        self.madeBy = madeBy
        self.limits = limits
    }
}

extension Store {
    /// The credential with this hash, if it is valid now: neither revoked nor expired, of a living organization and user.
    public func credential(sha256: [UInt8]) async throws -> Credential? {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT k.organization_id, k.id, k.project_id, k.user_id, k.role, k.team_id, u.roles, k.origin_id, k.made_by,
                       k.scopes, k.networks, k.models
                FROM api_keys AS k
                JOIN organizations AS o ON o.organization_id = k.organization_id
                LEFT JOIN users AS u ON u.organization_id = k.organization_id AND u.id = k.user_id
                WHERE k.secret_sha256 = \(Bytea(sha256)) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
                  AND o.archived_at IS NULL AND u.archived_at IS NULL
                """)
            guard let row = result.rows.first else { return nil }
            let (organization, key, project, user, role, team, userRoles, origin, madeBy, scopes, networks, models) = try row.decode(
                as: (
                    OrganizationID, APIKeyID, ProjectID?, UserID?, String?, TeamID?, JSONB?, APIKeyID?, String?, [String]?, [String]?,
                    [String]?
                ).self)
            let own = role.flatMap(Role.init).flatMap { RoleGrant($0, on: team) }
            let roles = try userRoles.map { (column) throws(PostgresError) in try [RoleGrant](column: column) } ?? own.map { [$0] } ?? []
            return Credential(
                organization: organization, apiKey: key, project: project, user: user, roles: roles, origin: origin, madeBy: madeBy,
                limits: APIKeyLimits(scopes: scopes, networks: networks, models: models))
        }
    }
}
