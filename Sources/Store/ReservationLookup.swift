/// Looking at one reservation from outside the engine.
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
}
