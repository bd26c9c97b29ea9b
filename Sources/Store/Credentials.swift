/// Who stands behind a secret: the one look-up that runs before the organization is known.
public import Budgets
import Postgres

/// The unchanging facts of an API key, found by its hash.
public struct Credential: Hashable, Sendable {
    public let organization: OrganizationID
    public let apiKey: APIKeyID
    /// Nil for a key with a role.
    public let project: ProjectID?
    public let role: Role?

    public init(organization: OrganizationID, apiKey: APIKeyID, project: ProjectID?, role: Role?) {
        self.organization = organization
        self.apiKey = apiKey
        self.project = project
        self.role = role
    }
}

extension Store {
    /// The credential with this hash, if it is valid now: neither revoked nor expired, of a living organization.
    public func credential(sha256: [UInt8]) async throws -> Credential? {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT k.organization_id, k.id, k.project_id, k.role FROM api_keys AS k
                JOIN organizations AS o ON o.organization_id = k.organization_id
                WHERE k.secret_sha256 = \(Bytea(sha256)) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
                  AND o.archived_at IS NULL
                """)
            guard let row = result.rows.first else { return nil }
            let (organization, key, project, role) = try row.decode(as: (OrganizationID, APIKeyID, ProjectID?, String?).self)
            return Credential(organization: organization, apiKey: key, project: project, role: role.flatMap(Role.init))
        }
    }
}
