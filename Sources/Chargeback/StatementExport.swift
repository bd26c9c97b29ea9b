/// A month's statement as a file: written in constant memory.
public import Budgets
import Crypto
public import Store

/// Whoever reads an export took too long, and a snapshot is not kept for ever.
public struct StatementReadTooSlowly: Error, CustomStringConvertible {
    public let description = "the export was read too slowly"
}

/// A closed month's file is not what it was when it was first made: a fault of ours.
public struct StatementFileChanged: Error, CustomStringConvertible {
    public let description = "the export of a closed month is not what it was"
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

    /// Where a month's lines are, and what the file is to be where it must not change any more.
    public struct Plan: Sendable {
        public let format: StatementFormat
        let source: StatementSource
        let head: StatementHead
        /// What the file of a closed month is; nil while it is open.
        public let file: StatementFile?

        public var isClosed: Bool { source.frozen != nil }
    }

    /// Looks up what to write. A closed month's file is made once for this, unless it has been made before.
    public func plan(_ format: StatementFormat, month: StatementMonth) async throws -> Plan {
        let (source, head) = try await source(of: month)
        guard let (statement, edition) = source.frozen else { return Plan(format: format, source: source, head: head, file: nil) }
        let name = format.rawValue
        if let known = try await store.statementFile(of: statement, edition: edition, name, in: organization.id) {
            return Plan(format: format, source: source, head: head, file: known)
        }
        let (_, file) = try await write(Plan(format: format, source: source, head: head, file: nil)) { _ in }
        try await store.keep(file, of: statement, edition: edition, name, in: organization.id)
        return Plan(format: format, source: source, head: head, file: file)
    }

    /// Writes the month (UTF-8), a page of lines at a time; nothing further is read before `sink` has returned.
    /// - Returns: what the lines sum to, by the ledger too, with the month's commitments; and what the file is.
    /// - Throws: `StatementDisagrees`, `StatementFileChanged`, `StatementReadTooSlowly`, `FOCUSViolation`, `PostgresError`, or what `sink`
    ///   throws. Then the file has no end.
    @discardableResult public func write(
        _ plan: Plan, to sink: ([UInt8]) async throws -> Void
    ) async throws -> (end: StatementEnd, file: StatementFile) {
        let (pages, page) = AsyncThrowingStream<[StatementLine], any Error>.makeStream()
        let (credits, credit) = AsyncStream<Void>.makeStream()
        var writer = plan.format.writer()
        var (total, size, hash) = (StatementTotal(), Int64(0), SHA256())
        func note(_ bytes: [UInt8]) -> [UInt8] {
            size += Int64(bytes.count)
            hash.update(data: bytes)
            return bytes
        }
        try await sink(note(writer.begin(plan.head)))
        return try await withThrowingTaskGroup(of: StatementEnd.self) { group in
            group.addTask { [store, patience] in
                let end = ContinuousClock.now + patience.whole
                do {
                    let control = try await store.statementLines(of: plan.source) { lines in
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
                try await sink(note(try writer.lines(lines)))
                credit.yield()
            }
            guard let end = try await group.next() else { throw CancellationError() }
            guard total == end.total else { throw StatementDisagrees(lines: total, control: end.total) }
            let last = note(try writer.end(end))
            let file = StatementFile(byteCount: size, rowCount: writer.rows, sha256: Array(hash.finalize()))
            if let known = plan.file, known != file { throw StatementFileChanged() }
            try await sink(last)
            return (end, file)
        }
    }

    /// Where the month's lines are: frozen if it is closed, or as the books stand.
    func source(of month: StatementMonth) async throws -> (StatementSource, StatementHead) {
        let record = try await store.statement(of: month, in: organization.id)
        guard let record, record.state == .closed else {
            let span = month.span(in: zone)
            let edition = (record?.edition ?? 0) + (record?.state == .closing ? 0 : 1)
            return (
                StatementSource(organization: organization.id, span: span, zone: zone),
                StatementHead(
                    organization: organization.id, organizationName: organization.name, month: month, span: span, zone: zone,
                    state: record?.state ?? .open, edition: edition, accounts: try await store.journalAccounts(of: organization.id))
            )
        }
        return (
            StatementSource(
                organization: organization.id, span: record.span, zone: zone, frozen: (statement: record.id, edition: record.edition)),
            StatementHead(
                organization: organization.id, organizationName: record.organizationName ?? organization.name, month: month,
                span: record.span, zone: zone, state: .closed, edition: record.edition, accounts: record.accounts ?? .unset)
        )
    }

    /// What of the month nobody can be charged for as it stands, after shared costs were split.
    public func unattributed(month: StatementMonth) async throws -> (total: StatementTotal, parts: [UnattributedSpend]) {
        try await store.unattributedSpend(of: source(of: month).0)
    }

    func commitments(of source: StatementSource) async throws -> (total: StatementTotal, commitments: [CommitmentMonth]) {
        try await store.commitmentMonths(of: source)
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
