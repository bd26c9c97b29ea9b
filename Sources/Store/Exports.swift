/// Exports made in the background: asked for, worked at by one replica at a time under a lease, kept in pieces, and gone with their date.
public import Budgets
public import Postgres

public struct ExportRecord: Sendable {
    public enum State: String, Sendable, CaseIterable {
        case queued, running, done, failed, expired
    }

    public let id: ExportID
    public let format: String
    public let months: ClosedRange<StatementMonth>
    public let state: State
    public let monthCount: Int64
    public let monthsDone: Int64
    public let requestedBy: String
    /// Who works on it: each takes the next number.
    public let attempt: Int64
    public let failure: String?
    /// Of a file that is done.
    public let pieces: Int64?
    public let byteCount: Int64?
    public let sha256: Bytea?
    public let createdAt: Instant
    public let finishedAt: Instant?
    public let expiresAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let (first, last, state): (String, String, String)
        (
            id, format, first, last, state, monthCount, monthsDone, requestedBy, attempt, failure, pieces, byteCount, sha256, createdAt,
            finishedAt, expiresAt
        ) = try row.decode(
            as: (
                ExportID, String, String, String, String, Int64, Int64, String, Int64, String?, Int64?, Int64?, Bytea?, Instant, Instant?,
                Instant?
            ).self)
        guard let first = StatementMonth(first), let last = StatementMonth(last), first <= last, let state = State(rawValue: state) else {
            throw .decoding("an export of no months or in no state")
        }
        months = first...last
        self.state = state
    }

    /// How long a worker may be silent until the next begins again.
    public static let lease: Duration = .seconds(60)
    /// Tries before it is given up: what fails thrice will fail again.
    static let attempts: Int64 = 3
    /// A file is there for a week: longer than it takes to fetch it, and shorter than anybody would rely on.
    static let kept: Duration = .seconds(7 * 86_400)
    /// Asked for and not made yet, of one organization (law 11).
    static let mostOpen = 5
    public static let pieceBytes = 1 << 20
    /// Far more than three years of a busy organization, compressed.
    public static let mostPieces: Int64 = 1024
}

extension Store {
    public func requestExport(
        _ id: ExportID, of organization: OrganizationID, _ format: String, months: ClosedRange<StatementMonth>, count: Int64, by actor: String
    ) async throws -> ExportRecord {
        try await transaction { connection in
            try connection.query(
                "SELECT organization_id FROM fences WHERE organization_id = \(organization) FOR UPDATE")
            let open = try connection.query(
                """
                SELECT count(*) FROM exports WHERE organization_id = \(organization) AND state IN ('queued', 'running')
                """
            ).rows[0].decode(as: Int.self)
            guard open < ExportRecord.mostOpen else { throw AdminRefusal.tooMany("exports under way", ExportRecord.mostOpen) }
            try connection.query(
                """
                INSERT INTO exports (organization_id, id, format, first_month, last_month, months, requested_by)
                VALUES (\(organization), \(id), \(format), \(months.lowerBound.description), \(months.upperBound.description), \(count),
                        \(actor))
                """)
            return try Store.export(id, of: organization, connection)
        }
    }

    public func export(_ id: ExportID, of organization: OrganizationID) async throws -> ExportRecord {
        try await read { connection in try Store.export(id, of: organization, connection) }
    }

    /// One piece of a finished file.
    public func exportPiece(_ piece: Int64, of id: ExportID, in organization: OrganizationID) async throws -> [UInt8]? {
        try await read { connection in
            try connection.query(
                """
                SELECT bytes FROM export_pieces
                WHERE organization_id = \(organization) AND export_id = \(id) AND piece = \(piece)
                """
            ).rows.first?.decode(as: Bytea.self).bytes
        }
    }

