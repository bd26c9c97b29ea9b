/// Asking for bursts, deciding on them and reviewing them: each with the event that tells of it, in one Postgres transaction.
public import Budgets
import JSON
import Postgres

/// What becomes of a burst by somebody's word.
public enum BurstDecision: Sendable, CaseIterable {
    case approve, deny
    /// Taken back before anybody decided, by whoever stands no lower than the requester.
    case withdraw
    /// Ended before its date. What is held or settled on it stays.
    case revoke
}

extension Store {
    /// Writes the request down, unless a guard rail refuses it.
    ///
    /// - Parameters:
    ///   - requestedBy: the requester's `Credential.actor`.
    ///   - rank: the requester's rank on the budget's team, worked out from it.
    public func requestBurst(
        _ burst: NewBurst, of organization: OrganizationID, requestedBy: String, rank: @Sendable (TeamID?) -> Int64, at now: Instant
    ) async throws -> BurstRecord {
        // Raising the fence is what makes requests of one organization come one after another, so that rails count all of them.
        try await configure(organization) { connection in
            let budget = try Store.budget(burst.budget, of: organization, connection)
            guard budget.archivedAt == nil else { throw AdminRefusal.archived }
            guard budget.enforcement == .block else { throw AdminRefusal.burst(.budgetDoesNotBlock, unit: budget.unit) }
            let rails = try Store.effectiveBurstRails(of: budget, in: organization, connection)
            let history = try Store.burstHistory(of: budget.id, in: organization, at: now, connection)
            if let refusal = rails.refusal(of: burst.amount, on: budget.amount, startsAt: burst.startsAt, after: history, at: now) {
                throw AdminRefusal.burst(refusal, unit: budget.unit)
            }
            let team = try Store.team(of: budget.scope, in: organization, connection)
            try connection.query(
                """
                INSERT INTO bursts (organization_id, id, budget_id, amount, match, starts_at, ends_at, reason, requested_by, requester_rank,
                                    requested_at, review_due_at)
                VALUES (\(organization), \(burst.id), \(burst.budget), \(burst.amount), \(burst.match), \(burst.startsAt), \(burst.endsAt),
                        \(burst.reason), \(requestedBy), \(rank(team)), \(now),
                        \(burst.endsAt.adding(seconds: (rails.reviewDays ?? 0) * 86_400)))
                """)
            let made = try Store.burst(burst.id, of: organization, at: now, connection)
            try Store.append(made.event(.burstRequested, at: now), of: organization, connection)
            return made
        }
    }

    /// - Parameter check: throws when whoever decides may not; told the burst, who asked for it, and for approvals the rails.
    public func decide(
        _ decision: BurstDecision, on id: BurstID, of organization: OrganizationID, by actor: String, reason: String?, at now: Instant,
        check: @Sendable (BurstRecord, Speaker, BurstRails) throws -> Void
    ) async throws -> BurstRecord {
        try await configure(organization) { connection in
            let before = try Store.burst(id, of: organization, at: now, connection)
            let budget = try Store.budget(before.budget, of: organization, connection)
            let requester = try Store.speaker(before.requestedBy, of: organization, connection)
            try check(before, requester, try Store.effectiveBurstRails(of: budget, in: organization, connection))
            let open = decision == .revoke ? ["scheduled", "active", "exhausted"] : ["requested"]
            guard open.contains(before.state) else { throw AdminRefusal.burst(.notOpen(state: before.state), unit: before.unit) }
            guard decision != .approve || budget.archivedAt == nil else { throw AdminRefusal.archived }
            try connection.query(
                """
                UPDATE bursts
                SET approved_at = \(decision == .approve ? now : nil) , denied_at = \(decision == .deny ? now : nil),
                    withdrawn_at = \(decision == .withdraw ? now : nil), decided_by = \(actor), decision_reason = \(reason)
                WHERE organization_id = \(organization) AND id = \(id) AND \(decision != .revoke)
                """)
            try connection.query(
                """
                UPDATE bursts SET revoked_at = \(now), decided_by = \(actor), decision_reason = \(reason)
                WHERE organization_id = \(organization) AND id = \(id) AND \(decision == .revoke)
                """)
            let after = try Store.burst(id, of: organization, at: now, connection)
            switch decision {
            case .approve:
                try Store.append(after.event(.burstApproved, at: now), of: organization, connection)
                try connection.query(Store.reviewAlerts(of: after.budget, in: organization))
            case .deny: try Store.append(after.event(.burstDenied, at: now), of: organization, connection)
            case .withdraw, .revoke: break
            }
            return after
        }
    }

    /// Writes the review down. It may be written again: the last word counts, and the audit trail has all.
    public func review(
        _ review: BurstReview, of id: BurstID, in organization: OrganizationID, check: @Sendable (BurstRecord) throws -> Void
    ) async throws -> BurstRecord {
        try await transaction { connection in
            let burst = try Store.burst(id, of: organization, at: review.reviewedAt, connection)
            try check(burst)
            guard ["ended", "exhausted", "revoked"].contains(burst.state) else {
                throw AdminRefusal.burst(.nothingToReview, unit: burst.unit)
            }
            try connection.query(
                """
                UPDATE bursts
                SET reviewed_at = \(review.reviewedAt), reviewed_by = \(review.reviewedBy), purpose = \(review.purpose),
                    result = \(review.result), worth_it = \(review.worthIt), lessons = \(review.lessons)
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try Store.burst(id, of: organization, at: review.reviewedAt, connection)
        }
    }

    private static func effectiveBurstRails(
        of budget: BudgetRecord, in organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> BurstRails {
        .effective(
            of: try burstRails(of: budget.id, in: organization, connection), in: try burstRails(of: nil, in: organization, connection),
            unit: budget.unit)
    }

    private static func burstHistory(
        of budget: BudgetID, in organization: OrganizationID, at now: Instant, _ connection: isolated PostgresConnection
    ) throws -> BurstHistory {
        let zone = Zone(try Store.organization(organization, connection).timeZone) ?? .utc
        let quarter = PeriodRule(.quarter).span(containing: now, in: zone).start
        let result = try connection.query(
            """
            SELECT count(*) FILTER (WHERE denied_at IS NULL AND withdrawn_at IS NULL AND revoked_at IS NULL AND ends_at > \(now)),
                   count(*) FILTER (WHERE denied_at IS NULL AND withdrawn_at IS NULL AND requested_at >= \(quarter)),
                   count(*) FILTER (WHERE approved_at IS NOT NULL AND reviewed_at IS NULL AND settled > 0 AND review_due_at <= \(now))
            FROM bursts WHERE organization_id = \(organization) AND budget_id = \(budget)
            """)
        let (open, inQuarter, overdue) = try result.rows[0].decode(as: (Int64, Int64, Int64).self)
        return BurstHistory(open: open, inQuarter: inQuarter, overdueReviews: overdue)
    }

    /// The team whose leads look after a budget; nil: only the organization's people do.
    static func team(
        of scope: BudgetScope, in organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> TeamID? {
        switch scope {
        case .organization: return nil
        case .team(let team): return team
        case .project(let project):
            let result = try connection.query("SELECT team_id FROM projects WHERE organization_id = \(organization) AND id = \(project)")
            return try result.rows.first?.decode(as: TeamID.self)
        }
    }
}
