/// Prices: effective-dated facts. A new one ends the one before it; nothing else of a price ever changes.
public import Budgets
import Postgres

public struct PriceRecord: Sendable {
    public let id: PriceID
    /// True for the platform's list price, false for one agreed with this organization.
    public let isPlatform: Bool
    public let model: String
    public let usageKind: UsageKind
    public let serviceTier: String
    public let contextFrom: Int64
    public let amountPerMillion: Money
    public let validFrom: Instant
    public let validTo: Instant?
    public let source: String
    public let createdAt: Instant

    init(_ row: Row) throws(PostgresError) {
        (id, isPlatform, model, usageKind, serviceTier, contextFrom, amountPerMillion, validFrom, validTo, source, createdAt) =
            try row.decode(
                as: (PriceID, Bool, String, String, String, Int64, Money, Instant, Instant?, String, Instant).self)
    }
}

/// A price about to be appended.
public struct NewPrice: Sendable {
    public let id: PriceID
    public let model: String
    public let usageKind: UsageKind
    public let serviceTier: String
    public let contextFrom: Int64
    public let amountPerMillion: Money
    public let validFrom: Instant
    public let source: String

    public init(
        id: PriceID, model: String, usageKind: UsageKind, serviceTier: String, contextFrom: Int64, amountPerMillion: Money,
        validFrom: Instant, source: String
    ) {
        self.id = id
        self.model = model
        self.usageKind = usageKind
        self.serviceTier = serviceTier
        self.contextFrom = contextFrom
        self.amountPerMillion = amountPerMillion
        self.validFrom = validFrom
        self.source = source
    }
}

extension Store {
    /// Appends a price; the one of the same model, kind, service tier and context band that is still open ends where it begins.
    public func createPrice(_ price: NewPrice, of organization: OrganizationID) async throws -> PriceRecord {
        try await configureCatalogue(of: organization) { connection in
            let model = try connection.query(
                """
                SELECT 1::bigint FROM models
                WHERE organization_id IN (\(organization), \(OrganizationID.platform)) AND name = \(price.model) AND archived_at IS NULL
                LIMIT 1
                """)
            guard !model.rows.isEmpty else { throw AdminRefusal.unknownReference(pointer: "/model") }
            let later = try connection.query(
                """
                SELECT 1::bigint FROM prices
                WHERE organization_id = \(organization) AND model = \(price.model) AND usage_kind = \(price.usageKind)
                  AND service_tier = \(price.serviceTier) AND context_from = \(price.contextFrom) AND valid_from >= \(price.validFrom)
                LIMIT 1
                """)
            guard later.rows.isEmpty else { throw AdminRefusal.laterPriceExists }
            try connection.query(
                """
                UPDATE prices SET valid_to = \(price.validFrom)
                WHERE organization_id = \(organization) AND model = \(price.model) AND usage_kind = \(price.usageKind)
                  AND service_tier = \(price.serviceTier) AND context_from = \(price.contextFrom) AND valid_to IS NULL
                """)
            let result = try connection.query(
                """
                INSERT INTO prices
                    (organization_id, id, model, usage_kind, service_tier, context_from, amount_per_million, valid_from, source)
                VALUES (\(organization), \(price.id), \(price.model), \(price.usageKind), \(price.serviceTier), \(price.contextFrom),
                        \(price.amountPerMillion), \(price.validFrom), \(price.source))
                RETURNING id, organization_id = \(OrganizationID.platform), model, usage_kind, service_tier, context_from,
                          amount_per_million, valid_from, valid_to, source, created_at
                """)
            return try PriceRecord(result.rows[0])
        }
    }

    public func price(_ id: PriceID, visibleTo organization: OrganizationID) async throws -> PriceRecord {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, organization_id = \(OrganizationID.platform), model, usage_kind, service_tier, context_from,
                       amount_per_million, valid_from, valid_to, source, created_at
                FROM prices
                WHERE organization_id IN (\(organization), \(OrganizationID.platform)) AND id = \(id)
                """)
            guard let row = result.rows.first else { throw AdminRefusal.notFound }
            return try PriceRecord(row)
        }
    }

    /// The prices in force at an instant, of one model or of all: list prices and agreed ones side by side.
    public func prices(
        visibleTo organization: OrganizationID, model: String?, at instant: Instant, _ listing: Listing<PriceRecord, PriceID>
    ) async throws -> Page<PriceRecord, ListPlace<PriceID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, organization_id = \(OrganizationID.platform), model, usage_kind, service_tier, context_from,
                       amount_per_million, valid_from, valid_to, source, created_at
                FROM prices
                WHERE organization_id IN (\(organization), \(OrganizationID.platform)) AND \(list: [listing.isAfter("id")])
                  AND (\(model)::text IS NULL OR model = \(model)) AND valid_from <= \(instant)
                  AND (valid_to IS NULL OR valid_to > \(instant))
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(PriceRecord.init)) { $0.id }
        }
    }
}
