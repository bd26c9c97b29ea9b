/// Commitments as they are kept: bought once and never changed, because closed months are made of them. One that no closed month knows of
/// can be taken back.
public import Budgets
import Postgres

public struct CommitmentRecord: Sendable {
    public let id: CommitmentID
    public let name: String
    public let provider: String
    /// Patterns; none: all of the provider's models.
    public let models: [Pattern]
    /// What was paid, in US dollars.
    public let amount: Money
    /// The first day of the term, by the organization's calendar.
    public let fromDate: CivilDate
    /// The first day after the term.
    public let untilDate: CivilDate
    /// Whose statement has the purchase.
    public let purchaseMonth: StatementMonth
    /// The provider's invoice that it was paid with.
    public let invoice: String?
    public let revision: Int64
    public let createdAt: Instant
    public let cancelledAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let (id, name, provider, models, amount, from, until, month, invoice, revision, createdAt, cancelledAt) = try row.decode(
            as: (
                CommitmentID, String, String, [String], Money, String, String, String, String?, Int64, Instant, Instant?
            ).self)
        guard let fromDate = CivilDate(from), let untilDate = CivilDate(until), let purchaseMonth = StatementMonth(month) else {
            throw .decoding("a commitment without a term")
        }
        (self.id, self.name, self.provider, self.models, self.amount) = (id, name, provider, models.compactMap { Pattern($0) }, amount)
        (self.fromDate, self.untilDate, self.purchaseMonth) = (fromDate, untilDate, purchaseMonth)
        (self.invoice, self.revision, self.createdAt, self.cancelledAt) = (invoice, revision, createdAt, cancelledAt)
    }

    func commitment(in zone: Zone) -> Commitment {
        commitment(from: zone.start(of: fromDate), until: zone.start(of: untilDate))
    }

    func commitment(from start: Instant, until end: Instant) -> Commitment {
        Commitment(id: id, provider: provider, models: models, amount: amount, start: start, end: end)
    }
}

/// A commitment about to be written down.
public struct NewCommitment: Sendable {
    public let id: CommitmentID
    public let name: String
    public let provider: String
    public let models: [String]
    public let amount: Money
    public let fromDate: CivilDate
    public let untilDate: CivilDate
    public let purchaseMonth: StatementMonth
    public let invoice: String?

    public init(
        id: CommitmentID, name: String, provider: String, models: [String] = [], amount: Money, fromDate: CivilDate, untilDate: CivilDate,
        purchaseMonth: StatementMonth, invoice: String? = nil
    ) {
        (self.id, self.name, self.provider, self.models, self.amount) = (id, name, provider, models, amount)
        (self.fromDate, self.untilDate, self.purchaseMonth, self.invoice) = (fromDate, untilDate, purchaseMonth, invoice)
    }
}

/// Whether a commitment still counts.
public enum CommitmentState: String, Sendable, CaseIterable { case active, cancelled }

extension Store {
    /// Writes a commitment down. Months that were proposed and that it concerns are open again: something else of them is billed now.
    /// - Throws: `AdminRefusal.unfit` when its term or its purchase begins in a closed month, `.inUse` while a month of its is closing.
    public func createCommitment(_ new: NewCommitment, of organization: OrganizationID) async throws -> CommitmentRecord {
        try await configure(organization) { connection in
            try Bound.commitments.requireRoom(in: organization, connection)
            let (zone, closed) = try Commitments.books(of: organization, connection)
            if let closed, zone.start(of: new.fromDate) < closed {
                let cure = "begin with \(zone.date(at: closed)), the first day that is open, and with what was left then"
                throw AdminRefusal.unfit(pointer: "/from_date", "is in a closed month, which stays as it is: \(cure)")
            }
            if let closed, new.purchaseMonth.span(in: zone).start < closed {
                throw AdminRefusal.unfit(pointer: "/purchase_month", "is closed: the first that is open is \(zone.month(at: closed))")
            }
            try connection.query(Commitments.insert(new, organization))
            let record = try Commitments.read(new.id, organization, connection)
            try Commitments.reconsider(record, zone, organization, connection)
            return record
        }
    }

    public func commitment(_ id: CommitmentID, of organization: OrganizationID) async throws -> CommitmentRecord {
        try await read { connection in try Commitments.read(id, organization, connection) }
    }

