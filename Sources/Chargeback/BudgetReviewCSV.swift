/// The monthly review as a table for people: one record a team and project.
public import Budgets
public import Store

public enum BudgetReviewCSV {
    /// The header and a record for each row. What is not known is an empty cell.
    public static func bytes(_ rows: [BudgetReviewRow], month: StatementMonth, in span: PeriodSpan, at now: Instant) -> [UInt8] {
        var writer = CSVWriter()
        for column in [
            "month", "team_id", "team", "project_id", "project", "allocated_usd", "spent_usd", "held_usd", "used_percent", "previous_usd",
            "trend_percent", "projected_usd", "open_bursts", "open_bursts_usd", "advice",
        ] { writer.number(column) }
        writer.endRecord()
        for row in rows {
            let review = row.review
            writer.number(month.description)
            writer.number(row.team.description)
            writer.text(row.teamName)
            writer.number(row.project?.description ?? "")
            writer.text(row.projectName ?? "")
            writer.number(review.allocated?.description ?? "")
            writer.number(review.spent.description)
            writer.number(review.held?.description ?? "")
            writer.number(review.allocated.map { usedPercent(settled: review.spent, amount: $0) } ?? "")
            writer.number(review.previous.description)
            writer.number(review.trendPercent(in: span, at: now) ?? "")
            writer.number(review.projected(in: span, at: now)?.description ?? "")
            writer.number(String(review.openBursts))
            writer.number(review.openBurstAmount.description)
            writer.number(review.advice(in: span, at: now).rawValue)
            writer.endRecord()
        }
        return writer.take()
    }
}
