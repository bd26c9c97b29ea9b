/// Who stands behind a secret: the one look-up that runs before the organization is known.
public import Budgets
public import Crypto
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
    /// Who made the key, who made the key they made it with, and so on: a person does not become two by making one.
    public let makers: [String]
    public let limits: APIKeyLimits

    public init(
        organization: OrganizationID, apiKey: APIKeyID, project: ProjectID? = nil, user: UserID? = nil, roles: [RoleGrant] = [],
        origin: APIKeyID? = nil, makers: [String] = [], limits: APIKeyLimits = APIKeyLimits()
    ) {
        self.organization = organization
        self.apiKey = apiKey
        self.project = project
        self.user = user
        self.roles = roles
        actor = user?.description ?? (origin ?? apiKey).description
        self.makers = makers
        self.limits = limits
    }
}

/// Somebody who spoke before: asked for something, or gave the first of two words.
public struct Speaker: Hashable, Sendable {
    /// Their `Credential.actor`.
    public let actor: String
    /// Their `Credential.makers`; nobody for a user.
    public let makers: [String]

    public init(actor: String, makers: [String] = []) {
        self.actor = actor
        self.makers = makers
    }
}

extension Store {
    /// The credential with this hash, if it is valid now: neither revoked nor expired, of a living organization and user. The index is
    /// over hashes, so how long it looks says nothing of how much of a key is right.
    public func credential(sha256: SHA256Digest) async throws -> Credential? {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT k.organization_id, k.id, k.project_id, k.user_id, k.role, k.team_id, u.roles, k.origin_id,
                       \(list: [Store.makers("k.made_by", of: "k.organization_id")]), k.scopes, k.networks, k.models
                FROM api_keys AS k
                JOIN organizations AS o ON o.organization_id = k.organization_id
                LEFT JOIN users AS u ON u.organization_id = k.organization_id AND u.id = k.user_id
                WHERE k.secret_sha256 = \(Bytea(Array(sha256))) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
                  AND o.archived_at IS NULL AND u.archived_at IS NULL
                """)
            guard let row = result.rows.first else { return nil }
            let (organization, key, project, user, role, team, userRoles, origin, makers, scopes, networks, models) = try row.decode(
                as: (
                    OrganizationID, APIKeyID, ProjectID?, UserID?, String?, TeamID?, JSONB?, APIKeyID?, [String]?, [String]?, [String]?,
                    [String]?
                ).self)
            let own = role.flatMap(Role.init).flatMap { RoleGrant($0, on: team) }
            let roles = try userRoles.map { (column) throws(PostgresError) in try [RoleGrant](column: column) } ?? own.map { [$0] } ?? []
            return Credential(
                organization: organization, apiKey: key, project: project, user: user, roles: roles, origin: origin, makers: makers ?? [],
                limits: APIKeyLimits(scopes: scopes, networks: networks, models: models))
        }
    }

    static func speaker(
        _ actor: String, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> Speaker {
        guard let key = APIKeyID(actor) else { return Speaker(actor: actor) }
        let result = try connection.query(
            """
            SELECT DISTINCT unnest(\(list: [makers("made_by", of: "organization_id")])) FROM api_keys
            WHERE organization_id = \(organization) AND (id = \(key) OR origin_id = \(key))
            """)
        return Speaker(actor: actor, makers: try result.rows.map { try $0.decode(as: String.self) })
    }

    /// An array of whoever stands behind `maker`, a column with an actor, and the actor itself; NULL for nobody.
    private static func makers(_ maker: Query, of organization: Query) -> Query {
        """
        (WITH RECURSIVE makers (actor, key) AS (
             SELECT a.actor, CASE WHEN starts_with(a.actor, 'key_') THEN substr(a.actor, 5)::uuid END
             FROM (SELECT \(list: [maker])) AS a (actor)
             UNION
             SELECT m.made_by, CASE WHEN starts_with(m.made_by, 'key_') THEN substr(m.made_by, 5)::uuid END
             FROM makers JOIN api_keys AS m ON m.organization_id = \(list: [organization]) AND m.id = makers.key)
         SELECT array_agg(actor) FILTER (WHERE actor IS NOT NULL) FROM makers)
        """
    }
}
