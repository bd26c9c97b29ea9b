/// API keys: credentials of a project, or of a person or service with roles. Only the SHA-256 of a secret is kept.
public import Budgets
import Postgres

public struct APIKeyRecord: Sendable {
    public let id: APIKeyID
    public var name: String
    /// Exactly one of `project`, `user` and `role` is there.
    public let project: ProjectID?
    public let user: UserID?
    /// The key's own role.
    public let role: RoleGrant?
    /// The key's own role, or its user's roles.
    public let roles: [RoleGrant]
    public let environment: String
    public let limits: APIKeyLimits
    public let hint: String
    /// Up to a minute or so ago; nil: never.
    public let lastUsedAt: Instant?
    public var expiresAt: Instant?
    public let revokedAt: Instant?
    public let revision: Int64
    public let createdAt: Instant

    init(_ row: Row) throws(PostgresError) {
        let roleName: String?
        let team: TeamID?
        let userRoles: JSONB?
        var limits = APIKeyLimits()
        (
            id, name, project, user, roleName, team, userRoles, environment, hint, expiresAt, revokedAt, revision, createdAt, limits.scopes,
            limits.networks, limits.models, lastUsedAt
        ) = try row.decode(
            as: (
                APIKeyID, String, ProjectID?, UserID?, String?, TeamID?, JSONB?, String, String, Instant?, Instant?, Int64, Instant,
                [String]?, [String]?, [String]?, Instant?
            ).self)
        self.limits = limits
        role = roleName.flatMap(Role.init).flatMap { RoleGrant($0, on: team) }
        if let userRoles { roles = try [RoleGrant](column: userRoles) } else { roles = role.map { [$0] } ?? [] }
    }
}

/// An API key about to be written.
public struct NewAPIKey: Sendable {
    public enum Holder: Sendable {
        case project(ProjectID)
        case user(UserID)
        case role(RoleGrant)
    }

    public let id: APIKeyID
    public let name: String
    public let holder: Holder
    public let environment: String
    public let limits: APIKeyLimits
    public let secret: APIKeySecret
    public let expiresAt: Instant?
    /// The `actor` of the credential that makes it; nil at the command line.
    public let madeBy: String?

    public init(
        id: APIKeyID, name: String, holder: Holder, environment: String = "production", limits: APIKeyLimits = APIKeyLimits(),
        secret: APIKeySecret, expiresAt: Instant? = nil, madeBy: String? = nil
    ) {
        self.id = id
        self.name = name
        self.holder = holder
        self.environment = environment
        self.limits = limits
        self.secret = secret
        self.expiresAt = expiresAt
        self.madeBy = madeBy
    }
}

/// Which API keys a list shows; nil: all.
public struct APIKeyFilter: Sendable {
    /// Whether one still opens anything.
    public enum State: String, Sendable, CaseIterable {
        case active, expired, revoked
    }

    public var project: ProjectID?
    public var user: UserID?
    public var state: State?
    /// How names begin, in large or small letters.
    public var namePrefix: String?

    public init(project: ProjectID? = nil, user: UserID? = nil, state: State? = nil, namePrefix: String? = nil) {
        self.project = project
        self.user = user
        self.state = state
        self.namePrefix = namePrefix
    }
}

extension Store {
    /// - Parameter allowed: sees the key as it would be, and throws to undo it.
    public func createAPIKey(
        _ key: NewAPIKey, of organization: OrganizationID, allowed: @Sendable (APIKeyRecord) throws -> Void = { _ in }
    ) async throws -> APIKeyRecord {
        try await configure(organization) { connection in
            try Bound.apiKeys.requireRoom(in: organization, connection)
            switch key.holder {
            case .project(let project): try Store.requireProject(project, of: organization, at: "/project", connection)
            case .user(let user): try Store.requireUser(user, of: organization, at: "/user", connection)
            case .role(let grant):
                if let team = grant.team { try Store.requireTeam(team, of: organization, at: "/team", connection) }
            }
            try connection.query(Store.insert(key, into: organization))
            let made = try Store.apiKey(key.id, of: organization, connection)
            try allowed(made)
            return made
        }
    }

    public func apiKey(_ id: APIKeyID, of organization: OrganizationID) async throws -> APIKeyRecord {
        try await read { connection in try Store.apiKey(id, of: organization, connection) }
    }

