/// Exports made in the background, as people see them: asked for, looked at, taken back, and fetched in pieces. Who makes them is
/// `ExportWork`'s.
public import Budgets
import Postgres

/// An archive of several months' statements that somebody has asked for.
public struct ExportRecord: Sendable {
    public enum State: String, Sendable, CaseIterable {
        case queued, running
        /// Its file can be fetched.
        case done
        /// It cannot be made; `failure` says why.
        case failed
        case cancelled
        /// Its file's time is over.
        case expired
    }

    /// The most months in one: five years.
    public static let mostMonths = 60
    /// How much of the file lies in one row; all but the last have as much.
    public static let pieceBytes = 1 << 20
    /// The largest file, compressed (law 11): years of a busy organization.
    public static let mostBytes: Int64 = 1 << 30
    /// A file is there for a week: longer than it takes to fetch it, and shorter than anybody would rely on.
    public static let kept: Duration = .seconds(7 * 86_400)

    public let id: ExportID
    /// What each month is written as: a `StatementFormat`.
    public let format: String
    public let firstMonth: StatementMonth
    public let lastMonth: StatementMonth
    public let state: State
    public let months: Int64
    public let monthsDone: Int64
    /// The `actor` who asked.
    public let requestedBy: String
    /// Why it failed, for the tenant.
    public let failure: String?
    /// The file's size and SHA-256 in hexadecimal, also once it is gone.
    public let byteCount: Int64?
    public let hash: String?
    public let createdAt: Instant
    public let finishedAt: Instant?
    /// When the file goes.
    public let expiresAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let (first, last, state): (String, String, String)
        let sha256: Bytea?
        (
            id, format, first, last, state, months, monthsDone, requestedBy, failure, byteCount, sha256, createdAt, finishedAt, expiresAt
        ) = try row.decode(
            as: (
                ExportID, String, String, String, String, Int64, Int64, String, String?, Int64?, Bytea?, Instant, Instant?, Instant?
            ).self)
        guard let first = StatementMonth(first), let last = StatementMonth(last), let state = State(rawValue: state) else {
            throw .decoding("an export of no months or in no state")
        }
        (firstMonth, lastMonth, self.state) = (first, last, state)
        hash = sha256?.hexadecimal
    }
}

/// An export about to be asked for.
public struct NewExport: Sendable {
    public let id: ExportID
    public let format: String
    public let firstMonth: StatementMonth
    public let lastMonth: StatementMonth
    public let requestedBy: String

    public init(id: ExportID, format: String, firstMonth: StatementMonth, lastMonth: StatementMonth, requestedBy: String) {
        (self.id, self.format, self.requestedBy) = (id, format, requestedBy)
        (self.firstMonth, self.lastMonth) = (firstMonth, lastMonth)
    }
}

extension Store {
    /// Puts an export into the queue.
    /// - Throws: `AdminRefusal.tooMany`.
    public func requestExport(_ new: NewExport, of organization: OrganizationID) async throws -> ExportRecord {
        let months = Int64(new.firstMonth.through(new.lastMonth).count)
        return try await transaction { connection in
            // No decision of the engine rests on exports: the fence is held, so that two requests cannot pass the bound at once, and not raised.
            try connection.query("SELECT organization_id FROM fences WHERE organization_id = \(organization) FOR UPDATE")
            try Bound.exports.requireRoom(in: organization, connection)
            try connection.query(
                """
                INSERT INTO exports (organization_id, id, format, first_month, last_month, months, requested_by)
                VALUES (\(organization), \(new.id), \(new.format), \(new.firstMonth.description), \(new.lastMonth.description), \(months),
                        \(new.requestedBy))
                """)
            return try Exports.read(new.id, organization, connection)
        }
    }

    public func export(_ id: ExportID, of organization: OrganizationID) async throws -> ExportRecord {
        try await read { connection in try Exports.read(id, organization, connection) }
    }

    /// All that were ever asked for.
    public func exports(
        of organization: OrganizationID, state: ExportRecord.State?, _ listing: Listing<ExportRecord, ExportID>
    ) async throws -> Page<ExportRecord, ListPlace<ExportID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT \(list: [Exports.columns]) FROM exports
                WHERE organization_id = \(organization) AND (\(state?.rawValue) IS NULL OR state = \(state?.rawValue))
                      AND \(list: [listing.isAfter("id")])
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(ExportRecord.init)) { $0.id }
        }
    }

    /// Takes an export back: work on it ends, and its file is gone.
    /// - Throws: `AdminRefusal.alreadyDecided` when it is over by other means.
    public func cancelExport(_ id: ExportID, of organization: OrganizationID) async throws -> ExportRecord {
        try await transaction { connection in
            let changed = try connection.query(
                """
                UPDATE exports SET state = 'cancelled', lease_until = NULL, finished_at = now(), expires_at = NULL
                WHERE organization_id = \(organization) AND id = \(id) AND state IN ('queued', 'running', 'done')
                """
            ).affected
            let record = try Exports.read(id, organization, connection)
            guard changed == 1 else { throw AdminRefusal.alreadyDecided(record.state.rawValue) }
            try connection.query("DELETE FROM export_pieces WHERE organization_id = \(organization) AND export_id = \(id)")
            return record
        }
    }

    /// One piece of a finished file, counted from 0; nil when it is not there (any more).
    public func exportPiece(_ piece: Int64, of id: ExportID, in organization: OrganizationID) async throws -> [UInt8]? {
        try await read { connection in
            try connection.query(
                """
                SELECT p.bytes FROM export_pieces AS p JOIN exports AS e ON e.organization_id = p.organization_id AND e.id = p.export_id
                WHERE p.organization_id = \(organization) AND p.export_id = \(id) AND p.piece = \(piece) AND e.state = 'done'
                """
            ).rows.first.map { try $0.decode(as: Bytea.self).bytes }
        }
    }
}

enum Exports {
    static let columns: Query = """
        id, format, first_month, last_month, state, months, months_done, requested_by, failure, bytes, sha256, created_at, finished_at,
        expires_at
        """

    static func read(
        _ id: ExportID, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> ExportRecord {
        let result = try connection.query(
            "SELECT \(list: [columns]) FROM exports WHERE organization_id = \(organization) AND id = \(id)")
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try ExportRecord(row)
    }
}
