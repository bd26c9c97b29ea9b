/// The statement as a table for people: one record a cost centre × team × project × model × feature × environment, then the total.
import Budgets
import Store

/// Renders rows and adds them up, so that the total line is the sum of the lines above it.
struct StatementCSV {
    /// Kinds with a column of their own; the rest share `other_usage` as `kind=quantity` pairs. Fixed, so that every month's file has
    /// the same columns.
    static let kinds = ["input", "cached_input", "cache_write_5m", "cache_write_1h", "output"]

    private var writer = CSVWriter()
    private(set) var requests: Int64 = 0
    private(set) var cost = Money.zero
    private var unpricedUnits = Amount.zero
    private var usage: [UsageKind: Amount] = [:]

    mutating func header() -> [UInt8] {
        let columns =
            ["row", "cost_center", "team_id", "team", "project_id", "project", "provider", "model", "feature", "environment", "requests"]
            + Self.kinds + ["other_usage", "unpriced_units", "cost_usd"]
        for column in columns { writer.number(column) }
        writer.endRecord()
        return writer.take()
    }

    mutating func lines(_ rows: [StatementRow]) -> [UInt8] {
        for row in rows {
            writer.number("line")
            writer.text(row.costCenter)
            writer.number(row.team.description)
            writer.text(row.teamName)
            writer.number(row.project.description)
            for text in [row.projectName, row.provider, row.model, row.feature, row.environment] { writer.text(text) }
            numbers(requests: row.requests, usage: row.usage, unpriced: row.unpricedUnits, cost: row.cost)
            requests += row.requests
            cost = cost + row.cost
            unpricedUnits = unpricedUnits + row.unpricedUnits
            for (kind, quantity) in row.usage { usage[kind, default: .zero] += quantity }
        }
        return writer.take()
    }

    mutating func total() -> [UInt8] {
        writer.number("total")
        for _ in 0..<9 { writer.number("") }
        let all = usage.sorted { $0.key < $1.key }.map { (kind: $0.key, quantity: $0.value) }
        numbers(requests: requests, usage: all, unpriced: unpricedUnits, cost: cost)
        return writer.take()
    }

    private mutating func numbers(requests: Int64, usage: [(kind: UsageKind, quantity: Amount)], unpriced: Amount, cost: Money) {
        writer.number(String(requests))
        for kind in Self.kinds { writer.number(usage.first { $0.kind == kind }?.quantity.plain ?? "0") }
        let others = usage.filter { !Self.kinds.contains($0.kind) }
        writer.text(others.map { "\($0.kind)=\($0.quantity.plain)" }.joined(separator: ";"))
        writer.number(unpriced.plain)
        writer.number(cost.description)
        writer.endRecord()
    }
}
