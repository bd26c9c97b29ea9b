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
        func rows<Row>(_ part: KeyPath<Changes, [Row]>) -> [(OrganizationID, Row)] {
            writing.flatMap { organization in (changes[organization]?[keyPath: part] ?? []).map { (organization, $0) } }
        }
        var queries: [Query] = []
        if !writing.isEmpty {
            queries.append(Fences.raise(writing, from: writing.map { memory.organizations[$0]?.state.version ?? 0 }))
        }
        let attributions = Flight.newAttributions(writing, changes, memory)
        if !attributions.isEmpty { queries.append(LedgerWrites.attributions(attributions)) }
        self.attributions = attributions.map { ($0.0, $0.1) }
        let counters = writing.flatMap { organization -> [(OrganizationID, CounterID, Counter)] in
            guard let state = memory.organizations[organization]?.state, let changed = changes[organization]?.counters else { return [] }
            return changed.compactMap { id in state.counter(id).map { (organization, id, $0) } }
        }
        if !counters.isEmpty { queries.append(LedgerWrites.counters(counters)) }
        let reservations = rows(\.reservations)
        if !reservations.isEmpty { queries.append(LedgerWrites.reservations(reservations)) }
        let resolutions = rows(\.resolutions)
        if !resolutions.isEmpty { queries.append(LedgerWrites.resolutions(resolutions)) }
        let entries = rows(\.entries).compactMap { row in row.1.entry.map { (row.0, row.1, $0) } }
        if !entries.isEmpty { queries.append(LedgerWrites.entries(entries)) }
        let alerts = rows(\.alerts)
        hasAlerts = !alerts.isEmpty
        if hasAlerts { queries += Flight.alertQueries(alerts, memory) }
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
            for threshold in alert.superseded {
                rows.append(
                    AlertRow(
                        organization: organization, id: AlertID(at: alert.at), alert: alert, threshold: Int64(threshold), event: nil))
            }
            if let threshold = alert.threshold {
                rows.append(
                    AlertRow(
                        organization: organization, id: AlertID(at: alert.at), alert: alert, threshold: Int64(threshold), event: event?.id))
            }
        }
        guard !events.isEmpty else { return [AlertWrites.alerts(rows)] }
        return [AlertWrites.alerts(rows), AlertWrites.events(events), AlertWrites.deliveries(events)]
    }
}
