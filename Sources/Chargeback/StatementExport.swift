/// A month's statement as a file: written in constant memory.
public import Budgets
public import Store

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
    let organization: OrganizationRecord
    let zone: Zone
    private let patience: Patience

    /// - Throws: `AdminRefusal.notFound`, `PostgresError`.
    public init(store: Store, organization: OrganizationID, patience: Patience = Patience()) async throws {
        self.store = store
        self.organization = try await store.organization(organization)
        // Its calendar decides what a month is.
        guard let zone = Zone(self.organization.timeZone) else { throw AdminRefusal.notFound }
        self.zone = zone
        self.patience = patience
    }

    /// Writes the month (UTF-8), a page of lines at a time; nothing further is read before `sink` has returned.
    /// - Returns: what the lines sum to, by the ledger too.
    /// - Throws: `StatementDisagrees`, `StatementReadTooSlowly`, `PostgresError`, or what `sink` throws. Then the file has no end.
    public func write(
        _ format: StatementFormat, month: StatementMonth, to sink: ([UInt8]) async throws -> Void
    ) async throws -> StatementTotal {
        let (source, head) = try await source(of: month)
        let (pages, page) = AsyncThrowingStream<[StatementLine], any Error>.makeStream()
        let (credits, credit) = AsyncStream<Void>.makeStream()
        var writer = format.writer()
        var total = StatementTotal()
        try await sink(writer.begin(head))
        return try await withThrowingTaskGroup(of: StatementTotal.self) { group in
            group.addTask { [store, patience] in
                let end = ContinuousClock.now + patience.whole
                do {
                    let control = try await store.statementLines(of: source) { lines in
                        page.yield(lines)
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
            for try await lines in pages {
                for line in lines {
                    total.requests += line.calls
                    total.cost += line.cost
                }
                try await sink(writer.lines(lines))
                credit.yield()
            }
            guard let control = try await group.next() else { throw CancellationError() }
            guard total == control else { throw StatementDisagrees(lines: total, control: control) }
            try await sink(writer.end(total))
            return control
        }
    }

    /// Where the month's lines are: frozen if it is closed, or as the books stand.
    func source(of month: StatementMonth) async throws -> (StatementSource, StatementHead) {
        let record = try await store.statement(of: month, in: organization.id)
        let isClosed = record?.state == .closed
        let span = isClosed ? record?.span ?? month.span(in: zone) : month.span(in: zone)
        let edition = record?.edition ?? 0
        let frozen = isClosed ? record.map { (statement: $0.id, edition: $0.edition) } : nil
        return (
            StatementSource(organization: organization.id, span: span, zone: zone, frozen: frozen),
            StatementHead(
                organization: organization.id, organizationName: organization.name, month: month, span: span, zone: zone,
                state: record?.state ?? .open, edition: isClosed || record?.state == .closing ? edition : edition + 1)
        )
    }

    func summary(of source: StatementSource) async throws -> (total: StatementTotal, teams: [StatementTeam]) {
        try await store.statementSummary(of: source)
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
