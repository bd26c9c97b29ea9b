/// What the commitments of an organization come to in a month: worked out of the same lines as the statement, in the same snapshot, while the
/// month is open; frozen with them when it closes. What a commitment pays is taken off what is billed. Nobody's cost changes by it.
public import Budgets
import Postgres

/// One commitment in one month.
public struct CommitmentMonth: Sendable {
    public let record: CommitmentRecord
    public let drawdown: Drawdown
    /// Of what was unused, so much was charged to projects by adjustments of this month.
    public let charged: Money
    /// Whether this month's statement has the purchase.
    public let isBought: Bool
    /// Whether its term ends with this month.
    public let isLast: Bool

    /// What earlier months have drawn, and what this one draws.
    public var before: Money { drawdown.before }
    public var drawn: Money { drawdown.drawn }
    /// What is left of it at the month's end.
    public var left: Money { record.amount - before - drawn }
    /// What nobody has used, once its term is over.
    public var unused: Money { isLast ? left : .zero }
    /// What it adds to what the month's lines cost, for what is billed in the month.
    public var billed: Money { (isBought ? record.amount : .zero) - drawn - charged }
}

/// What commitments have to do with a line.
public struct LineCommitments: Sendable {
    /// What they pay of it: usage.
    public let draws: [(record: CommitmentRecord, draw: CommitmentDraw)]
    /// Whose unused part it charges to a project: an adjustment.
    public let unused: CommitmentRecord?

    static let none = LineCommitments(draws: [], unused: nil)
}

/// The commitments of a month, ready to say what they have to do with each line.
struct CommitmentMonths: Sendable {
    let all: [CommitmentMonth]
    private let records: [CommitmentID: CommitmentRecord]
    private let drawdowns: Drawdowns

    init(_ all: [CommitmentMonth]) {
        self.all = all
        records = Dictionary(uniqueKeysWithValues: all.map { ($0.record.id, $0.record) })
        drawdowns = Drawdowns(all.map(\.drawdown))
    }

    func about(_ line: StatementLine) -> LineCommitments {
        guard !all.isEmpty else { return .none }
        if line.provider == BookingKind.ownProvider {
            let isUnused = line.model == ChargeKind.unusedCommitment.rawValue
            return LineCommitments(draws: [], unused: isUnused ? CommitmentID(line.feature).flatMap { records[$0] } : nil)
        }
        guard let usage = line.usage else { return .none }
        return LineCommitments(
            draws: drawdowns.draws(of: usage).compactMap { draw in records[draw.commitment].map { ($0, draw) } }, unused: nil)
    }
}

extension Store {
    /// The commitments of a source, and the total of its lines, in one snapshot. Of an open month it costs as much as an export.
    public func commitmentMonths(of source: StatementSource) async throws -> (total: StatementTotal, commitments: [CommitmentMonth]) {
        try await snapshot(source) { position, connection in
            let shared = try SharedCosts.asTheyStand(source, position, on: connection)
            let months = try CommitmentMonths.read(source, position, shared, on: connection)
            return (try StatementTeam.read(source, position, on: connection).sum, months.all)
        }
    }
}

extension CommitmentMonths {
    /// - Parameter shared: of the same source; its lines stand between those of calls.
    static func read(
        _ source: StatementSource, _ position: Int64, _ shared: SharedCosts, on connection: isolated PostgresConnection
    ) throws -> CommitmentMonths {
        if let (statement, edition) = source.frozen {
            return CommitmentMonths(try frozen(source, statement, edition: edition, on: connection))
        }
        return try worked(out: source, StatementLines.open(source, position: position, shared), position, on: connection)
    }

    /// Writes down what the month that is closing comes to, once its lines are frozen.
    static func freeze(_ source: StatementSource, _ position: Int64, on connection: isolated PostgresConnection) throws {
        guard let (statement, edition) = source.frozen else { preconditionFailure("a month that is not closing") }
        let lines: Query = """
            SELECT line, consumed_at, provider, model, feature, quantity, unit_price, cost FROM statement_lines
            WHERE organization_id = \(source.organization) AND statement_id = \(statement) AND edition = \(edition)
            """
        for month in try worked(out: source, lines, position, on: connection).all {
            let (drawdown, term) = (month.drawdown, month.drawdown.commitment)
            let (returned, drained) = (drawdown.returned, drawdown.drained)
            try connection.query(
                """
                INSERT INTO commitment_draws
                    (organization_id, statement_id, edition, commitment_id, starts_at, ends_at, drawn_before, drawn, charged, returned_at,
                     returned_line, returned_units, drained_at, drained_line, drained_units)
                VALUES (\(source.organization), \(statement), \(edition), \(term.id), \(term.start), \(term.end), \(drawdown.before),
                        \(drawdown.drawn), \(month.charged), \(returned?.place.day), \(returned?.place.line), \(returned?.units),
                        \(drained?.place.day), \(drained?.place.line), \(drained?.units))
                """)
        }
    }

    private static func frozen(
        _ source: StatementSource, _ statement: StatementID, edition: Int64, on connection: isolated PostgresConnection
    ) throws -> [CommitmentMonth] {
        let rows = try connection.query(
            """
            SELECT d.commitment_id, d.starts_at, d.ends_at, d.drawn_before, d.drawn, d.charged, s.month, d.returned_at, d.returned_line,
                   d.returned_units, d.drained_at, d.drained_line, d.drained_units
            FROM commitment_draws AS d JOIN statements AS s ON s.organization_id = d.organization_id AND s.id = d.statement_id
            WHERE d.organization_id = \(source.organization) AND d.statement_id = \(statement) AND d.edition = \(edition)
            """
        ).rows
        guard !rows.isEmpty else { return [] }
        let records = try Commitments.all(source.organization, connection)
        return try rows.compactMap { row in
            let (id, start, end, before, drawn, charged, month, returnDay, returnLine, returnUnits, day, line, units) = try row.decode(
                as: (
                    CommitmentID, Instant, Instant, Money, Money, Money, String, Instant?, Int64?, Int64?, Instant?, Int64?, Int64?
                ).self)
            guard let record = records.first(where: { $0.id == id }) else { return nil }
            let drawdown = Drawdown(
                of: record.commitment(from: start, until: end), before: before, drawn: drawn,
                returned: Drawdown.Border(returnDay, returnLine, returnUnits), drained: Drawdown.Border(day, line, units))
            return CommitmentMonth(
                record: record, drawdown: drawdown, charged: charged, isBought: record.purchaseMonth.description == month,
                isLast: end > source.span.start && end <= source.span.end)
        }
    }
}

extension Drawdown.Border {
    fileprivate init?(_ day: Instant?, _ line: Int64?, _ units: Int64?) {
        guard let day, let line, let units else { return nil }
        self.init(place: PricedUsage.Place(day: day, line: line), units: units)
    }
}

extension StatementLine {
    /// What commitments may pay for: units that have a price, which is not 0.
    fileprivate var usage: PricedUsage? {
        guard let unitPrice, listPrice != nil, unitPrice > .zero, quantity != .zero else { return nil }
        return PricedUsage(number, consumedAt, provider, model, quantity, unitPrice)
    }
}
