/// What people are told of bursts, and the look-out for those that were used up, ended, or are due for review. Nothing about money waits
/// for it: whether a burst gives room is arithmetic.
public import Budgets
import JSON
import Postgres

extension BurstRecord {
    func event(_ type: EventType, at now: Instant) -> NewEvent {
        let project: ProjectID? = if case .project(let id) = scope { id } else { nil }
        let details: JSON.Object = JSON.Object([
            (
                "burst",
                [
                    "id": .string(id.description), "state": .string(state), "amount": .string(amount.description),
                    "settled": .string(settled.description), "held": .string(held.description), "unit": .string(unit.rawValue),
                    "starts_at": .string(startsAt.rfc3339), "ends_at": .string(endsAt.rfc3339), "reason": .string(reason),
                    "requested_by": .string(requestedBy), "decided_by": decidedBy.map { .string($0) } ?? .null,
                    "decision_reason": decisionReason.map { .string($0) } ?? .null, "review_due_at": .string(reviewDueAt.rfc3339),
                ]
            ),
            ("budget", ["id": .string(budget.description), "name": .string(budgetName), "unit": .string(unit.rawValue)]),
            ("links", ["burst": .string("/v1/bursts/\(id)")]),
        ])
        let (title, summary) = words(type)
        return NewEvent(
            type, severity: type == .burstReviewDue || type == .burstExhausted ? .warning : .info, title: "\(title): \(budgetName)",
            summary: summary, about: .init(team: team, project: project, budget: budget), details: details, at: now)
    }

    private func words(_ type: EventType) -> (title: String, summary: String) {
        let asked = "\(written(amount)) more from \(startsAt.rfc3339) until \(endsAt.rfc3339)"
        let used = "\(written(settled)) of \(written(amount)) were spent."
        switch type {
        case .burstRequested: return ("Burst requested", "\(requestedBy) asks for \(asked): \(reason)")
        case .burstApproved: return ("Burst approved", "\(decidedBy ?? "Somebody") approved \(asked): \(reason)")
        case .burstDenied: return ("Burst denied", "\(decidedBy ?? "Somebody") denied \(asked): \(decisionReason ?? "no reason given")")
        case .burstExhausted: return ("Burst used up", "\(used) Calls that the budget has no room for are refused again.")
        case .burstExpired: return ("Burst ended", "\(used) What was left is gone.")
        default: return ("Burst review due", "\(used) Say what it was for, what came of it and whether it was worth it.")
        }
    }

    private func written(_ amount: Amount) -> String { unit == .usd ? "$\(amount.plain)" : "\(amount.plain) \(unit.rawValue)" }
}

extension Store {
    /// So many bursts are told of in one Postgres transaction; the rest in the next.
    static let burstsToldAtOnce: Int64 = 100

    /// Writes the events that have become due, each once, however many replicas look out.
    ///
    /// - Returns: how many bursts were told of.
    public func tellOfBursts(at now: Instant) async throws -> Int {
        try await transaction { connection in
            let due = try connection.query(
                """
                SELECT organization_id, id,
                       exhausted_event IS NULL AND settled * 100 >= amount * \(Store.exhaustedPercent),
                       expired_event IS NULL AND revoked_at IS NULL AND ends_at <= \(now),
                       review_event IS NULL AND reviewed_at IS NULL AND settled > 0 AND review_due_at <= \(now)
                FROM bursts
                WHERE approved_at IS NOT NULL AND (
                    (exhausted_event IS NULL AND settled * 100 >= amount * \(Store.exhaustedPercent))
                    OR (expired_event IS NULL AND revoked_at IS NULL AND ends_at <= \(now))
                    OR (review_event IS NULL AND reviewed_at IS NULL AND settled > 0 AND review_due_at <= \(now)))
                ORDER BY organization_id, id LIMIT \(Store.burstsToldAtOnce) FOR UPDATE SKIP LOCKED
                """)
            for row in due.rows {
                let (organization, id, isExhausted, isExpired, isDue) = try row.decode(as: (OrganizationID, BurstID, Bool, Bool, Bool).self)
                let burst = try Store.burst(id, of: organization, at: now, connection)
                var told: [EventType: EventID] = [:]
                // One that ended unused up and one that was used up before its end are two different stories: both are told.
                for (type, isNews) in [(EventType.burstExhausted, isExhausted), (.burstExpired, isExpired), (.burstReviewDue, isDue)]
                where isNews {
                    let event = burst.event(type, at: now)
                    try Store.append(event, of: organization, connection)
                    told[type] = event.id
                }
                try connection.query(
                    """
                    UPDATE bursts
                    SET exhausted_event = coalesce(exhausted_event, \(told[.burstExhausted])),
                        expired_event = coalesce(expired_event, \(told[.burstExpired])),
                        review_event = coalesce(review_event, \(told[.burstReviewDue]))
                    WHERE organization_id = \(organization) AND id = \(id)
                    """)
            }
            return due.rows.count
        }
    }
}
