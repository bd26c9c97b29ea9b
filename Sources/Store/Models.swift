/// The catalogue: the platform's models, and an organization's own, which hide the platform's of the same name.
public import Budgets
import Postgres

public struct ModelRecord: Sendable {
    public let id: ModelID
    /// True for the platform's, which an organization sees but cannot change.
    public let isPlatform: Bool
    public let name: String
    public var provider: String
    public var maxInputTokens: Int64?
    public var maxOutputTokens: Int64?
    /// Other names that calls may use.
    public var aliases: [String]
    /// When the provider withdraws it.
    public var deprecatedAt: Instant?
    public let revision: Int64
    public let createdAt: Instant
    public let archivedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        (id, isPlatform, name, provider, maxInputTokens, maxOutputTokens, revision, createdAt, archivedAt, aliases, deprecatedAt) =
            try row.decode(
                as: (ModelID, Bool, String, String, Int64?, Int64?, Int64, Instant, Instant?, [String], Instant?).self)
    }
}

extension Store {
    public func createModel(
        _ id: ModelID, of organization: OrganizationID, name: String, provider: String, maxInputTokens: Int64?, maxOutputTokens: Int64?,
        aliases: [String] = [], deprecatedAt: Instant? = nil
    ) async throws -> ModelRecord {
        try await configureCatalogue(of: organization) { connection in
            try Store.requireFree([name] + aliases, for: id, in: organization, connection)
            try Bound.models.requireRoom(in: organization, connection)
            let result = try connection.query(
                """
                INSERT INTO models (organization_id, id, name, provider, max_input_tokens, max_output_tokens, aliases, deprecated_at)
                VALUES (\(organization), \(id), \(name), \(provider), \(maxInputTokens), \(maxOutputTokens), \(aliases), \(deprecatedAt))
                RETURNING id, organization_id = \(OrganizationID.platform), name, provider, max_input_tokens, max_output_tokens,
                          revision, created_at, archived_at, aliases, deprecated_at
                """)
            return try ModelRecord(result.rows[0])
        }
    }

    /// One of the organization's own models, or of the platform's.
    public func model(_ id: ModelID, visibleTo organization: OrganizationID) async throws -> ModelRecord {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, organization_id = \(OrganizationID.platform), name, provider, max_input_tokens, max_output_tokens,
                       revision, created_at, archived_at, aliases, deprecated_at
                FROM models
                WHERE organization_id IN (\(organization), \(OrganizationID.platform)) AND id = \(id)
                """)
            guard let row = result.rows.first else { throw AdminRefusal.notFound }
            return try ModelRecord(row)
        }
    }

    /// What the organization can name in a call: its own models and those of the platform that it does not hide.
    /// - Parameters:
    ///   - isOwn: only its own, or only the platform's; nil for both.
    public func models(
        visibleTo organization: OrganizationID, provider: String? = nil, isOwn: Bool? = nil, _ filter: ListFilter,
        _ listing: Listing<ModelRecord, ModelID>
    ) async throws -> Page<ModelRecord, ListPlace<ModelID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, organization_id = \(OrganizationID.platform), name, provider, max_input_tokens, max_output_tokens,
                       revision, created_at, archived_at, aliases, deprecated_at
                FROM models AS m
                WHERE organization_id IN (\(organization), \(OrganizationID.platform)) AND \(list: [listing.isAfter("id")])
                  AND \(list: [filter.holds]) AND (\(provider) IS NULL OR provider = \(provider))
                  AND (\(isOwn) IS NULL OR (organization_id = \(organization)) = \(isOwn))
                  AND (organization_id = \(organization) OR NOT EXISTS (
                      SELECT 1 FROM models AS own
                      WHERE own.organization_id = \(organization) AND own.name = m.name AND own.archived_at IS NULL))
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(ModelRecord.init)) { $0.id }
        }
    }

    public func changeModel(
        _ id: ModelID, of organization: OrganizationID, ifRevision: Int64?, _ change: @Sendable (inout ModelRecord) throws -> Void
    ) async throws -> ModelRecord {
        try await configureCatalogue(of: organization) { connection in
            var model = try Store.ownModel(id, of: organization, connection)
            try Store.check(revision: model.revision, archivedAt: model.archivedAt, against: ifRevision)
            try change(&model)
            try Store.requireFree(model.aliases, for: id, in: organization, connection)
            let result = try connection.query(
                """
                UPDATE models
                SET provider = \(model.provider), max_input_tokens = \(model.maxInputTokens),
                    max_output_tokens = \(model.maxOutputTokens), aliases = \(model.aliases), deprecated_at = \(model.deprecatedAt),
                    revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                RETURNING id, organization_id = \(OrganizationID.platform), name, provider, max_input_tokens, max_output_tokens,
                          revision, created_at, archived_at, aliases, deprecated_at
                """)
            return try ModelRecord(result.rows[0])
        }
    }

    /// Takes a model out of the catalogue. Its prices and what was spent on it stay on record.
    public func archiveModel(_ id: ModelID, of organization: OrganizationID, ifRevision: Int64?) async throws {
        try await configureCatalogue(of: organization) { connection in
            let model = try Store.ownModel(id, of: organization, connection)
            try Store.check(revision: model.revision, archivedAt: model.archivedAt, against: ifRevision)
            try connection.query(
                """
                UPDATE models SET archived_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            // Else they would go on as contracted prices of the platform's model of the same name.
            try connection.query(
                """
                UPDATE prices SET valid_to = greatest(now(), valid_from + interval '1 microsecond')
                WHERE organization_id = \(organization) AND model = \(model.name) AND valid_to IS NULL
                """)
        }
    }

    /// Brings an archived model back; a living one stays as it is. Its prices ended when it was archived: it needs new ones.
    public func restoreModel(_ id: ModelID, of organization: OrganizationID) async throws -> ModelRecord {
        try await configureCatalogue(of: organization) { connection in
            let model = try Store.ownModel(id, of: organization, connection)
            guard model.archivedAt != nil else { return model }
            try Store.requireFree([model.name] + model.aliases, for: id, in: organization, connection)
            try Bound.models.requireRoom(in: organization, connection)
            try connection.query(
                """
                UPDATE models SET archived_at = NULL, revision = revision + 1 WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try Store.ownModel(id, of: organization, connection)
        }
    }

    /// A name means one model: nothing it goes by is another's name or alias.
    private static func requireFree(
        _ names: [String], for id: ModelID, in organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        let taken = try connection.query(
            """
            SELECT 1::bigint FROM models
            WHERE organization_id = \(organization) AND id <> \(id) AND archived_at IS NULL
              AND (aliases && \(names) OR name = ANY (\(names))) LIMIT 1
            """)
        guard taken.rows.isEmpty else { throw AdminRefusal.nameTaken }
    }

    private static func ownModel(
        _ id: ModelID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> ModelRecord {
        let result = try connection.query(
            """
            SELECT id, organization_id = \(OrganizationID.platform), name, provider, max_input_tokens, max_output_tokens,
                   revision, created_at, archived_at, aliases, deprecated_at
            FROM models WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try ModelRecord(row)
    }
}
