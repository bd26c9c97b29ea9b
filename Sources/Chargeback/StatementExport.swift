/// A month's statement: exported in constant memory, and summed up.
public import Budgets
public import JSON
public import Store

/// The lines of a statement and its control total, found by another query in the same snapshot, disagree: a fault of ours, and
/// nothing that finance should book.
public struct StatementDisagrees: Error, CustomStringConvertible {
    public let lines: StatementTotal
    public let control: StatementTotal
    public var description: String {
        "the statement's lines sum to \(lines.cost) in \(lines.requests) calls, the ledger to \(control.cost) in \(control.requests)"
    }
}

/// Whoever reads an export took too long, and a snapshot is not kept for ever.
public struct StatementReadTooSlowly: Error, CustomStringConvertible {
    public let description = "the export was read too slowly"
}

/// The statements of one organization.
public struct StatementExport: Sendable {
    /// How long a page may take to be taken, and a whole export: meanwhile a connection and a snapshot of the database are held for it,
    /// and the snapshot keeps Postgres from cleaning up (law 11). A page is some 100 kB, so 10 kB a second are fast enough.
    public struct Patience: Sendable {
        public var page: Duration = .seconds(10)
        public var whole: Duration = .seconds(300)

        public init() {}
    }

    private let store: Store
    private let organization: OrganizationID
    private let zone: Zone
    private let patience: Patience

    /// - Parameter zone: the organization's: its calendar decides what a month is.
    public init(store: Store, organization: OrganizationID, zone: Zone, patience: Patience = Patience()) {
        self.store = store
        self.organization = organization
        self.zone = zone
        self.patience = patience
    }

    /// Writes the month as CSV (UTF-8, RFC 4180), some 100 kB at a time; nothing further is read before `sink` has returned.
    /// The last record is the total.
    /// - Returns: the total that the last record states.
    /// - Throws: `StatementDisagrees`, `StatementReadTooSlowly`, `PostgresError`, or what `sink` throws. Then the file has no total line.
    public func write(month: StatementMonth, to sink: ([UInt8]) async throws -> Void) async throws -> StatementTotal {
        let span = month.span(in: zone)
        let (pages, page) = AsyncThrowingStream<[StatementRow], any Error>.makeStream()
        let (credits, credit) = AsyncStream<Void>.makeStream()
        var csv = StatementCSV()
        try await sink(csv.header())
        return try await withThrowingTaskGroup(of: StatementTotal.self) { group in
            group.addTask { [store, organization, patience] in
                let end = ContinuousClock.now + patience.whole
                do {
                    let control = try await store.statementRows(of: organization, in: span) { rows in
                        page.yield(rows)
                        // The one page on its way must be taken before the next is fetched.
                        try await taken(credits, until: min(end, .now + patience.page))
                    }
                    page.finish()
                    return control
                } catch {
                    page.finish(throwing: error)
                    throw error
                }
            }
            for try await rows in pages {
                try await sink(csv.lines(rows))
                credit.yield()
            }
            guard let control = try await group.next() else { throw CancellationError() }
            let lines = StatementTotal(requests: csv.requests, cost: csv.cost)
            guard lines == control else { throw StatementDisagrees(lines: lines, control: control) }
            try await sink(csv.total())
            return control
        }
    }

    /// The month's total and each team's part, as the JSON of `GET /v1/statements/{YYYY-MM}`.
    public func summary(month: StatementMonth) async throws -> JSON {
        let span = month.span(in: zone)
        let (total, teams) = try await store.statementSummary(of: organization, in: span)
        func members(_ total: StatementTotal) -> [(String, JSON)] {
            [
                ("calls", .number(total.requests)),
                ("cost", .object([("amount", .string(total.cost.description)), ("currency", "USD")])),
            ]
        }
        let parts = teams.map { team in
            JSON.object(
                [
                    ("team", .string(team.team.description)), ("name", .string(team.name)),
                    ("cost_center", team.costCenter.isEmpty ? .null : .string(team.costCenter)),
                ] + members(team.total))
        }
        return .object(
            [
                ("month", .string(month.description)), ("state", "open"), ("time_zone", .string(zone.identifier)),
                ("starts_at", .string(span.start.rfc3339)), ("ends_at", .string(span.end.rfc3339)),
            ] + members(total) + [("teams", .array(parts))])
    }
}

/// Waits until a page was taken. When that does not happen in time, or will not at all, it throws, and the connection goes back.
private func taken(_ credits: AsyncStream<Void>, until end: ContinuousClock.Instant) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        // No credit means that nobody reads on.
        group.addTask { if await credits.first(where: { true }) == nil { throw CancellationError() } }
        group.addTask {
            // The deadline itself, cancelled when the page was taken.
            try await Task.sleep(until: end, clock: .continuous)
            throw StatementReadTooSlowly()
        }
        defer { group.cancelAll() }
        _ = try await group.next()
    }
}
