/// The statement on one page: one record a cost centre and team, then the total.
import Budgets
import Store

struct StatementSummaryCSV: StatementWriter {
    private var writer = CSVWriter()
    private var row: Row?
    private var sums = StatementTotal()

    var rows: Int64 { writer.records - 1 }

    mutating func begin(_ head: StatementHead) -> [UInt8] {
        for column in ["row", "cost_center", "team_id", "team", "requests", "cost_usd"] { writer.number(column) }
        writer.endRecord()
        return writer.take()
    }

    mutating func lines(_ lines: [StatementLine]) -> [UInt8] {
        for line in lines {
            if row?.key != Key(line) {
                endRow()
                row = Row(key: Key(line))
            }
            row?.total.requests += line.calls
            row?.total.cost += line.cost
        }
        return writer.take()
    }

    mutating func end(_ end: StatementEnd) -> [UInt8] {
        endRow()
        let settlement = Settlement(of: sums.cost)
        write("total", nil, sums)
        write("rounding", nil, StatementTotal(cost: settlement.rounding))
        write("payable", nil, StatementTotal(cost: settlement.payable))
        return writer.take()
    }

    private mutating func endRow() {
        guard let row else { return }
        write("line", row.key, row.total)
        sums.requests += row.total.requests
        sums.cost += row.total.cost
        self.row = nil
    }

    private mutating func write(_ name: String, _ key: Key?, _ total: StatementTotal) {
        writer.number(name)
        writer.text(key?.costCenter ?? "")
        writer.number(key?.team.description ?? "")
        writer.text(key?.teamName ?? "")
        writer.number(String(total.requests))
        writer.number(total.cost.description)
        writer.endRecord()
    }

    /// Lines come in its order, so those of one record follow one another.
    private struct Key: Equatable {
        let costCenter: String, team: TeamID, teamName: String

        init(_ line: StatementLine) { (costCenter, team, teamName) = (line.costCenter, line.team, line.teamName) }
    }

    private struct Row {
        let key: Key
        var total = StatementTotal()
    }
}
