/// The nightly check: one replica makes a day's, and every replica shows what it found.
public import Budgets
public import Postgres

public enum CheckRuns {
    /// A finished run.
    public struct Run: Hashable, Sendable {
        public let finishedAt: Instant
        public let violations: Int64
    }

    /// Claims the day of `now` for whoever gets one row affected.
    public static func claim(at now: Instant) -> Query {
        """
        INSERT INTO check_runs (organization_id, day, started_at)
        VALUES (\(OrganizationID.platform), date_trunc('day', \(now), 'UTC'), \(now)) ON CONFLICT DO NOTHING
        """
    }

    public static func finish(claimedAt: Instant, at now: Instant, violations: Int64) -> Query {
        """
        UPDATE check_runs SET finished_at = \(now), violations = \(violations)
        WHERE organization_id = \(OrganizationID.platform) AND day = date_trunc('day', \(claimedAt), 'UTC')
        """
    }

    /// The youngest finished run, in at most one row.
    public static let last: Query = """
        SELECT finished_at, violations FROM check_runs
        WHERE organization_id = '00000000-0000-0000-0000-000000000000' AND finished_at IS NOT NULL ORDER BY day DESC LIMIT 1
        """

    public static func decode(_ result: PostgresResult) throws(PostgresError) -> Run? {
        guard let row = result.rows.first else { return nil }
        let (finishedAt, violations) = try row.decode(as: (Instant, Int64).self)
        return Run(finishedAt: finishedAt, violations: violations)
    }
}
