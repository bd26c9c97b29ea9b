/// Rules for shared costs, as they are kept. Nothing of a rule ever changes but the month it ends with: what is to be split in another way is
/// another rule from then on.
public import Budgets
import JSON
import Postgres

public struct CostSplitRecord: Sendable {
    public let split: CostSplit
    public let name: String
    /// The first month that it holds in.
    public let fromMonth: StatementMonth
    /// The first that it does not hold in any more; nil: it holds on.
    public var untilMonth: StatementMonth?
    /// The API key that wrote it; its lines name this one.
    public let setBy: APIKeyID
    public let revision: Int64
    public let createdAt: Instant

    init(_ row: Row) throws(PostgresError) {
        let (id, name, source, method, receivers, from, until, setBy, revision, createdAt) = try row.decode(
            as: (CostSplitID, String, ProjectID, String, JSONB, String, String?, APIKeyID, Int64, Instant).self)
        guard let method = SplitMethod(rawValue: method), let fromMonth = StatementMonth(from),
            let elements = (try? JSON.parse(receivers.bytes))?.array
        else { throw .decoding("a cost split with an unknown word") }
        var list: [CostSplit.Receiver] = []
        for element in elements {
            guard let project = element["project"]?.string.flatMap({ ProjectID($0) }) else { throw .decoding("a receiver that is none") }
            list.append(.init(project: project, percent: element["percent"]?.string.flatMap { Amount($0) }))
        }
        split = CostSplit(id: id, source: source, method: method, receivers: list)
        (self.name, self.fromMonth, self.setBy, self.revision, self.createdAt) = (name, fromMonth, setBy, revision, createdAt)
        untilMonth = until.flatMap { StatementMonth($0) }
    }
}

/// A rule about to be written.
public struct NewCostSplit: Sendable {
    public let split: CostSplit
    public let name: String
    public let fromMonth: StatementMonth
    public let untilMonth: StatementMonth?
    public let setBy: APIKeyID

    public init(split: CostSplit, name: String, fromMonth: StatementMonth, untilMonth: StatementMonth?, setBy: APIKeyID) {
        (self.split, self.name, self.fromMonth, self.untilMonth, self.setBy) = (split, name, fromMonth, untilMonth, setBy)
    }
}

extension Store {
    /// Writes a rule down. Months that were proposed and that it holds in are open again: they would close with other parts than were seen.
    /// - Throws: `AdminRefusal.unknownReference` for a project that is not there, `.unfit` when the source is split already or costs would
    ///   run in a circle, `.inUse` while a month that it holds in is closing.
    public func createCostSplit(_ new: NewCostSplit, of organization: OrganizationID) async throws -> CostSplitRecord {
        try await configure(organization) { connection in
            try Bound.costSplits.requireRoom(in: organization, connection)
            try CostSplits.checkProjects(new.split, organization, connection)
            try connection.query(CostSplits.insert(new, organization))
            let record = try CostSplits.read(new.split.id, organization, connection)
            try CostSplits.fit(record, organization, connection)
            try CostSplits.reconsider(from: record.fromMonth, until: record.untilMonth, organization, connection)
            return record
        }
    }

    public func costSplit(_ id: CostSplitID, of organization: OrganizationID) async throws -> CostSplitRecord {
        try await read { connection in try CostSplits.read(id, organization, connection) }
    }

