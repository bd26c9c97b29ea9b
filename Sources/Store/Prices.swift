/// Prices: effective-dated facts. A new one ends the one before it, a wrong one is replaced; nothing else of a price ever changes.
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
    /// The price that holds in this one's stead, if it was wrong.
    public let replacedBy: PriceID?

    init(_ row: Row) throws(PostgresError) {
        (id, isPlatform, model, usageKind, serviceTier, contextFrom, amountPerMillion, validFrom, validTo, source, createdAt, replacedBy) =
            try row.decode(
                as: (PriceID, Bool, String, String, String, Int64, Money, Instant, Instant?, String, Instant, PriceID?).self)
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

/// A price about to take the place of one that was wrong.
public struct PriceCorrection: Sendable {
    public let id: PriceID
    public let replaces: PriceID
    public let amountPerMillion: Money
    public let source: String

    public init(id: PriceID, replacing replaced: PriceID, amountPerMillion: Money, source: String) {
        self.id = id
        self.replaces = replaced
        self.amountPerMillion = amountPerMillion
        self.source = source
    }
}

extension Store {
    /// Appends a price; the one of the same model, kind, service tier and context band that is still open ends where it begins.
    public func createPrice(_ price: NewPrice, of organization: OrganizationID) async throws -> PriceRecord {
        try await configureCatalogue(of: organization) { connection in
            try Store.insertPrice(price, of: organization, connection)
        }
    }

    static func insertPrice(
        _ price: NewPrice, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> PriceRecord {
        try Bound.prices.requireRoom(in: organization, connection)
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
              AND service_tier = \(price.serviceTier) AND context_from = \(price.contextFrom) AND replaced_by IS NULL
              AND valid_from >= \(price.validFrom)
            LIMIT 1
            """)
        guard later.rows.isEmpty else { throw AdminRefusal.laterPriceExists }
        try connection.query(
            """
            UPDATE prices SET valid_to = \(price.validFrom)
            WHERE organization_id = \(organization) AND model = \(price.model) AND usage_kind = \(price.usageKind)
              AND service_tier = \(price.serviceTier) AND context_from = \(price.contextFrom) AND replaced_by IS NULL
              AND valid_to IS NULL
            """)
        let result = try connection.query(
            """
            INSERT INTO prices
                (organization_id, id, model, usage_kind, service_tier, context_from, amount_per_million, valid_from, source)
            VALUES (\(organization), \(price.id), \(price.model), \(price.usageKind), \(price.serviceTier), \(price.contextFrom),
                    \(price.amountPerMillion), \(price.validFrom), \(price.source))
            RETURNING id, organization_id = \(OrganizationID.platform), model, usage_kind, service_tier, context_from,
                      amount_per_million, valid_from, valid_to, source, created_at, replaced_by
            """)
        return try PriceRecord(result.rows[0])
    }

    /// Puts a rate right that was wrong from its beginning: the same slot and time, another amount. The faulty one stays on record, out of
    /// force. What was booked keeps the price it had (`Repricing` books corrections).
    /// - Throws: `AdminRefusal.inUse` when it was replaced already.
    public func correctPrice(_ correction: PriceCorrection, of organization: OrganizationID) async throws -> PriceRecord {
        try await configureCatalogue(of: organization) { connection in
            let replaced = try connection.query(
                """
                UPDATE prices SET replaced_by = \(correction.id)
                WHERE organization_id = \(organization) AND id = \(correction.replaces) AND replaced_by IS NULL RETURNING 1::bigint
                """)
            guard !replaced.rows.isEmpty else {
                let known = try connection.query(
                    "SELECT 1::bigint FROM prices WHERE organization_id = \(organization) AND id = \(correction.replaces)")
                throw known.rows.isEmpty ? AdminRefusal.notFound : .inUse("Another price holds in its stead already.")
            }
            let result = try connection.query(
                """
                INSERT INTO prices
                    (organization_id, id, model, usage_kind, service_tier, context_from, amount_per_million, valid_from, valid_to, source)
                SELECT organization_id, \(correction.id), model, usage_kind, service_tier, context_from, \(correction.amountPerMillion),
                       valid_from, valid_to, \(correction.source)
                FROM prices WHERE organization_id = \(organization) AND id = \(correction.replaces)
                RETURNING id, organization_id = \(OrganizationID.platform), model, usage_kind, service_tier, context_from,
                          amount_per_million, valid_from, valid_to, source, created_at, replaced_by
                """)
            return try PriceRecord(result.rows[0])
        }
    }

    public func price(_ id: PriceID, visibleTo organization: OrganizationID) async throws -> PriceRecord {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, organization_id = \(OrganizationID.platform), model, usage_kind, service_tier, context_from,
                       amount_per_million, valid_from, valid_to, source, created_at, replaced_by
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
                       amount_per_million, valid_from, valid_to, source, created_at, replaced_by
                FROM prices
                WHERE organization_id IN (\(organization), \(OrganizationID.platform)) AND \(list: [listing.isAfter("id")])
                  AND (\(model)::text IS NULL OR model = \(model)) AND valid_from <= \(instant)
                  AND (valid_to IS NULL OR valid_to > \(instant)) AND replaced_by IS NULL
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(PriceRecord.init)) { $0.id }
        }
    }
}
