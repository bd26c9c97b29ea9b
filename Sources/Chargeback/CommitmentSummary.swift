/// What a month's commitments come to, as the JSON of `GET /v1/statements/{YYYY-MM}/commitments` and of exports.
import Budgets
public import JSON
public import Store

extension StatementExport {
    /// As they stand or, once the month is closed, as they stay.
    public func commitments(month: StatementMonth) async throws -> JSON {
        let (source, head) = try await source(of: month)
        let (total, commitments) = try await commitments(of: source)
        let end = StatementEnd(total: total, commitments: commitments)
        func money(_ amount: Money) -> JSON { .object([("amount", .string(amount.description)), ("currency", "USD")]) }
        return .object([
            ("month", .string(month.description)), ("state", .string(head.state.rawValue)), ("cost", money(total.cost)),
            ("billed", money(end.billed)), ("commitments", .array(commitments.map { $0.json(money) })),
        ])
    }
}

extension CommitmentMonth {
    /// - Parameter money: how amounts are written.
    func json(_ money: (Money) -> JSON) -> JSON {
        .object([
            ("commitment", .string(record.id.description)), ("name", .string(record.name)), ("provider", .string(record.provider)),
            ("amount", money(record.amount)), ("bought", money(isBought ? record.amount : .zero)), ("drawn_before", money(before)),
            ("drawn", money(drawn)), ("left", money(left)), ("unused", money(unused)), ("charged", money(charged)),
        ])
    }
}
