/// Exports made in the background, as whoever makes them sees them: claimed under a lease, written piece by piece, ended once. Every
/// write says which attempt it belongs to, so one that has lost its lease writes nothing more. Time is Postgres's, as for deliveries.
public import Budgets
import Postgres

/// An export that is this worker's to make for as long as it keeps the lease.
public struct ClaimedExport: Sendable {
    public let organization: OrganizationID
    public let export: ExportRecord
    /// Counts from 1, and is the fence: another claim raises it.
    public let attempt: Int64

    /// How long a worker may be silent until another begins again.
    public static let lease: Duration = .seconds(60)
    /// So often it is begun. What breaks off so often will do so again.
    public static let mostAttempts: Int64 = 5
}

extension Store {
    /// Claims an export that nobody is at, of the organization that was served the longest ago, and throws away what an earlier attempt
    /// has left. Nil when there is none.
    ///
    /// - Parameter now: For tests that hold the clock; otherwise it is Postgres's.
    public func claimExport(now: Instant? = nil) async throws -> ClaimedExport? {
        try await transaction { connection in
            let found = try connection.query(
                """
                UPDATE exports AS e
                SET state = 'running', attempt = attempt + 1, months_done = 0, started_at = coalesce(\(now), now()),
                    lease_until = coalesce(\(now), now()) + \(ClaimedExport.lease.microseconds) * interval '1 microsecond'
                FROM (SELECT q.organization_id, q.id FROM exports AS q
                      WHERE q.state IN ('queued', 'running') AND (q.lease_until IS NULL OR q.lease_until <= coalesce(\(now), now()))
                            AND q.attempt < \(ClaimedExport.mostAttempts)
                      ORDER BY (SELECT max(o.started_at) FROM exports AS o WHERE o.organization_id = q.organization_id) NULLS FIRST, q.id
                      LIMIT 1 FOR UPDATE SKIP LOCKED) AS due
                WHERE e.organization_id = due.organization_id AND e.id = due.id
                RETURNING e.organization_id, e.id, e.attempt
                """)
            guard let row = found.rows.first else { return nil }
            let (organization, id, attempt) = try row.decode(as: (OrganizationID, ExportID, Int64).self)
            try connection.query("DELETE FROM export_pieces WHERE organization_id = \(organization) AND export_id = \(id)")
            return ClaimedExport(organization: organization, export: try Exports.read(id, organization, connection), attempt: attempt)
        }
    }

    /// Holds on to a lease, and says how far the work has come. False when the export is somebody else's by now, or was taken back.
    public func keepLease(of claimed: ClaimedExport, monthsDone: Int64, now: Instant? = nil) async throws -> Bool {
        try await transaction { connection in
            try connection.query(ExportWork.keep(claimed, monthsDone, now)).affected == 1
        }
    }

    /// Keeps a piece of the file, and with it the lease. False as with `keepLease`: then nothing was kept.
    public func keep(
        _ bytes: [UInt8], asPiece piece: Int64, of claimed: ClaimedExport, monthsDone: Int64, now: Instant? = nil
    ) async throws -> Bool {
        try await transaction { connection in
            guard try connection.query(ExportWork.keep(claimed, monthsDone, now)).affected == 1 else { return false }
            try connection.query(
                """
                INSERT INTO export_pieces (organization_id, export_id, piece, bytes)
                VALUES (\(claimed.organization), \(claimed.export.id), \(piece), \(Bytea(bytes)))
                """)
            return true
        }
    }

    /// The file is whole. False as with `keepLease`.
    public func finish(_ claimed: ClaimedExport, bytes: Int64, sha256: [UInt8], now: Instant? = nil) async throws -> Bool {
        try await transaction { connection in
            try connection.query(
                """
                UPDATE exports
                SET state = 'done', months_done = months, lease_until = NULL, bytes = \(bytes), sha256 = \(Bytea(sha256)),
                    finished_at = coalesce(\(now), now()),
                    expires_at = coalesce(\(now), now()) + \(ExportRecord.kept.microseconds) * interval '1 microsecond'
                WHERE organization_id = \(claimed.organization) AND id = \(claimed.export.id) AND state = 'running'
                      AND attempt = \(claimed.attempt)
                """
            ).affected == 1
        }
    }

    /// It cannot be made. False as with `keepLease`.
    /// - Parameter reason: for the tenant.
    public func fail(_ claimed: ClaimedExport, because reason: String, now: Instant? = nil) async throws -> Bool {
        try await transaction { connection in
            let ended = try connection.query(
                """
                UPDATE exports SET state = 'failed', lease_until = NULL, failure = \(reason), finished_at = coalesce(\(now), now())
                WHERE organization_id = \(claimed.organization) AND id = \(claimed.export.id) AND state = 'running'
                      AND attempt = \(claimed.attempt)
                """)
            try connection.query(ExportWork.removePieces)
            return ended.affected == 1
        }
    }

    /// Gives up what broke off too often, and lets go of files whose time is over.
    public func pruneExports(now: Instant? = nil) async throws {
        try await transaction { connection in
            try connection.query(
                """
                UPDATE exports SET state = 'failed', lease_until = NULL, finished_at = coalesce(\(now), now()),
                                   failure = 'it broke off too often'
                WHERE state = 'running' AND lease_until <= coalesce(\(now), now()) AND attempt >= \(ClaimedExport.mostAttempts)
                """)
            try connection.query("UPDATE exports SET state = 'expired' WHERE state = 'done' AND expires_at <= coalesce(\(now), now())")
            try connection.query(ExportWork.removePieces)
        }
    }
}

private enum ExportWork {
    static func keep(_ claimed: ClaimedExport, _ monthsDone: Int64, _ now: Instant?) -> Query {
        """
        UPDATE exports
        SET lease_until = coalesce(\(now), now()) + \(ClaimedExport.lease.microseconds) * interval '1 microsecond',
            months_done = \(monthsDone)
        WHERE organization_id = \(claimed.organization) AND id = \(claimed.export.id) AND state = 'running'
              AND attempt = \(claimed.attempt)
        """
    }

    /// Of files that are nobody's any more.
    static let removePieces: Query = """
        DELETE FROM export_pieces AS p USING exports AS e
        WHERE e.organization_id = p.organization_id AND e.id = p.export_id AND e.state IN ('failed', 'cancelled', 'expired')
        """
}
