/// What people are told of reallocations.
import Budgets
import JSON

extension ReallocationRecord {
    func event(_ type: EventType, at now: Instant) -> NewEvent {
        let sum = unit == .usd ? "$\(amount.plain)" : "\(amount.plain) \(unit.rawValue)"
        let lasting = period.map { "for the period from \($0.start.rfc3339)" } ?? "from now on"
        let asked = "\(sum) from «\(fromName)» to «\(toName)» \(lasting)"
        let (title, summary) =
            switch state {
            case "requested": ("Reallocation requested", "\(requestedBy) asks to move \(asked): \(reason)")
            case "moved": ("Budget reallocated", "\(asked), given by \(givenBy ?? "-"), approved by \(approvedBy ?? "-"): \(reason)")
            default: ("Reallocation \(state)", "\(asked): \(decisionReason ?? reason)")
            }
        let details: JSON = [
            "id": .string(id.description), "state": .string(state), "from": .string(from.description), "to": .string(to.description),
            "amount": .string(amount.description), "unit": .string(unit.rawValue),
            "period_start": period.map { .string($0.start.rfc3339) } ?? .null, "reason": .string(reason),
            "requested_by": .string(requestedBy), "given_by": givenBy.map { .string($0) } ?? .null,
            "approved_by": approvedBy.map { .string($0) } ?? .null, "decision_reason": decisionReason.map { .string($0) } ?? .null,
        ]
        return NewEvent(
            type, severity: .info, title: "\(title): \(fromName)", summary: summary, about: .init(team: givingTeam, budget: from),
            details: JSON.Object([("reallocation", details), ("links", ["reallocation": .string("/v1/reallocations/\(id)")])]), at: now)
    }
}
