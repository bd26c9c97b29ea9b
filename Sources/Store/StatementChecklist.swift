/// What stands between a month and its closing: looked up without changing anything, as often as anybody likes.
public import Budgets
import Postgres

/// One point of the checklist that is not as it should be.
public struct StatementPoint: Hashable, Sendable {
    public enum Name: String, Sendable, CaseIterable {
        /// The month, or the hour after it, is not over.
        case monthNotEnded = "month_not_ended"
        /// An earlier month has spend and is open.
        case earlierMonthOpen = "earlier_month_open"
        /// Calls of the month are still under way; they end by themselves within the longest time to live, an hour.
        case openReservations = "open_reservations"
        /// Units that no price was known for (law 9).
        case unpricedUsage = "unpriced_usage"
        /// Spend of the month that no cost centre pays.
        case unattributedSpend = "unattributed_spend"
        /// Projects of which neither they nor their teams have a cost centre now.
        case missingCostCenters = "missing_cost_centers"

        /// Whether it may stay as it is when somebody says so.
        public var isAcceptable: Bool {
            switch self {
            case .monthNotEnded, .earlierMonthOpen, .openReservations: false
            case .unpricedUsage, .unattributedSpend, .missingCostCenters: true
            }
        }
    }

    public let name: Name
    /// How many: reservations, units, calls, projects.
    public let count: Amount
    /// The money in question, where there is some.
    public let amount: Money?
}

/// The checklist of a month, and what it sums to by two queries that have nothing in common.
public struct StatementChecklist: Sendable {
    public let span: StatementSpan
    /// By its lines.
    public let total: StatementTotal
    /// By the ledger's entries.
    public let control: StatementTotal
    /// What is not as it should be; empty when all is well.
    public let points: [StatementPoint]

    /// Points that keep the month from being closed although these were accepted.
    public func hindrances(accepting accepted: Set<StatementPoint.Name>) -> [StatementPoint] {
        points.filter { !$0.name.isAcceptable || !accepted.contains($0.name) }
    }
}

/// A statement's lines and its control total disagree: a fault of ours, and nothing that finance should book.
public struct StatementDisagrees: Error, CustomStringConvertible {
    public let lines: StatementTotal
    public let control: StatementTotal

    public init(lines: StatementTotal, control: StatementTotal) {
        self.lines = lines
        self.control = control
    }

    public var description: String {
        "the statement's lines sum to \(lines.cost) in \(lines.requests) calls, the ledger to \(control.cost) in \(control.requests)"
    }
}

extension Store {
    /// How long after its end a month is closed at the earliest: longer than clocks differ, and all of its calls have ended.
    public static let closingGrace: Int64 = 3600

    /// Looks a month over. Costs as much as summing its entries.
    public func checklist(
        of month: StatementMonth, in organization: OrganizationID, at now: Instant
    ) async throws -> StatementChecklist {
        try await read { connection in try Store.checklist(of: month, in: organization, at: now, connection) }
    }

    static func checklist(
        of month: StatementMonth, in organization: OrganizationID, at now: Instant, _ connection: isolated PostgresConnection
    ) throws -> StatementChecklist {
        guard let zone = Zone(try Store.organization(organization, connection).timeZone) else { throw AdminRefusal.notFound }
        let span = month.span(in: zone)
        let source = StatementSource(organization: organization, span: span, zone: zone)
        let position = try RollUps.position(of: organization, on: connection).version
        let teams = try StatementTeam.read(source, position, on: connection)
        let results = try connection.pipeline([
            Statements.booked(organization, span), unpriced(source, position), openReservations(organization, span),
            missingCostCenters(organization), earlierEntries(organization, span),
        ])
        // Calls whose whole cost others share are nobody's trouble.
        let homeless = teams.filter { $0.costCenter.isEmpty && $0.total.cost != .zero }.sum
        let (unpriced, unpricedCost) = try results[1].rows[0].decode(as: (Amount, Money).self)
        let (open, held) = try results[2].rows[0].decode(as: (Int64, Money).self)
        let missing = try results[3].rows[0].decode(as: Int64.self)
        let found: [(StatementPoint.Name, Amount, Money?)] = [
            (.monthNotEnded, Amount(whole: now < span.end.adding(seconds: closingGrace) ? 1 : 0), nil),
            (.earlierMonthOpen, Amount(whole: try results[4].rows[0].decode(as: Bool.self) ? 1 : 0), nil),
            (.openReservations, Amount(whole: open), held), (.unpricedUsage, unpriced, unpricedCost),
            (.unattributedSpend, Amount(whole: homeless.requests), homeless.cost),
            (.missingCostCenters, Amount(whole: missing), nil),
        ]
        return StatementChecklist(
            span: span, total: teams.sum, control: try Statements.decodeTotal(results[0]),
            points: found.filter { $0.1 != .zero || ($0.2 ?? .zero) != .zero }.map {
                StatementPoint(name: $0.0, count: $0.1, amount: $0.2)
            })
    }

