/// The event that tells of a threshold (design §8).
import Budgets
import JSON
import Postgres
import Store

extension Alert {
    /// The event that tells of the alert, or nil when there is no news.
    func event(_ configuration: Configuration, id: EventID) -> EventRow? {
        guard threshold != nil || thresholdAmount != nil else { return nil }
        let type = threshold.map { $0 >= 100 } ?? false ? EventType.exceeded : .thresholdReached
        // An amount somebody asked to be told of is never less than a warning.
        let severity = threshold.map { Severity(threshold: $0) } ?? .warning
        let body = BudgetEventBody(
            organization: (configuration.organization, configuration.organizationName, configuration.zone), budget: budget,
            scopeName: configuration.scopeName(of: budget), counter: counter, span: span, settled: settled, at: at)
        let bytes = body.bytes(type, severity, id: id) { writer in
            writer.field("threshold", threshold.map { Int64($0) })
            writer.field("threshold_amount", thresholdAmount?.description)
            writer.array("superseded") { writer in for percent in superseded { writer.number(Int64(percent)) } }
            writer.array("superseded_amounts") { writer in for amount in supersededAmounts { writer.string(amount.description) } }
            writer.field("limit_version", budget.limitVersion)
        }
        let mutes = type == .exceeded && budget.isWholeOrganization
        return EventRow(
            organization: configuration.organization, id: id, type: type, severity: severity, percent: threshold.map { Int64($0) },
            about: configuration.subject(of: budget), topic: body.topic, mutesUntil: mutes ? span.end ?? .distantFuture : nil,
            body: JSONB(bytes: bytes), at: at)
    }

    /// A row for each threshold: the one told of, and those it supersedes.
    func rows(_ organization: OrganizationID, event: EventID?) -> [AlertRow] {
        var rows: [AlertRow] = []
        func add(_ percent: Int, _ amount: Amount, told: Bool) {
            rows.append(
                AlertRow(
                    organization: organization, id: AlertID(at: at), alert: self, threshold: Int64(percent), thresholdAmount: amount,
                    event: told ? event : nil))
        }
        for percent in superseded { add(percent, .zero, told: false) }
        for amount in supersededAmounts { add(0, amount, told: false) }
        if let threshold { add(threshold, .zero, told: true) }
        if let thresholdAmount { add(0, thresholdAmount, told: true) }
        return rows
    }
}

extension Configuration {
    fileprivate func scopeName(of budget: Budget) -> String? {
        switch budget.scope {
        case .organization: organizationName
        case .team(let id): teamNames[id]
        case .project(let id): projects[id]?.name
        }
    }

    /// What an event about the budget concerns: a project's budget concerns its team too.
    fileprivate func subject(of budget: Budget) -> NewEvent.Subject {
        switch budget.scope {
        case .organization: NewEvent.Subject(budget: budget.id)
        case .team(let id): NewEvent.Subject(team: id, budget: budget.id)
        case .project(let id): NewEvent.Subject(team: projects[id]?.team, project: id, budget: budget.id)
        }
    }
}