    static func export(
        _ id: ExportID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> ExportRecord {
        let result = try connection.query(
            """
            SELECT id, format, first_month, last_month, state, months, months_done, requested_by, attempt, failure, pieces, bytes, sha256,
                   created_at, finished_at, expires_at
            FROM exports WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try ExportRecord(row)
    }
}

/// What a worker does. Each write says which attempt it belongs to: one that lost its lease writes nothing any more.
public enum ExportWork {
    /// Takes the oldest export that nobody is at, and throws away what an earlier attempt left. Nil when there is none.
    public static func claim(
        at now: Instant, on connection: isolated PostgresConnection
    ) throws -> (organization: OrganizationID, export: ExportRecord)? {
        try connection.transaction { connection in
            let found = try connection.query(
                """
                UPDATE exports AS e
                SET state = 'running', attempt = attempt + 1, lease_until = \(now.adding(ExportRecord.lease)), months_done = 0
                FROM (SELECT organization_id, id FROM exports
                      WHERE state IN ('queued', 'running') AND (lease_until IS NULL OR lease_until <= \(now))
                            AND attempt < \(ExportRecord.attempts)
                      ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED) AS due
                WHERE e.organization_id = due.organization_id AND e.id = due.id
                RETURNING e.organization_id, e.id
                """)
            guard let row = found.rows.first else { return nil }
            let (organization, id) = try row.decode(as: (OrganizationID, ExportID).self)
            try connection.query("DELETE FROM export_pieces WHERE organization_id = \(organization) AND export_id = \(id)")
            return (organization, try Store.export(id, of: organization, connection))
        }
    }

    /// Keeps a piece and the lease. False when the lease is somebody else's by now.
    public static func keep(
        _ bytes: [UInt8], as piece: Int64, monthsDone: Int64, of export: ExportRecord, in organization: OrganizationID, at now: Instant,
        on connection: isolated PostgresConnection
    ) throws -> Bool {
        try connection.transaction { connection in
            let kept = try connection.query(
                """
                UPDATE exports SET lease_until = \(now.adding(ExportRecord.lease)), months_done = \(monthsDone)
                WHERE organization_id = \(organization) AND id = \(export.id) AND state = 'running' AND attempt = \(export.attempt)
                """)
            guard kept.affected == 1 else { return false }
            try connection.query(
                """
                INSERT INTO export_pieces (organization_id, export_id, piece, bytes)
                VALUES (\(organization), \(export.id), \(piece), \(Bytea(bytes)))
                """)
            return true
        }
    }

    /// Ends it, with its file or with what went wrong.
    public static func end(
        _ export: ExportRecord, in organization: OrganizationID, file: (pieces: Int64, bytes: Int64, sha256: [UInt8])?, failure: String?,
        at now: Instant, on connection: isolated PostgresConnection
    ) throws -> Bool {
        try connection.query(
            """
            UPDATE exports
            SET state = \(file == nil ? "failed" : "done"), months_done = \(file == nil ? export.monthsDone : export.monthCount),
                lease_until = NULL, failure = \(failure), pieces = \(file?.pieces), bytes = \(file?.bytes),
                sha256 = \((file?.sha256).map { Bytea($0) }), finished_at = \(now), expires_at = \(now.adding(ExportRecord.kept))
            WHERE organization_id = \(organization) AND id = \(export.id) AND state = 'running' AND attempt = \(export.attempt)
            """
        ).affected == 1
    }

    /// Gives up what failed too often without a word, and lets go of files whose time is over.
    public static func cleanUp(at now: Instant, on connection: isolated PostgresConnection) throws {
        try connection.query(
            """
            UPDATE exports SET state = 'failed', lease_until = NULL, finished_at = \(now), failure = 'it was tried too often'
            WHERE state IN ('queued', 'running') AND lease_until <= \(now) AND attempt >= \(ExportRecord.attempts)
            """)
        try connection.query(
            """
            DELETE FROM export_pieces AS p USING exports AS e
            WHERE e.organization_id = p.organization_id AND e.id = p.export_id
              AND (e.state = 'failed' OR e.state = 'done' AND e.expires_at <= \(now))
            """)
        try connection.query("UPDATE exports SET state = 'expired' WHERE state = 'done' AND expires_at <= \(now)")
    }
}
