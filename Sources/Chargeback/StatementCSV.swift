/// The statement as a table for people: one record a cost centre × team × project × model × feature × environment, then the total.
import Budgets
import Store

/// Merges lines into records and adds them up, so that the total is the sum of the records above it.
struct StatementCSV: StatementWriter {
    /// Kinds with a column of their own; the rest share `other_usage` as `kind=quantity` pairs. Fixed, so that every month's file has
    /// the same columns.
    static let kinds = ["input", "cached_input", "cache_write_5m", "cache_write_1h", "output"]

    private var writer = CSVWriter()
    private var row: Row?
    private var sums = Sums()

    var rows: Int64 { writer.records - 1 }

    mutating func begin(_ head: StatementHead) -> [UInt8] {
        let columns =
            ["row", "cost_center", "team_id", "team", "project_id", "project", "provider", "model", "feature", "environment", "requests"]
            + Self.kinds + ["other_usage", "unpriced_units", "cost_usd"]
        for column in columns { writer.number(column) }
        writer.endRecord()
        return writer.take()
    }

    mutating func lines(_ lines: [StatementLine]) -> [UInt8] {
        for line in lines {
            if row?.key != Key(line) {
                endRow()
                row = Row(key: Key(line))
            }
            row?.sums.add(line)
        }
        return writer.take()
    }

    mutating func end(_ end: StatementEnd) -> [UInt8] {
        endRow()
        let settlement = Settlement(of: sums.cost)
        ending("total", sums)
        ending("rounding", Sums(cost: settlement.rounding))
        ending("payable", Sums(cost: settlement.payable))
        return writer.take()
    }

    private mutating func endRow() {
        guard let row else { return }
        let key = row.key
        writer.number("line")
        writer.text(key.costCenter)
        writer.number(key.team.description)
        writer.text(key.teamName)
        writer.number(key.project.description)
        for text in [key.projectName, key.provider, key.model, key.feature, key.environment] { writer.text(text) }
        write(row.sums)
        sums.add(row.sums)
        self.row = nil
    }

    private mutating func ending(_ name: String, _ sums: Sums) {
        writer.number(name)
        for _ in 0..<9 { writer.number("") }
        write(sums)
    }

    private mutating func write(_ sums: Sums) {
        writer.number(String(sums.requests))
        for kind in Self.kinds { writer.number(sums.usage[kind]?.plain ?? "0") }
        let others = sums.usage.filter { !Self.kinds.contains($0.key) && $0.value != .zero }.sorted { $0.key < $1.key }
        writer.text(others.map { "\($0.key)=\($0.value.plain)" }.joined(separator: ";"))
        writer.number(sums.unpriced.plain)
        writer.number(sums.cost.description)
        writer.endRecord()
    }

    /// What records are told apart by. Lines come in its order, so those of one record follow one another.
    private struct Key: Equatable {
        let costCenter: String, team: TeamID, teamName: String, project: ProjectID, projectName: String
        let provider: String, model: String, feature: String, environment: String

        init(_ line: StatementLine) {
            (costCenter, team, teamName, project, projectName) = (
                line.costCenter, line.team, line.teamName, line.project, line.projectName
            )
            (provider, model, feature, environment) = (line.provider, line.model, line.feature, line.environment)
        }
    }

    private struct Row {
        let key: Key
        var sums = Sums()
    }

    private struct Sums {
        var requests: Int64 = 0
        var usage: [UsageKind: Amount] = [:]
        var unpriced = Amount.zero
        var cost = Money.zero

        mutating func add(_ line: StatementLine) {
            requests += line.calls
            cost += line.cost
            guard !line.usageKind.isEmpty else { return }
            usage[line.usageKind, default: .zero] += line.quantity
            if line.price == nil { unpriced += line.quantity }
        }

        mutating func add(_ other: Sums) {
            requests += other.requests
            usage.merge(other.usage, uniquingKeysWith: +)
            unpriced += other.unpriced
            cost += other.cost
        }
    }
}
