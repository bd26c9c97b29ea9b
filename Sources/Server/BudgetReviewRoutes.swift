/// `/v1/reports/budget-review`: the table that a monthly review meeting needs.
import Budgets
import Chargeback
import HTTPTypes
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func reviewBudgets(_ exchange: Exchange) async throws -> Response {
        guard let zone = try await store.zone(of: exchange.organization), let today = StatementMonth(at: exchange.now, in: zone) else {
            throw Problem(.notFound)
        }
        var query = try exchange.query()
        let month = query.optional("period", .month) ?? today
        let format = query.optional("format", .word(ReviewFormat.self)) ?? .json
        try query.finish()
        let span = month.span(in: zone)
        let rows = try await store.budgetReview(
            of: exchange.organization, month: span, previous: month.before.span(in: zone), teams: exchange.reach.teams, at: exchange.now)
        guard let rows else {
            throw Problem.invalid("The review has more than \(Store.maximumSpendRows) rows: ask as a lead of some teams.", status: 422)
        }
        let period = PeriodSpan(start: span.start, end: span.end)
        switch format {
        case .json: return .review(rows, of: month, period, zone, at: exchange.now)
        case .csv:
            var response = Response.text(
                "text/csv; charset=utf-8; header=present", BudgetReviewCSV.bytes(rows, month: month, in: period, at: exchange.now))
            response.headers[.contentDisposition] = "attachment; filename=\"budget-review-\(month).csv\""
            return response
        }
    }
}

private enum ReviewFormat: String, CaseIterable { case json, csv }

extension FieldRule where Value == StatementMonth {
    static var month: FieldRule {
        guard let placeholder = StatementMonth(year: 2026, month: 1) else { preconditionFailure("January is a month") }
        return .text("a month such as 2026-11", placeholder: placeholder) { StatementMonth($0) }
    }
}

extension Response {
    fileprivate static func review(
        _ rows: [BudgetReviewRow], of month: StatementMonth, _ span: PeriodSpan, _ zone: Zone, at now: Instant
    ) -> Response {
        .json { writer in
            writer.object { writer in
                writer.field("period", month.description)
                writer.field("starts_at", span.start)
                writer.field("ends_at", span.end)
                writer.field("time_zone", zone.identifier)
                writer.array("data") { writer in
                    for row in rows { row.write(&writer, span, at: now) }
                }
            }
        }
    }
}

extension BudgetReviewRow {
    fileprivate func write(_ writer: inout JSONWriter, _ span: PeriodSpan, at now: Instant) {
        writer.object { writer in
            writer.field("team", team)
            writer.field("team_name", teamName)
            writer.field("project", project)
            writer.field("project_name", projectName)
            writer.maybe("allocated", review.allocated)
            writer.field("spent", review.spent)
            writer.maybe("held", review.held)
            writer.field("used_percent", review.allocated.map { usedPercent(settled: review.spent, amount: $0) })
            writer.field("previous", review.previous)
            writer.field("trend_percent", review.trendPercent(in: span, at: now))
            writer.maybe("projected", review.projected(in: span, at: now))
            writer.field("open_bursts", review.openBursts)
            writer.field("open_bursts_amount", review.openBurstAmount)
            writer.field("advice", review.advice(in: span, at: now).rawValue)
        }
    }
}

extension JSONWriter {
    /// Money, or null for what is not known.
    fileprivate mutating func maybe(_ name: StaticString, _ money: Money?) {
        guard let money else {
            self.name(name)
            return null()
        }
        field(name, money)
    }
}
