/// The immutable body of a budget's event: everything a message about it needs, as it was when it happened (design §8).
import Budgets
import JSON
import Postgres
import Store

extension Alert {
    /// The event that tells of the alert, or nil when there is no news.
    func event(_ organization: Configuration, id: EventID) -> EventRow? {
        guard let threshold else { return nil }
        let severity = Severity(threshold: threshold)
        let type = threshold >= 100 ? EventType.exceeded : .thresholdReached
        var writer = JSONWriter(capacity: 1024)
        writer.object { writer in
            writer.field("id", id.description)
            writer.field("type", type.rawValue)
            writer.field("occurred_at", at.rfc3339)
            writer.object("organization") { writer in
                writer.field("id", organization.organization.description)
                writer.field("name", organization.organizationName)
                writer.field("time_zone", organization.zone.identifier)
            }
            writer.object("budget") { writer in
                writer.field("id", budget.id.description)
                writer.field("name", budget.name)
                writer.object("scope") { writer in write(scope: budget.scope, organization, &writer) }
                writer.field("unit", budget.unit.rawValue)
                writer.field("period", budget.rule.period.rawValue)
                writer.field("enforcement", budget.enforcement.rawValue)
            }
            writer.field("subject", counter.subject.isEmpty ? nil : counter.subject)
            writer.field("threshold", Int64(threshold))
            writer.array("superseded") { writer in for percent in superseded { writer.number(Int64(percent)) } }
            writer.field("severity", severity.rawValue)
            writer.field("period_start", span.start.rfc3339)
            writer.field("resets_at", span.end?.rfc3339)
            writer.field("amount", budget.amount.description)
            writer.field("settled", settled.description)
            writer.field("used_percent", usedPercent(settled: settled, amount: budget.amount))
        }
        return EventRow(
            organization: organization.organization, id: id, type: type, severity: severity, percent: Int64(threshold),
            body: JSONB(bytes: writer.bytes), at: at)
    }

    private func write(scope: BudgetScope, _ organization: Configuration, _ writer: inout JSONWriter) {
        switch scope {
        case .organization:
            writer.field("organization", organization.organization.description)
            writer.field("name", organization.organizationName)
        case .team(let id):
            writer.field("team", id.description)
            writer.field("name", organization.teamNames[id])
        case .project(let id):
            writer.field("project", id.description)
            writer.field("name", organization.projects[id]?.name)
        }
    }
}
