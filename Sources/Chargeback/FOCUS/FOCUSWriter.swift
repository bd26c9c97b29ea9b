/// A statement as FOCUS Cost and Usage rows: those of its lines, of what was paid for in advance, and one for the rounding. Each is checked
/// as it is written: what breaks a rule of the specification never leaves.
import Budgets
import JSON
import Store

struct FOCUSWriter: StatementWriter {
    private let columns: [FOCUSColumn]
    private var checker: FOCUSChecker
    private var csv = CSVWriter()
    private var head: StatementHead?
    private var day: StatementSpan?

    var rows: Int64 { csv.records - 1 }

    init(_ version: FOCUSVersion) {
        columns = FOCUSColumn.all(of: version)
        checker = FOCUSChecker(version)
    }

    mutating func begin(_ head: StatementHead) -> [UInt8] {
        self.head = head
        for column in columns { csv.exact(column.name) }
        csv.endRecord()
        return csv.take()
    }

    mutating func lines(_ lines: [StatementLine]) throws -> [UInt8] {
        guard let head else { preconditionFailure("lines before the head") }
        for line in lines {
            for row in FOCUSRow.rows(of: line, in: head, day: day(of: line, head)) { try write(row, head) }
        }
        return csv.take()
    }

    mutating func end(_ end: StatementEnd) throws -> [UInt8] {
        guard let head else { preconditionFailure("an end before the head") }
        for month in end.commitments {
            for row in FOCUSRow.rows(of: month, in: head) { try write(row, head) }
        }
        let settlement = Settlement(of: end.billed)
        if settlement.rounding != .zero { try write(FOCUSRow(rounding: settlement.rounding, of: head), head) }
        try checker.finish(invoice: head.invoice, payable: settlement.payable, end.commitments)
        return csv.take()
    }

    /// Lines of one day follow one another, so the calendar is asked seldom.
    private mutating func day(of line: StatementLine, _ head: StatementHead) -> StatementSpan {
        if let day, day.start == line.consumedAt { return day }
        let found = PeriodRule(.day).span(containing: line.consumedAt, in: head.zone)
        let span = StatementSpan(start: line.consumedAt, end: found.end ?? head.span.end)
        day = span
        return span
    }

    private mutating func write(_ row: FOCUSRow, _ head: StatementHead) throws {
        var cells: [String] = []
        cells.reserveCapacity(columns.count)
        for column in columns {
            let text = column.cell(row, head).written
            csv.exact(text)
            cells.append(text)
        }
        csv.endRecord()
        try checker.check(cells)
    }
}

extension FOCUSCell {
    /// As it stands in the file. Decimals always have a point: validators infer types from what they read.
    var written: String {
        switch self {
        case .null: return ""
        case .text(let text): return text
        case .decimal(let amount): return amount.description
        case .integer(let number): return String(number)
        case .time(let instant): return instant.rfc3339
        case .allocation(let ratio): return #"{"Elements":[{"AllocatedRatio":\#(ratio.description)}]}"#
        case .json(let members):
            var writer = JSONWriter(capacity: 160)
            writer.object { writer in
                for (name, value) in members {
                    writer.name(name)
                    writer.string(value)
                }
            }
            return String(decoding: writer.bytes, as: UTF8.self)
        }
    }
}