    /// All commitments, those of the past and those taken back included.
    public func commitments(
        of organization: OrganizationID, provider: String?, state: CommitmentState?, _ listing: Listing<CommitmentRecord, CommitmentID>
    ) async throws -> Page<CommitmentRecord, ListPlace<CommitmentID>> {
        try await read { connection in
            let isCancelled = state.map { $0 == .cancelled }
            let result = try connection.query(
                """
                SELECT id, name, provider, models, amount, from_date::text, until_date::text, purchase_month, invoice, revision, created_at,
                       cancelled_at
                FROM commitments
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("id")])
                  AND (\(provider)::text IS NULL OR provider = \(provider))
                  AND (\(isCancelled)::boolean IS NULL OR (cancelled_at IS NOT NULL) = \(isCancelled))
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(CommitmentRecord.init)) { $0.id }
        }
    }

    /// Takes a commitment back, as if it had never been bought.
    /// - Throws: `AdminRefusal.alreadyDecided` when it was taken back before, `.inUse` when its purchase, and so maybe what was drawn on it,
    ///   is in a closed month.
    public func cancelCommitment(
        _ id: CommitmentID, of organization: OrganizationID, ifRevision: Int64?, at now: Instant
    ) async throws -> CommitmentRecord {
        try await configure(organization) { connection in
            let before = try Commitments.read(id, organization, connection)
            try Store.check(revision: before.revision, archivedAt: nil, against: ifRevision)
            guard before.cancelledAt == nil else { throw AdminRefusal.alreadyDecided(CommitmentState.cancelled.rawValue) }
            let (zone, closed) = try Commitments.books(of: organization, connection)
            if let closed, before.purchaseMonth.span(in: zone).start < closed {
                throw AdminRefusal.inUse("It was bought in a closed month, which stays as it is. Open that one again first.")
            }
            guard try !Commitments.isCharged(id, organization, connection) else {
                throw AdminRefusal.inUse("Somebody has charged what is unused of it to a project: take that adjustment back first.")
            }
            try connection.query(
                """
                UPDATE commitments SET cancelled_at = \(now), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            try Commitments.reconsider(before, zone, organization, connection)
            return try Commitments.read(id, organization, connection)
        }
    }
}

enum Commitments {
    fileprivate static func read(
        _ id: CommitmentID, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> CommitmentRecord {
        let result = try connection.query(
            """
            SELECT id, name, provider, models, amount, from_date::text, until_date::text, purchase_month, invoice, revision, created_at,
                   cancelled_at
            FROM commitments WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try CommitmentRecord(row)
    }

    /// Those of the past included: few, as each was paid for by somebody.
    static func all(_ organization: OrganizationID, _ connection: isolated PostgresConnection) throws -> [CommitmentRecord] {
        try connection.query(
            """
            SELECT id, name, provider, models, amount, from_date::text, until_date::text, purchase_month, invoice, revision, created_at,
                   cancelled_at
            FROM commitments WHERE organization_id = \(organization) ORDER BY id
            """
        ).rows.map(CommitmentRecord.init)
    }

    /// An adjustment of the unused part of a commitment that is kept here names it by its id; of any other, by its name.
    static func checkUnused(
        _ new: NewAdjustment, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        guard new.kind == .unusedCommitment, let id = new.feature.flatMap({ CommitmentID($0) }) else { return }
        do {
            guard try read(id, organization, connection).cancelledAt == nil else {
                throw AdminRefusal.unfit(pointer: "/feature", "names a commitment that was cancelled")
            }
        } catch AdminRefusal.notFound {
            throw AdminRefusal.unknownReference(pointer: "/feature")
        }
    }

    /// The calendar, and the instant until which the books are closed.
    fileprivate static func books(
        of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> (zone: Zone, closedUntil: Instant?) {
        let rows = try connection.query(
            "SELECT time_zone, closed_until FROM organizations WHERE organization_id = \(organization)"
        ).rows
        guard let (name, closed) = try rows.first?.decode(as: (String, Instant?).self), let zone = Zone(name) else {
            throw AdminRefusal.notFound
        }
        return (zone, closed)
    }

    fileprivate static func isCharged(
        _ id: CommitmentID, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> Bool {
        try connection.query(
            """
            SELECT count(*) FILTER (WHERE state = 'requested') > 0 OR coalesce(sum(amount) FILTER (WHERE state = 'booked'), 0) <> 0
            FROM adjustments
            WHERE organization_id = \(organization) AND kind = \(ChargeKind.unusedCommitment.rawValue) AND feature = \(id.description)
            """
        ).rows[0].decode(as: Bool.self)
    }

    fileprivate static func insert(_ new: NewCommitment, _ organization: OrganizationID) -> Query {
        """
        INSERT INTO commitments (organization_id, id, name, provider, models, amount, from_date, until_date, purchase_month, invoice)
        VALUES (\(organization), \(new.id), \(new.name), \(new.provider), \(new.models), \(new.amount),
                \(new.fromDate.description)::text::date, \(new.untilDate.description)::text::date, \(new.purchaseMonth.description),
                \(new.invoice))
        """
    }

    /// From its purchase to its last month.
    fileprivate static func reconsider(
        _ record: CommitmentRecord, _ zone: Zone, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        let last = Instant(microseconds: zone.start(of: record.untilDate).microseconds - 1)
        try CostSplits.reconsider(from: record.purchaseMonth, until: zone.month(at: last).after, organization, connection)
    }
}

extension Zone {
    fileprivate func month(at instant: Instant) -> StatementMonth { StatementMonth(at: instant, in: self) ?? .last }
}
