/// What every event about a budget says: enough for a message that a person can act on, as it was when it happened. Written by hand
/// because the engine writes it while a settlement waits.
public import Budgets
public import JSON

/// The budget, whose it is, its counter and how full that is.
public struct BudgetEventBody: Sendable {
    public let organization: (id: OrganizationID, name: String, zone: Zone)
    public let budget: Budget
    /// The name of the budget's team or project.
    public let scopeName: String?
    public let counter: CounterID
    public let span: PeriodSpan
    public let settled: Amount
    public let at: Instant

    public init(
        organization: (id: OrganizationID, name: String, zone: Zone), budget: Budget, scopeName: String?, counter: CounterID,
        span: PeriodSpan, settled: Amount, at: Instant
    ) {
        self.organization = organization
        self.budget = budget
        self.scopeName = scopeName
        self.counter = counter
        self.span = span
        self.settled = settled
        self.at = at
    }

    private var amount: Amount { budget.amount(from: counter.periodStart) }

    /// Events of one topic are about the same counter: a later one replaces what has not arrived.
    public var topic: String { "\(counter.budget)/\(counter.periodStart.rfc3339)/\(counter.subject)" }

    /// The body, with what is particular to the type in the middle.
    public func bytes(_ type: EventType, _ severity: Severity, id: EventID, _ particulars: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter(capacity: 2048)
        writer.object { writer in
            writer.field("version", NewEvent.bodyVersion)
            writer.field("id", id.description)
            writer.field("type", type.rawValue)
            writer.field("occurred_at", at.rfc3339)
            writer.field("severity", severity.rawValue)
            writer.object("organization") { writer in
                writer.field("id", organization.id.description)
                writer.field("name", organization.name)
                writer.field("time_zone", organization.zone.identifier)
            }
            writer.object("budget") { writer in
                writer.field("id", budget.id.description)
                writer.field("name", budget.name)
                writer.object("scope") { writer in writeScope(&writer) }
                writer.field("unit", budget.unit.rawValue)
                writer.field("period", budget.rule.period.rawValue)
                writer.field("enforcement", budget.enforcement.rawValue)
            }
            writer.field("subject", counter.subject.isEmpty ? nil : counter.subject)
            particulars(&writer)
            writer.field("period_start", span.start.rfc3339)
            writer.field("resets_at", span.end?.rfc3339)
            writer.field("amount", amount.description)
            writer.field("settled", settled.description)
            writer.field("remaining", max(.zero, amount - settled).description)
            writer.field("used_percent", usedPercent(settled: settled, amount: amount))
            let projection = Projection(settled: settled, amount: amount, span: span, at: at)
            writer.field("projected", projection?.total.description)
            writer.field("exhausts_at", projection?.exhaustsAt?.rfc3339)
            writer.field("consequence", type == .recovered ? "calls_admitted" : consequence)
            writer.object("links") { writer in
                writer.field("budget", "/v1/budgets/\(budget.id)")
                writer.field("periods", "/v1/budgets/\(budget.id)/periods")
            }
        }
        return writer.bytes
    }

    /// What happens to calls from here on.
    private var consequence: String {
        guard budget.enforcement == .block else { return "none" }
        return settled >= amount ? "calls_refused" : "calls_refused_at_100_percent"
    }

    private func writeScope(_ writer: inout JSONWriter) {
        switch budget.scope {
        case .organization: writer.field("organization", organization.id.description)
        case .team(let id): writer.field("team", id.description)
        case .project(let id): writer.field("project", id.description)
        }
        writer.field("name", budget.scope == .organization ? organization.name : scopeName)
    }
}
