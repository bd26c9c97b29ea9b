/// What providers reported and nothing bills: kept with each entry, and listed here by model and field so that somebody looks (law 9).
public import Budgets
public import Postgres

/// A field that was seen with a model's usage.
public struct UnmappedUsage: Sendable {
    public let model: String
    /// Its path in the provider's object, or a word that stands for a surcharge: `speed: fast`.
    public let field: String
    public let entries: Int64
    public let firstSeenAt: Instant
    public let lastSeenAt: Instant
    /// Of no other field.
    let place: String

    init(_ row: Row) throws(PostgresError) {
        (model, field, entries, firstSeenAt, lastSeenAt, place) = try row.decode(
            as: (String, String, Int64, Instant, Instant, String).self)
    }

    /// Fields listed for one organization: callers choose their names, so there must be an end (law 11).
    public static let maximumFields: Int64 = 1_000

    public struct Sighting: Sendable {
        public let organization: OrganizationID
        public let model: String
        public let field: String
        public let at: Instant

        public init(organization: OrganizationID, model: String, field: String, at: Instant) {
            self.organization = organization
            self.model = model
            self.field = field
            self.at = at
        }
    }

    /// Adds sightings to the list; part of the flight that books their entries.
    public static func note(_ seen: [Sighting]) -> Query {
        """
        INSERT INTO unmapped_usage AS u (organization_id, model, field, entries, first_seen_at, last_seen_at)
        SELECT s.organization_id, s.model, s.field, count(*), min(s.at), max(s.at)
        FROM unnest(\(seen.map(\.organization)), \(seen.map(\.model)), \(seen.map(\.field)), \(seen.map(\.at)))
             AS s (organization_id, model, field, at)
        WHERE (SELECT count(*) FROM unmapped_usage AS all_of WHERE all_of.organization_id = s.organization_id) < \(maximumFields)
           OR EXISTS (SELECT FROM unmapped_usage AS known
                      WHERE known.organization_id = s.organization_id AND known.model = s.model AND known.field = s.field)
        GROUP BY 1, 2, 3
        ON CONFLICT (organization_id, model, field) DO UPDATE
        SET entries = u.entries + EXCLUDED.entries, last_seen_at = greatest(u.last_seen_at, EXCLUDED.last_seen_at)
        """
    }
}

extension Store {
    /// - Parameter model: only of this one; nil for all.
    public func unmappedUsage(
        of organization: OrganizationID, model: String? = nil, _ listing: Listing<UnmappedUsage, String>
    ) async throws -> Page<UnmappedUsage, ListPlace<String>> {
        // Two names in one text, which tells them apart: there is no other position among fields seen at the same moment.
        let place: Query = "jsonb_build_array(model, field)::text"
        return try await read { connection in
            let result = try connection.query(
                """
                SELECT model, field, entries, first_seen_at, last_seen_at, \(list: [place]) FROM unmapped_usage
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter(place)])
                  AND (\(model) IS NULL OR model = \(model))
                ORDER BY \(list: [listing.ordering(place)]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(UnmappedUsage.init)) { $0.place }
        }
    }
}
