/// API keys: credentials of a project, or of a person or service with a role. Only the SHA-256 of a secret is kept.
public import Budgets
import Postgres

/// What somebody with a credential may be (design §10).
public enum Role: String, Sendable, CaseIterable, Hashable {
    case `operator`, owner, admin, finance, auditor
}

public struct APIKeyRecord: Sendable {
    public let id: APIKeyID
    public var name: String
    /// Exactly one of `project` and `role` is there.
    public let project: ProjectID?
    public let role: Role?
    public let environment: String
    public let hint: String
    public var expiresAt: Instant?
    public let revokedAt: Instant?
    public let revision: Int64
    public let createdAt: Instant

    init(_ row: Row) throws(PostgresError) {
        let roleName: String?
        (id, name, project, roleName, environment, hint, expiresAt, revokedAt, revision, createdAt) = try row.decode(
            as: (APIKeyID, String, ProjectID?, String?, String, String, Instant?, Instant?, Int64, Instant).self)
        role = roleName.flatMap(Role.init)
    }
}

/// An API key about to be written.
public struct NewAPIKey: Sendable {
    public enum Holder: Sendable {
        case project(ProjectID)
        case role(Role)
    }

    public let id: APIKeyID
    public let name: String
    public let holder: Holder
    public let environment: String
    public let secret: APIKeySecret
    public let expiresAt: Instant?

    public init(
        id: APIKeyID, name: String, holder: Holder, environment: String = "production", secret: APIKeySecret, expiresAt: Instant? = nil
    ) {
        self.id = id
        self.name = name
        self.holder = holder
        self.environment = environment
        self.secret = secret
        self.expiresAt = expiresAt
    }
}

extension Store {
    public func createAPIKey(_ key: NewAPIKey, of organization: OrganizationID) async throws -> APIKeyRecord {
        try await configure(organization) { connection in
            if case .project(let project) = key.holder {
                try Store.requireProject(project, of: organization, at: "/project", connection)
            }
            return try APIKeyRecord(try connection.query(Store.insert(key, into: organization)).rows[0])
        }
    }

    public func apiKey(_ id: APIKeyID, of organization: OrganizationID) async throws -> APIKeyRecord {
        try await read { connection in try Store.apiKey(id, of: organization, connection) }
    }

    /// Revoked keys too: who had access is part of the record.
    public func apiKeys(of organization: OrganizationID, after: APIKeyID, limit: Int) async throws -> Page<APIKeyRecord, APIKeyID> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, name, project_id, role, environment, secret_hint, expires_at, revoked_at, revision, created_at FROM api_keys
                WHERE organization_id = \(organization) AND id > \(after)
                ORDER BY id LIMIT \(limit + 1)
                """)
            return Page(try result.rows.map(APIKeyRecord.init), limit: limit, cursor: \.id)
        }
    }

    public func changeAPIKey(
        _ id: APIKeyID, of organization: OrganizationID, ifRevision: Int64?, _ change: @Sendable (inout APIKeyRecord) throws -> Void
    ) async throws -> APIKeyRecord {
        try await configure(organization) { connection in
            var key = try Store.apiKey(id, of: organization, connection)
            try Store.check(revision: key.revision, archivedAt: key.revokedAt, against: ifRevision)
            try change(&key)
            let result = try connection.query(
                """
                UPDATE api_keys SET name = \(key.name), expires_at = \(key.expiresAt), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                RETURNING id, name, project_id, role, environment, secret_hint, expires_at, revoked_at, revision, created_at
                """)
            return try APIKeyRecord(result.rows[0])
        }
    }

    /// Revokes a key for good; of the next decision on, every replica refuses it (law 10). Repeating it changes nothing.
    public func revokeAPIKey(
        _ id: APIKeyID, of organization: OrganizationID, allowed: @Sendable (APIKeyRecord) throws -> Void
    ) async throws -> APIKeyRecord {
        try await configure(organization) { connection in
            let key = try Store.apiKey(id, of: organization, connection)
            try allowed(key)
            let result = try connection.query(
                """
                UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                RETURNING id, name, project_id, role, environment, secret_hint, expires_at, revoked_at, revision, created_at
                """)
            return try APIKeyRecord(result.rows[0])
        }
    }

    /// A successor with a new secret; the old key works for `overlapSeconds` more, unless it was to end sooner.
    public func rotateAPIKey(
        _ id: APIKeyID, of organization: OrganizationID, successor: APIKeyID, secret: APIKeySecret, overlapSeconds: Int64,
        allowed: @Sendable (APIKeyRecord) throws -> Void
    ) async throws -> APIKeyRecord {
        try await configure(organization) { connection in
            let old = try Store.apiKey(id, of: organization, connection)
            try allowed(old)
            try Store.check(revision: old.revision, archivedAt: old.revokedAt, against: nil)
            try connection.query(
                """
                UPDATE api_keys
                SET expires_at = least(coalesce(expires_at, 'infinity'), now() + \(overlapSeconds)::bigint * interval '1 second'),
                    revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            let result = try connection.query(
                """
                INSERT INTO api_keys
                    (organization_id, id, name, project_id, role, environment, secret_sha256, secret_hint, expires_at)
                SELECT organization_id, \(successor), name, project_id, role, environment, \(Bytea(secret.sha256)), \(secret.hint),
                       \(old.expiresAt)
                FROM api_keys WHERE organization_id = \(organization) AND id = \(id)
                RETURNING id, name, project_id, role, environment, secret_hint, expires_at, revoked_at, revision, created_at
                """)
            return try APIKeyRecord(result.rows[0])
        }
    }

    static func apiKey(
        _ id: APIKeyID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> APIKeyRecord {
        let result = try connection.query(
            """
            SELECT id, name, project_id, role, environment, secret_hint, expires_at, revoked_at, revision, created_at FROM api_keys
            WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try APIKeyRecord(row)
    }

    static func insert(_ key: NewAPIKey, into organization: OrganizationID) -> Query {
        let project: ProjectID?
        let role: String?
        switch key.holder {
        case .project(let id): (project, role) = (id, nil)
        case .role(let held): (project, role) = (nil, held.rawValue)
        }
        return """
            INSERT INTO api_keys (organization_id, id, name, project_id, role, environment, secret_sha256, secret_hint, expires_at)
            VALUES (\(organization), \(key.id), \(key.name), \(project), \(role), \(key.environment), \(Bytea(key.secret.sha256)),
                    \(key.secret.hint), \(key.expiresAt))
            RETURNING id, name, project_id, role, environment, secret_hint, expires_at, revoked_at, revision, created_at
            """
    }
}
