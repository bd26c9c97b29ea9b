/// Holds a database against every fact, one organization after another, in bounded memory: sums are made by Postgres, and only what
/// contradicts comes here.
public import Budgets
public import Postgres

/// What a check found.
public struct CheckReport: Sendable {
    public struct Finding: Sendable {
        public let fact: Fact
        /// How many contradictions.
        public var count: Int64 = 0
        /// The first of them, at most `Fact.maximumSamples`.
        public var samples: [(organization: OrganizationID, what: String)] = []
    }

    /// One a fact, in the order of `Fact.all`.
    public internal(set) var findings: [Finding] = Fact.all.map { Finding(fact: $0) }
    public internal(set) var organizations = 0
    public internal(set) var figures = Figures()

    public var violations: Int64 { findings.map(\.count).reduce(0, +) }

    /// How things stand, where no number is wrong by itself.
    public struct Figures: Sendable {
        /// Seconds since the last reservation or entry was committed; nil when there is none.
        public var lastCommitAge: Int64?
        /// Seconds that the oldest open reservation is held; nil when none is open.
        public var oldestHoldAge: Int64?
        public var entriesNotRolledUp: Int64 = 0
        public var deliveriesBeyondLease: Int64 = 0
    }
}

public enum Check {
    /// Organizations asked for at once.
    private static let page: Int64 = 1000

    /// Checks one organization, or all of them and the platform. A statement takes minutes where there are tens of millions of
    /// entries, so the connection should allow for that.
    public static func run(_ only: OrganizationID? = nil, on connection: isolated PostgresConnection) throws -> CheckReport {
        var report = CheckReport()
        var organizations = try only.map { [$0] } ?? next(after: nil, on: connection)
        while let last = organizations.last {
            for organization in organizations { try check(organization, &report, on: connection) }
            organizations = only == nil ? try next(after: last, on: connection) : []
        }
        return report
    }

    private static func next(
        after last: OrganizationID?, on connection: isolated PostgresConnection
    ) throws -> [OrganizationID] {
        try connection.query(
            """
            SELECT organization_id FROM organizations WHERE \(last)::uuid IS NULL OR organization_id > \(last)
            ORDER BY organization_id LIMIT \(page)
            """
        ).rows.map { try $0.decode(as: OrganizationID.self) }
    }

    private static func check(
        _ organization: OrganizationID, _ report: inout CheckReport, on connection: isolated PostgresConnection
    ) throws {
        for index in report.findings.indices {
            let rows = try connection.query(report.findings[index].fact.contradictions(organization)).rows
            for (number, row) in rows.enumerated() {
                let (count, what) = try row.decode(as: (Int64, String).self)
                if number == 0 { report.findings[index].count += count }
                if report.findings[index].samples.count < Fact.maximumSamples {
                    report.findings[index].samples.append((organization, what))
                }
            }
        }
        let (commit, hold, waiting, beyond) = try connection.query(figures(organization)).rows[0]
            .decode(as: (Int64?, Int64?, Int64, Int64).self)
        report.organizations += 1
        report.figures.lastCommitAge = [report.figures.lastCommitAge, commit].compactMap(\.self).min()
        report.figures.oldestHoldAge = [report.figures.oldestHoldAge, hold].compactMap(\.self).max()
        report.figures.entriesNotRolledUp += waiting
        report.figures.deliveriesBeyondLease += beyond
    }

    /// Ids are in the order of time, so the last of a key is the youngest.
    private static func figures(_ organization: OrganizationID) -> Query {
        """
        SELECT extract(epoch FROM now() - greatest(
                   (SELECT coalesce(resolved_at, created_at) FROM reservations WHERE organization_id = \(organization)
                    ORDER BY id DESC LIMIT 1),
                   (SELECT booked_at FROM ledger_entries WHERE organization_id = \(organization) ORDER BY version DESC LIMIT 1)))::bigint,
               (SELECT extract(epoch FROM now() - min(created_at))::bigint FROM reservations
                WHERE organization_id = \(organization) AND state = 'held'),
               (SELECT count(*) FROM ledger_entries WHERE organization_id = \(organization) AND version > coalesce(
                    (SELECT spend_version FROM rollup_positions WHERE organization_id = \(organization)), 0)),
               (SELECT count(*) FROM deliveries WHERE organization_id = \(organization) AND state = 'sending' AND lease_until < now())
        """
    }
}