    /// Units without a price and what was charged for them (adjustments and credits have none and need none), from roll-ups and the entries that are not in them yet.
    private static func unpriced(_ source: StatementSource, _ position: Int64) -> Query {
        let (organization, span, pieces) = (source.organization, source.span, source.pieces)
        return """
            SELECT coalesce(sum(quantity), 0), coalesce(sum(cost), 0) FROM (
                SELECT u.quantity, u.cost
                FROM unnest(\(pieces.map(\.kind.rawValue)), \(pieces.map(\.start)), \(pieces.map(\.end)))
                     AS p (span, starts_at, ends_at)
                CROSS JOIN LATERAL (
                    SELECT * FROM usage_rollups AS r WHERE r.organization_id = \(organization) AND r.span = p.span
                           AND r.starts_at >= p.starts_at AND r.starts_at < p.ends_at
                           AND r.price_id = '00000000-0000-0000-0000-000000000000' AND r.provider <> \(BookingKind.ownProvider) OFFSET 0) AS u
                UNION ALL
                SELECT (line.value ->> 'quantity')::numeric, (line.value ->> 'cost')::numeric
                FROM (SELECT * FROM ledger_entries WHERE organization_id = \(organization) AND version > \(position)
                      ORDER BY version OFFSET 0) AS tail CROSS JOIN LATERAL jsonb_each(tail.lines) AS line
                WHERE tail.occurred_at >= \(span.start) AND tail.occurred_at < \(span.end) AND line.value ->> 'price' IS NULL
                      AND tail.provider <> \(BookingKind.ownProvider)
            ) AS parts
            """
    }

    /// Reservations of the span that are open. Their ids are in the order of time.
    private static func openReservations(_ organization: OrganizationID, _ span: StatementSpan) -> Query {
        """
        SELECT count(*), coalesce(sum(held), 0) FROM reservations
        WHERE organization_id = \(organization) AND state = 'held' AND created_at >= \(span.start) AND created_at < \(span.end)
              AND id >= \(ReservationID(firstAt: span.start)) AND id < \(ReservationID(firstAt: span.end))
        """
    }

    private static func missingCostCenters(_ organization: OrganizationID) -> Query {
        """
        SELECT count(*) FROM projects AS p JOIN teams AS t ON t.organization_id = p.organization_id AND t.id = p.team_id
        WHERE p.organization_id = \(organization) AND p.archived_at IS NULL AND p.cost_center IS NULL AND t.cost_center IS NULL
        """
    }

    /// Whether there are entries before the span that no closed month has.
    private static func earlierEntries(_ organization: OrganizationID, _ span: StatementSpan) -> Query {
        """
        SELECT EXISTS (
            SELECT FROM ledger_entries WHERE organization_id = \(organization) AND occurred_at < \(span.start)
                   AND occurred_at >= coalesce((SELECT closed_until FROM organizations WHERE organization_id = \(organization)), '-infinity'))
        """
    }
}

extension ID {
    /// Before every id made at the instant or later, and after all made before its millisecond.
    fileprivate init(firstAt instant: Instant) {
        self.init(high: (UInt64(clamping: instant.microseconds / 1000) & 0xFFFF_FFFF_FFFF) << 16, low: 0)
    }
}
