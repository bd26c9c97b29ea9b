/// The statements that make a batch of decisions true, in the order they must run (design §5).
import Budgets
import Postgres
import Store

struct Flight {
    let queries: [Query]
    /// Where in the results the fences of organizations that only read are confirmed; nil when there are none.
    private(set) var confirmation: Int?
    /// Where the reservations stand that answered refused requests before; nil when nothing was refused.
    private(set) var repeats: Int?
    let attributions: [(OrganizationID, AttributionID)]
    let hasAlerts: Bool

    init(
        writing: [OrganizationID], reading: [OrganizationID], refused: [(OrganizationID, RequestID)],
        _ changes: [OrganizationID: Changes], _ memory: Memory, isLocked: Bool
    ) {
        var queries: [Query] = []
        if !writing.isEmpty { queries.append(LedgerWrites.commit(Flight.rows(writing, changes, memory))) }
        let bursts = Flight.bursts(writing, changes, memory)
        if !bursts.isEmpty { queries.append(LedgerWrites.bursts(bursts)) }
        let attributions = Flight.newAttributions(writing, changes, memory)
        if !attributions.isEmpty { queries.append(LedgerWrites.attributions(attributions)) }
        self.attributions = attributions.map { ($0.0, $0.1) }
        let alerts = writing.flatMap { organization in (changes[organization]?.alerts ?? []).map { (organization, $0) } }
        hasAlerts = !alerts.isEmpty
        if hasAlerts { queries += Flight.alertQueries(alerts, memory) }
        let unmapped = Flight.unmapped(writing, changes)
        if !unmapped.isEmpty { queries.append(UnmappedUsage.note(unmapped)) }
        if !reading.isEmpty {
            confirmation = queries.count
            queries.append(Fences.read(reading))
        }
        if !refused.isEmpty {
            repeats = queries.count
            queries.append(LedgerReads.reservations(for: refused))
        }
        self.queries = queries
    }

    private static func rows(
        _ writing: [OrganizationID], _ changes: [OrganizationID: Changes], _ memory: Memory
    ) -> LedgerRows {
        var rows = LedgerRows()
        for organization in writing {
            guard let state = memory.organizations[organization]?.state, let changed = changes[organization] else { continue }
            rows.fences.append((organization, state.version))
            for id in changed.counters {
                if let counter = state.counter(id) { rows.counters.append((organization, id, counter)) }
            }
            // One statement writes a row once: what the batch both made and ended is written as ended, and what it ended twice
            // (expired, then settled late) as it was last.
            var resolutions = Dictionary(changed.resolutions.map { ($0.reservation, $0) }, uniquingKeysWith: { _, last in last })
            for reservation in changed.reservations {
                let resolution = resolutions.removeValue(forKey: reservation.id)
                rows.reservations.append(NewReservation(organization: organization, reservation: reservation, resolution: resolution))
            }
            rows.resolutions += resolutions.values.map { (organization, $0) }
            for reservation in changed.entries {
                if let entry = reservation.entry { rows.entries.append((organization, reservation, entry)) }
            }
        }
        return rows
    }

    private static func bursts(
        _ writing: [OrganizationID], _ changes: [OrganizationID: Changes], _ memory: Memory
    ) -> [(OrganizationID, BurstID, BurstCounter)] {
        writing.flatMap { organization in
            (changes[organization]?.bursts ?? []).compactMap { id in
                memory.organizations[organization]?.state.burst(id).map { (organization, id, $0) }
            }
        }
    }

    private static func unmapped(_ writing: [OrganizationID], _ changes: [OrganizationID: Changes]) -> [UnmappedUsage.Sighting] {
        writing.flatMap { organization in
            (changes[organization]?.entries ?? []).flatMap { reservation in
                (reservation.entry?.report?.unmapped ?? []).map { field in
                    UnmappedUsage.Sighting(
                        organization: organization, model: reservation.model, field: field,
                        at: reservation.entry?.bookedAt ?? reservation.createdAt)
                }
            }
        }
    }

    private static func newAttributions(
        _ writing: [OrganizationID], _ changes: [OrganizationID: Changes], _ memory: Memory
    ) -> [(OrganizationID, AttributionID, Attribution)] {
        writing.flatMap { organization -> [(OrganizationID, AttributionID, Attribution)] in
            guard let remembered = memory.organizations[organization], let changed = changes[organization] else { return [] }
            var used: Set<AttributionID> = []
            return changed.reservations.compactMap { reservation in
                let id = reservation.attribution
                guard !remembered.writtenAttributions.contains(id), used.insert(id).inserted,
                    let attribution = remembered.state.attribution(id)
                else { return nil }
                return (organization, id, attribution)
            }
        }
    }

    private static func alertQueries(_ alerts: [(OrganizationID, Alert)], _ memory: Memory) -> [Query] {
        var events: [EventRow] = []
        var rows: [AlertRow] = []
        for (organization, alert) in alerts {
            guard let configuration = memory.organizations[organization]?.state.configuration else { continue }
            let event = alert.event(configuration, id: EventID(at: alert.at))
            if let event { events.append(event) }
            rows += alert.rows(organization, event: event?.id)
        }
        guard !events.isEmpty else { return [AlertWrites.alerts(rows)] }
        // Those that mute others first.
        let parts = [events.filter { $0.mutesUntil != nil }, events.filter { $0.mutesUntil == nil }].filter { !$0.isEmpty }
        return [AlertWrites.alerts(rows), AlertWrites.events(events)]
            + parts.map { AlertWrites.deliveries(of: $0.map { ($0.organization, $0.id) }) }
    }
}
