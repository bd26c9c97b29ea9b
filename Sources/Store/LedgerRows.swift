/// What a batch of decisions changes, and how each row of it travels: as one of a composite type (`Migrations/…_lean_batches.sql`), whose
/// attributes have the order of the columns here.
public import Budgets
import Postgres

/// A reservation to be written as it now stands: open, or ended by the batch that made it.
public struct NewReservation: Sendable {
    public let organization: OrganizationID
    public let reservation: Reservation
    /// Its end, if the same batch ended it.
    public let resolution: Resolution?

    public init(organization: OrganizationID, reservation: Reservation, resolution: Resolution?) {
        self.organization = organization
        self.reservation = reservation
        self.resolution = resolution
    }
}

/// Everything that a batch of decisions changes.
public struct LedgerRows: Sendable {
    /// Sorted by organization: fences are taken in this order.
    public var fences: [(organization: OrganizationID, version: Int64)] = []
    /// Counters as they now stand: absolute values, because the fence makes what the lane remembers exact.
    public var counters: [(OrganizationID, CounterID, Counter)] = []
    public var reservations: [NewReservation] = []
    /// The ends of reservations written before.
    public var resolutions: [(OrganizationID, Resolution)] = []
    public var entries: [(OrganizationID, Reservation, Entry)] = []

    public init() {}
}

extension Rows {
    /// Of the type `counter_state`.
    init(counters: [(OrganizationID, CounterID, Counter)]) {
        self.init(capacity: counters.count * 512)
        for (organization, id, counter) in counters {
            row { row in
                row.column(organization)
                row.column(id.budget)
                row.column(id.subject)
                row.column(id.periodStart)
                row.column(counter.settled)
                row.column(counter.held)
                row.column(counter.burst)
                row.column(counter.ceiling)
                row.column(counter.overage)
                row.column(counter.finalCalls)
                row.column(counter.finalHeld)
                row.column(counter.alertedVersion)
                row.column(counter.alertedThreshold)
                row.column(counter.alertedAmount)
            }
        }
    }

    /// Of the type `new_reservation`.
    init(made new: [NewReservation]) {
        self.init(capacity: new.count * 1280)
        for new in new {
            let (reservation, resolution) = (new.reservation, new.resolution)
            row { row in
                row.column(new.organization)
                row.column(reservation.id)
                row.column(reservation.request.project)
                row.column(reservation.request.text)
                row.column(Bytea(reservation.content))
                row.column(reservation.attribution)
                row.column((resolution?.state ?? reservation.state).rawValue)
                row.column(reservation.model)
                row.column(reservation.requestedModel)
                row.column(reservation.provider)
                row.column(reservation.serviceTier)
                row.column(reservation.endUser)
                row.column(reservation.feature)
                row.column(reservation.tags.map { JSONB(text: $0) })
                row.column(reservation.held)
                row.column(reservation.maxOutputTokens)
                row.column(Draw.encode(reservation.draws))
                row.column(reservation.createdAt)
                row.column(reservation.expiresAt)
                row.column(resolution?.at)
                row.column(resolution?.content.map { Bytea($0) })
                row.column(Substitution.encode(reservation.substitutions))
                row.column(resolution?.entryAt)
            }
        }
    }

    /// Of the type `reservation_end`.
    init(ended resolutions: [(OrganizationID, Resolution)]) {
        self.init(capacity: resolutions.count * 160)
        for (organization, resolution) in resolutions {
            row { row in
                row.column(organization)
                row.column(resolution.reservation)
                row.column(resolution.state.rawValue)
                row.column(resolution.at)
                row.column(resolution.content.map { Bytea($0) })
                row.column(resolution.entryAt)
            }
        }
    }

    /// Of the type `new_entry`.
    init(booked entries: [(OrganizationID, Reservation, Entry)], versions raised: [OrganizationID: Int64]) {
        self.init(capacity: entries.count * 1536)
        for (organization, reservation, entry) in entries {
            row { row in
                row.column(organization)
                row.column(entry.id)
                row.column(reservation.id)
                row.column(reservation.attribution)
                row.column(entry.occurredAt)
                row.column(entry.bookedAt)
                row.column(reservation.request.text)
                row.column(reservation.model)
                row.column(reservation.requestedModel)
                row.column(reservation.provider)
                row.column(entry.report?.serviceTier ?? reservation.serviceTier)
                row.column(reservation.endUser)
                row.column(reservation.feature)
                row.column(reservation.tags.map { JSONB(text: $0) })
                row.column(EntryLine.encode(entry.lines))
                row.column(entry.cost)
                row.column(entry.overage)
                row.column(JSONB(bytes: Draw.encode(entry.draws).bytes))
                row.column(entry.isLate)
                row.column(entry.report?.outcome ?? "ok")
                row.column(entry.report?.providerRequestID)
                row.column(entry.report?.latencyMilliseconds)
                row.column(raised[organization])
                row.column(Substitution.encode(reservation.substitutions))
                row.column(entry.report?.providerUsage.map { JSONB(text: $0) })
                row.column(entry.occurredAt == reservation.createdAt ? nil : reservation.createdAt)
            }
        }
    }
}