    /// All rules, those of the past included.
    public func costSplits(
        of organization: OrganizationID, _ listing: Listing<CostSplitRecord, CostSplitID>
    ) async throws -> Page<CostSplitRecord, ListPlace<CostSplitID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, name, source_id, method, receivers, from_month, until_month, set_by, revision, created_at FROM cost_splits
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("id")])
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(CostSplitRecord.init)) { $0.split.id }
        }
    }

    /// Says with which month a rule ends: nil, with none. One that ends with its first month never holds. Closed months stay as they are.
    public func endCostSplit(
        _ id: CostSplitID, of organization: OrganizationID, until month: StatementMonth?, ifRevision: Int64?
    ) async throws -> CostSplitRecord {
        try await configure(organization) { connection in
            let before = try CostSplits.read(id, organization, connection)
            try Store.check(revision: before.revision, archivedAt: nil, against: ifRevision)
            guard month.map({ $0 >= before.fromMonth }) ?? true else {
                throw AdminRefusal.unfit(pointer: "/until_month", "cannot be before from_month")
            }
            try connection.query(
                """
                UPDATE cost_splits SET until_month = \(month?.description), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            let record = try CostSplits.read(id, organization, connection)
            try CostSplits.fit(record, organization, connection)
            // What lies between the old end and the new one is split in another way now.
            let ends = [before.untilMonth, month].compactMap(\.self)
            if let first = ends.min() {
                try CostSplits.reconsider(from: first, until: ends.count == 2 ? ends.max() : nil, organization, connection)
            }
            return record
        }
    }
}

enum CostSplits {
    /// The rules that hold in a month.
    static func holding(
        in month: StatementMonth, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> [CostSplitRecord] {
        try connection.query(
            """
            SELECT id, name, source_id, method, receivers, from_month, until_month, set_by, revision, created_at FROM cost_splits
            WHERE organization_id = \(organization) AND from_month <= \(month.description)
                  AND (until_month IS NULL OR until_month > \(month.description))
            ORDER BY id
            """
        ).rows.map(CostSplitRecord.init)
    }

    fileprivate static func read(
        _ id: CostSplitID, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> CostSplitRecord {
        let result = try connection.query(
            """
            SELECT id, name, source_id, method, receivers, from_month, until_month, set_by, revision, created_at FROM cost_splits
            WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try CostSplitRecord(row)
    }

    fileprivate static func insert(_ new: NewCostSplit, _ organization: OrganizationID) -> Query {
        """
        INSERT INTO cost_splits (organization_id, id, name, source_id, method, receivers, from_month, until_month, set_by)
        VALUES (\(organization), \(new.split.id), \(new.name), \(new.split.source), \(new.split.method.rawValue), \(new.split.column),
                \(new.fromMonth.description), \(new.untilMonth?.description), \(new.setBy))
        """
    }

    fileprivate static func checkProjects(
        _ split: CostSplit, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        let asked = [split.source] + split.receivers.map(\.project)
        let known = try connection.query("SELECT id FROM projects WHERE organization_id = \(organization) AND id = ANY (\(asked))").rows
            .map { try $0.decode(as: ProjectID.self) }
        guard known.contains(split.source) else { throw AdminRefusal.unknownReference(pointer: "/source") }
        guard Set(known).isSuperset(of: asked) else { throw AdminRefusal.unknownReference(pointer: "/receivers") }
    }

    /// Whether a rule goes with those that hold when it does: a source is split once, and nothing comes back to where it was.
    fileprivate static func fit(
        _ record: CostSplitRecord, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        let others = try connection.query(
            """
            SELECT id, name, source_id, method, receivers, from_month, until_month, set_by, revision, created_at FROM cost_splits
            WHERE organization_id = \(organization) AND id <> \(record.split.id) AND (from_month < until_month) IS NOT FALSE
                  AND (until_month IS NULL OR until_month > \(record.fromMonth.description))
                  AND (\(record.untilMonth?.description) IS NULL OR from_month < \(record.untilMonth?.description))
            """
        ).rows.map(CostSplitRecord.init)
        guard record.untilMonth != record.fromMonth else { return }
        if let other = others.first(where: { $0.split.source == record.split.source }) {
            throw AdminRefusal.unfit(pointer: "/source", "is split by \(other.split.id) in the same months: end that one first")
        }
        guard CostSplit.ordered(others.map(\.split) + [record.split]) != nil else {
            throw AdminRefusal.unfit(pointer: "/receivers", "must not lead back to the source, by way of other splits either")
        }
    }

    /// Months that were proposed with other parts, or another bill, are open again.
    /// - Throws: `AdminRefusal.inUse` while one of them is closing.
    static func reconsider(
        from: StatementMonth, until: StatementMonth?, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        let states = try connection.query(
            """
            UPDATE statements SET state = CASE state WHEN 'proposed' THEN 'open' ELSE state END, revision = revision + 1
            WHERE organization_id = \(organization) AND state IN ('proposed', 'closing') AND month >= \(from.description)
                  AND (\(until?.description) IS NULL OR month < \(until?.description))
            RETURNING state
            """
        ).rows.map { try $0.decode(as: String.self) }
        guard !states.contains(StatementState.closing.rawValue) else {
            throw AdminRefusal.inUse("A month that it holds in is closing at this moment.")
        }
    }
}

extension CostSplit {
    /// `[{"project":"prj_…","percent":"40"}]`.
    fileprivate var column: JSONB {
        var writer = JSONWriter()
        writer.array { writer in
            for receiver in receivers {
                writer.object { writer in
                    writer.field("project", receiver.project.description)
                    if let percent = receiver.percent { writer.field("percent", percent.plain) }
                }
            }
        }
        return JSONB(bytes: writer.bytes)
    }
}