    /// Revoked keys too: who had access is part of the record.
    /// - Parameter teams: only keys of these teams' projects, with roles on them or of their users; nil for all.
    public func apiKeys(
        of organization: OrganizationID, teams: [TeamID]?, _ filter: APIKeyFilter, at now: Instant,
        _ listing: Listing<APIKeyRecord, APIKeyID>
    ) async throws -> Page<APIKeyRecord, ListPlace<APIKeyID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT k.id, k.name, k.project_id, k.user_id, k.role, k.team_id, u.roles, k.environment, k.secret_hint, k.expires_at,
                       k.revoked_at, k.revision, k.created_at, k.scopes, k.networks, k.models, l.last_used_at
                FROM api_keys AS k
                LEFT JOIN api_key_uses AS l ON l.organization_id = k.organization_id AND l.api_key_id = k.id
                LEFT JOIN users AS u ON u.organization_id = k.organization_id AND u.id = k.user_id
                LEFT JOIN projects AS p ON p.organization_id = k.organization_id AND p.id = k.project_id
                WHERE k.organization_id = \(organization) AND \(list: [listing.isAfter("k.id")])
                  AND (\(filter.project) IS NULL OR k.project_id = \(filter.project))
                  AND (\(filter.user) IS NULL OR k.user_id = \(filter.user))
                  AND (\(filter.namePrefix) IS NULL OR starts_with(lower(k.name), lower(\(filter.namePrefix))))
                  AND (\(filter.state?.rawValue) IS NULL OR \(filter.state?.rawValue) =
                       CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= \(now) THEN 'expired' ELSE 'active' END)
                  AND (\(teams) IS NULL OR k.team_id = ANY (\(teams)) OR p.team_id = ANY (\(teams))
                       OR EXISTS (SELECT FROM user_teams AS t WHERE t.organization_id = k.organization_id AND t.user_id = k.user_id
                                  AND t.team_id = ANY (\(teams))))
                ORDER BY \(list: [listing.ordering("k.id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(APIKeyRecord.init)) { $0.id }
        }
    }

    public func changeAPIKey(
        _ id: APIKeyID, of organization: OrganizationID, ifRevision: Int64?, _ change: @Sendable (inout APIKeyRecord) throws -> Void
    ) async throws -> APIKeyRecord {
        try await configure(organization) { connection in
            var key = try Store.apiKey(id, of: organization, connection)
            try Store.check(revision: key.revision, archivedAt: key.revokedAt, against: ifRevision)
            try change(&key)
            try connection.query(
                """
                UPDATE api_keys SET name = \(key.name), expires_at = \(key.expiresAt), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try Store.apiKey(id, of: organization, connection)
        }
    }

    /// Revokes a key for good; of the next decision on, every replica refuses it (law 10). Repeating it changes nothing.
    public func revokeAPIKey(
        _ id: APIKeyID, of organization: OrganizationID, allowed: @Sendable (APIKeyRecord) throws -> Void
    ) async throws -> APIKeyRecord {
        try await configure(organization) { connection in
            let key = try Store.apiKey(id, of: organization, connection)
            try allowed(key)
            if key.revokedAt != nil { return key }
            let revocation: Query = """
                UPDATE api_keys SET revoked_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """
            try Store.change([revocation], keepingAnOwnerOf: organization, connection)
            return try Store.apiKey(id, of: organization, connection)
        }
    }

    /// A successor with a new secret; the old key works for `overlapSeconds` more, unless it was to end sooner.
    /// - Parameter actor: who is told the secret, and so has made the successor, unless it is the key's own.
    public func rotateAPIKey(
        _ id: APIKeyID, of organization: OrganizationID, successor: APIKeyID, secret: APIKeySecret, overlapSeconds: Int64, by actor: String,
        allowed: @Sendable (APIKeyRecord) throws -> Void
    ) async throws -> APIKeyRecord {
        try await configure(organization) { connection in
            let old = try Store.apiKey(id, of: organization, connection)
            try allowed(old)
            try Store.check(revision: old.revision, archivedAt: old.revokedAt, against: nil)
            try Bound.apiKeys.requireRoom(in: organization, connection)
            try connection.query(
                """
                UPDATE api_keys
                SET expires_at = least(coalesce(expires_at, 'infinity'), now() + \(overlapSeconds)::bigint * interval '1 second'),
                    revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            try connection.query(
                """
                INSERT INTO api_keys
                    (organization_id, id, name, project_id, user_id, role, team_id, environment, secret_sha256, secret_hint, expires_at,
                     origin_id, made_by, scopes, networks, models)
                SELECT organization_id, \(successor), name, project_id, user_id, role, team_id, environment, \(Bytea(Array(secret.sha256))),
                       \(secret.hint), \(old.expiresAt), coalesce(origin_id, id),
                       CASE WHEN \(actor) IN ('key_' || translate(coalesce(origin_id, id)::text, '-', ''),
                                             'usr_' || translate(user_id::text, '-', '')) THEN made_by ELSE \(actor) END,
                       scopes, networks, models
                FROM api_keys WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try Store.apiKey(successor, of: organization, connection)
        }
    }

    static func apiKey(
        _ id: APIKeyID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> APIKeyRecord {
        let result = try connection.query(
            """
            SELECT k.id, k.name, k.project_id, k.user_id, k.role, k.team_id, u.roles, k.environment, k.secret_hint, k.expires_at,
                   k.revoked_at, k.revision, k.created_at, k.scopes, k.networks, k.models, l.last_used_at
            FROM api_keys AS k
            LEFT JOIN api_key_uses AS l ON l.organization_id = k.organization_id AND l.api_key_id = k.id
            LEFT JOIN users AS u ON u.organization_id = k.organization_id AND u.id = k.user_id
            WHERE k.organization_id = \(organization) AND k.id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try APIKeyRecord(row)
    }

    static func insert(_ key: NewAPIKey, into organization: OrganizationID) -> Query {
        var (project, user, grant) = (ProjectID?.none, UserID?.none, RoleGrant?.none)
        switch key.holder {
        case .project(let id): project = id
        case .user(let id): user = id
        case .role(let held): grant = held
        }
        return """
            INSERT INTO api_keys
                (organization_id, id, name, project_id, user_id, role, team_id, environment, secret_sha256, secret_hint, expires_at, made_by,
                 scopes, networks, models)
            VALUES (\(organization), \(key.id), \(key.name), \(project), \(user), \(grant?.role.rawValue), \(grant?.team),
                    \(key.environment), \(Bytea(Array(key.secret.sha256))), \(key.secret.hint), \(key.expiresAt), \(key.madeBy),
                    \(key.limits.scopes), \(key.limits.networks), \(key.limits.models))
            """
    }
}
