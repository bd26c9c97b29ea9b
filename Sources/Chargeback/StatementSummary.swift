/// A month's statement in short, as the JSON of `GET /v1/statements/{YYYY-MM}`.
import Budgets
public import JSON
public import Store

extension StatementExport {
    /// The month's total and each team's part, as they stand or, once it is closed, as they stay.
    public func summary(month: StatementMonth) async throws -> JSON {
        let (source, head) = try await source(of: month)
        let (total, teams) = try await summary(of: source)
        let settlement = Settlement(of: total.cost)
        let parts = teams.map { team in
            JSON.object(
                [
                    ("team", .string(team.team.description)), ("name", .string(team.name)),
                    ("cost_center", team.costCenter.isEmpty ? .null : .string(team.costCenter)),
                ] + members(team.total))
        }
        return .object(
            [
                ("month", .string(month.description)), ("state", .string(head.state.rawValue)),
                ("number", head.state == .closed ? .string("\(month)-\(head.edition)") : .null),
                ("time_zone", .string(zone.identifier)), ("starts_at", .string(source.span.start.rfc3339)),
                ("ends_at", .string(source.span.end.rfc3339)),
            ] + members(total) + [
                ("rounding", money(settlement.rounding)), ("payable", money(settlement.payable)), ("teams", .array(parts)),
            ])
    }

    private func members(_ total: StatementTotal) -> [(String, JSON)] {
        [("calls", .number(total.requests)), ("cost", money(total.cost))]
    }

    private func money(_ amount: Money) -> JSON { .object([("amount", .string(amount.description)), ("currency", "USD")]) }
}
