/// Looking at one reservation from outside the engine, and whether Postgres is fit for work.
public import Budgets
import Postgres

extension Store {
    /// A reservation as it stands in Postgres, with its entry if it is settled.
    public func reservation(_ id: ReservationID, of organization: OrganizationID) async throws -> Reservation {
        try await read { connection in
            let result = try connection.query(LedgerReads.reservations([(organization, id)]))
            guard let (_, reservation) = try LedgerReads.decodeReservations(result).first else { throw AdminRefusal.notFound }
            return reservation
        }
    }

    /// Whether Postgres answers soon and takes writes: false on a standby. Asks for a connection only briefly, because a probe
    /// that waits says the same as one that fails.
    public func takesWrites() async throws -> Bool {
        try await pool.withConnection(deadline: .seconds(1)) { connection in
            let result = try connection.query("SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'")
            return try result.rows.first?.decode(as: Bool.self) ?? false
        }
    }
}
