/// What an operator wants to know of the database, beside what `bursar check` proves: whether it takes writes, and how much is open.
/// These statements are about all organizations and answer with numbers only.
public import Budgets
public import Postgres

public enum CommitProbe {
    /// Commits a write that changes nothing, and returns the schema's version. It touches the platform's fence, unless an
    /// administrator's change holds that at the moment: then somebody else is writing, and there is nothing to wait for.
    /// - Throws: `PostgresError`: Postgres is away, a standby, read-only, full, or too slow.
    public static func run(on connection: isolated PostgresConnection) throws -> Int {
        let results = try connection.flight([
            """
            UPDATE fences SET version = version WHERE organization_id = (
                SELECT organization_id FROM fences WHERE organization_id = \(OrganizationID.platform) FOR UPDATE SKIP LOCKED)
            """,
            "SELECT max(version) FROM schema_migrations",
        ])
        guard let version = try results[1].rows.first?.decode(as: Int.self) else { throw PostgresError.decoding("no schema version") }
        return version
    }
}

/// What is open at one moment, in all organizations together.
public struct OpenFigures: Sendable {
    /// Reservations that hold money, those whose time is over among them.
    public let holds: Int64
    /// Those whose time has been over for longer than the sweeper needs.
    public let overdueHolds: Int64
    public let held: Money
    /// Its age; nil without any hold.
    public let oldestHoldMicroseconds: Int64?
    /// Deliveries that wait for an attempt, and those that are being made.
    public let pendingDeliveries: Int64
    public let sendingDeliveries: Int64
    /// For how long the first of them has been due; nil when none is.
    public let oldestDueDeliveryMicroseconds: Int64?
    /// Exports in the background that are not made yet.
    public let waitingExports: Int64
    /// How long ago the first of them was asked for; nil when there is none.
    public let oldestExportMicroseconds: Int64?
    public let databaseBytes: Int64
}

extension Store {
    /// How far back holds are looked for whose time is over. A sweep later they are gone; should sweeping fail, they show for so long,
    /// and `bursar check` finds them at any age.
    static let overdueMinutes: Int64 = 10

    /// Reads what is open. Costs in proportion to the calls of the last minutes, for which it is given two seconds.
    public func openFigures() async throws -> OpenFigures {
        try await pool.withConnection(deadline: .seconds(1)) { connection in
            let results = try connection.flight([
                "SET TRANSACTION READ ONLY", "SET LOCAL statement_timeout = '2s'",
                """
                SELECT count(*), count(*) FILTER (WHERE expires_at < now() - interval '5 seconds'), coalesce(sum(held), 0),
                       (extract(epoch FROM now() - min(created_at)) * 1000000)::bigint
                FROM reservations WHERE expires_at > now() - \(Store.overdueMinutes) * interval '1 minute' AND state = 'held'
                """,
                """
                SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'sending'),
                       (extract(epoch FROM now() - min(greatest(d.next_attempt_at, p.next_slot_at)) FILTER (
                            WHERE d.next_attempt_at <= now() AND p.next_slot_at <= now() AND NOT p.is_paused)) * 1000000)::bigint
                FROM deliveries AS d JOIN endpoints AS p ON p.organization_id = d.organization_id AND p.id = d.endpoint_id
                WHERE state IN ('pending', 'sending')
                """,
                """
                SELECT count(*), (extract(epoch FROM now() - min(created_at)) * 1000000)::bigint
                FROM exports WHERE state IN ('queued', 'running')
                """,
                "SELECT pg_database_size(current_database())",
            ])
            guard let holds = results[2].rows.first, let deliveries = results[3].rows.first, let exports = results[4].rows.first,
                let size = results[5].rows.first
            else { throw PostgresError.decoding("an aggregate without a row") }
            let (count, overdue, held, oldest) = try holds.decode(as: (Int64, Int64, Money, Int64?).self)
            let (waiting, asked) = try exports.decode(as: (Int64, Int64?).self)
            let (pending, sending, due) = try deliveries.decode(as: (Int64, Int64, Int64?).self)
            return OpenFigures(
                holds: count, overdueHolds: overdue, held: held, oldestHoldMicroseconds: oldest, pendingDeliveries: pending,
                sendingDeliveries: sending, oldestDueDeliveryMicroseconds: due, waitingExports: waiting, oldestExportMicroseconds: asked,
                databaseBytes: try size.decode(as: Int64.self))
        }
    }
}
