/// The statement as a journal that finance posts: a debit for each cost centre, a credit for the sum. Whole cents, and balanced.
import Budgets
import Store

struct JournalWriter: StatementWriter {
    private var csv = CSVWriter()
    private var head: StatementHead?
    /// In the order of the lines. Bounded by the cost centres there are.
    private var parts: [(costCenter: String, cost: Money)] = []

    var rows: Int64 { csv.records - 1 }

    mutating func begin(_ head: StatementHead) -> [UInt8] {
        self.head = head
        for column in ["journal", "date", "account", "cost_center", "debit_usd", "credit_usd", "description"] { csv.number(column) }
        csv.endRecord()
        return csv.take()
    }

    mutating func lines(_ lines: [StatementLine]) -> [UInt8] {
        for line in lines {
            if parts.last?.costCenter != line.costCenter { parts.append((line.costCenter, .zero)) }
            parts[parts.count - 1].cost += line.cost
        }
        return []
    }

    mutating func end(_ end: StatementEnd) -> [UInt8] {
        guard let head else { preconditionFailure("an end before the head") }
        let payable = Settlement(of: end.total.cost).payable
        let accounts = head.accounts
        for (part, cents) in zip(parts, Cents.split(payable, like: parts.map(\.cost))) where cents != .zero {
            let account = accounts.costCenters[part.costCenter] ?? accounts.expense
            post(cents, account, part.costCenter, head, part.costCenter.isEmpty ? "LLM usage without a cost centre" : "LLM usage")
        }
        if payable != .zero { post(-payable, accounts.clearing, "", head, "LLM usage charged back") }
        return csv.take()
    }

    /// A positive amount is a debit, a negative one a credit.
    private mutating func post(_ amount: Money, _ account: String, _ costCenter: String, _ head: StatementHead, _ what: String) {
        csv.number(head.invoice)
        csv.number(head.lastDay)
        csv.text(account)
        csv.text(costCenter)
        csv.number(amount > .zero ? Cents.text(amount) : "")
        csv.number(amount < .zero ? Cents.text(-amount) : "")
        csv.text("\(what), \(head.month)")
        csv.endRecord()
    }
}

enum Cents {
    private static let cent: Int128 = 10_000_000_000

    /// Splits whole cents in proportion to exact parts that sum to within a cent of them: everybody's part rounded down, and a cent
    /// more for those with the largest remainders, the first of equals first.
    static func split(_ whole: Money, like parts: [Money]) -> [Money] {
        let floors = parts.map { part in
            let (quotient, remainder) = part.pico.quotientAndRemainder(dividingBy: cent)
            return quotient - (remainder < 0 ? 1 : 0)
        }
        let missing = Int(whole.pico / cent - floors.reduce(0, +))
        let byRemainder = parts.indices.sorted { left, right in
            let (first, second) = (parts[left].pico - floors[left] * cent, parts[right].pico - floors[right] * cent)
            return first == second ? left < right : first > second
        }
        let favoured = Set(byRemainder.prefix(missing))
        return parts.indices.map { Money(pico: (floors[$0] + (favoured.contains($0) ? 1 : 0)) * cent) }
    }

    /// `12.30`: two digits, always.
    static func text(_ amount: Money) -> String { String(amount.description.dropLast(10)) }
}

extension StatementHead {
    /// The month's last day, by the calendar: the date that journals carry.
    fileprivate var lastDay: String { "\(month)-\(CivilDate.daysIn(month: month.month, year: month.year))" }
}
