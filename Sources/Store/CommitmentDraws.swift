/// What commitments come to in a month that is open, or closing: its lines are gone through in the order in which they draw, after those of all
/// months before whose draws are not frozen. Memory stays constant, whatever the months have.
import Budgets
import Postgres

extension CommitmentMonths {
    /// - Parameter lines: of the source, with their numbers.
    static func worked(
        out source: StatementSource, _ lines: Query, _ position: Int64, on connection: isolated PostgresConnection
    ) throws -> CommitmentMonths {
        let (organization, span, zone) = (source.organization, source.span, source.zone)
        guard let month = StatementMonth(at: span.start, in: zone), month.span(in: zone) == span else { return CommitmentMonths([]) }
        let records = try Commitments.all(organization, connection).filter { $0.purchaseMonth <= month && $0.cancelledAt == nil }
        guard !records.isEmpty else { return CommitmentMonths([]) }
        let commitments = records.map { $0.commitment(in: zone) }
        var drawn = try drawn(before: month, organization, on: connection)
        for earlier in try openMonths(before: month, zone, commitments, organization, on: connection) {
            let source = StatementSource(organization: organization, span: earlier.span(in: zone), zone: zone)
            let shared = try SharedCosts.asTheyStand(source, position, on: connection)
            let lines = StatementLines.open(source, position: position, shared)
            for drawdown in try walk(lines, of: source, commitments, drawn, on: connection).drawdowns.all {
                drawn[drawdown.commitment.id, default: .zero] += drawdown.drawn
            }
        }
        let (drawdowns, charged) = try walk(lines, of: source, commitments, drawn, on: connection)
        let found = Dictionary(uniqueKeysWithValues: drawdowns.all.map { ($0.commitment.id, $0) })
        return CommitmentMonths(
            zip(records, commitments).compactMap { record, commitment in
                let (isBought, own) = (record.purchaseMonth == month, charged[record.id] ?? .zero)
                // What is neither bought, nor to be drawn on, nor spoken of has no part in the month.
                guard isBought || own != .zero || found[record.id] != nil else { return nil }
                return CommitmentMonth(
                    record: record, drawdown: found[record.id] ?? Drawdown(of: commitment, before: drawn[record.id] ?? .zero), charged: own,
                    isBought: isBought, isLast: commitment.end > span.start && commitment.end <= span.end)
            })
    }

    private static func drawn(
        before month: StatementMonth, _ organization: OrganizationID, on connection: isolated PostgresConnection
    ) throws -> [CommitmentID: Money] {
        let rows = try connection.query(
            """
            SELECT d.commitment_id, sum(d.drawn) FROM commitment_draws AS d
            JOIN statements AS s ON s.organization_id = d.organization_id AND s.id = d.statement_id AND s.edition = d.edition
            WHERE d.organization_id = \(organization) AND s.state = 'closed' AND s.month < \(month.description) GROUP BY 1
            """
        ).rows.map { try $0.decode(as: (CommitmentID, Money).self) }
        return Dictionary(uniqueKeysWithValues: rows)
    }

    /// Months before this one whose draws are not frozen and bear on it: what one commitment has left depends on those that were drawn on
    /// with it.
    private static func openMonths(
        before month: StatementMonth, _ zone: Zone, _ commitments: [Commitment], _ organization: OrganizationID,
        on connection: isolated PostgresConnection
    ) throws -> [StatementMonth] {
        let rows = try connection.query(
            """
            SELECT closed_until, ARRAY(SELECT month FROM statements WHERE organization_id = \(organization) AND state = 'closing')
            FROM organizations WHERE organization_id = \(organization)
            """
        ).rows
        guard let row = rows.first, let first = commitments.map(\.start).min(), let from = StatementMonth(at: first, in: zone) else {
            return []
        }
        let (closed, closing) = try row.decode(as: (Instant?, [String]).self)
        return from.through(month.before).filter { month in
            let span = month.span(in: zone)
            return (closed.map { span.end > $0 } ?? true || closing.contains(month.description))
                && commitments.contains { $0.overlaps(span) }
        }
    }

    /// Goes through the lines of a month in the order in which they draw.
    private static func walk(
        _ lines: Query, of source: StatementSource, _ commitments: [Commitment], _ before: [CommitmentID: Money],
        on connection: isolated PostgresConnection
    ) throws -> (drawdowns: Drawdowns, charged: [CommitmentID: Money]) {
        let current = commitments.filter { $0.overlaps(source.span) }
        var drawdowns = Drawdowns(current.map { Drawdown(of: $0, before: before[$0.id] ?? .zero) })
        var charged: [CommitmentID: Money] = [:]
        try connection.query(
            """
            DECLARE draw_page NO SCROLL CURSOR FOR
            SELECT line, consumed_at, provider, model, feature, quantity, unit_price, cost FROM (\(list: [lines])) AS lines
            WHERE provider = ANY (\(current.map(\.provider))) AND unit_price > 0 AND quantity <> 0
                  OR provider = \(BookingKind.ownProvider) AND model = \(ChargeKind.unusedCommitment.rawValue)
            ORDER BY quantity > 0, consumed_at, line
            """)
        while true {
            let rows = try connection.query("FETCH 2000 FROM draw_page").rows
            for row in rows {
                let (line, day, provider, model, feature, quantity, price, cost) = try row.decode(
                    as: (Int64, Instant, String, String, String, Amount, Amount?, Money).self)
                if let price, provider != BookingKind.ownProvider {
                    drawdowns.draw(PricedUsage(line, day, provider, model, quantity, price))
                } else if let id = CommitmentID(feature) {
                    charged[id, default: .zero] += cost
                }
            }
            if rows.count < 2000 { break }
        }
        try connection.query("CLOSE draw_page")
        return (drawdowns, charged)
    }
}

extension Commitment {
    fileprivate func overlaps(_ span: StatementSpan) -> Bool { start < span.end && end > span.start }
}

extension PricedUsage {
    init(
        _ line: Int64, _ day: Instant, _ provider: String, _ model: String, _ quantity: Amount, _ price: Amount
    ) {
        self.init(
            place: Place(day: day, line: line), provider: provider, model: model,
            units: Int64(clamping: quantity.pico / Amount.picoPerWhole),
            pricePerMillion: price)
    }
}
