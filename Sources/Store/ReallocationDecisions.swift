/// Moving an amount from one budget to another: asked for, given by whoever looks after the giving budget, approved by an administrator,
/// and done with the second of the two words, all of it in one Postgres transaction under the organization's fence. So no call can commit
/// in between, and the giving budget is never left with less than what is spent and held.
public import Budgets
import JSON
import Postgres

/// A reallocation about to be asked for.
public struct NewReallocation: Sendable {
    /// How long one may wait for its decision.
    static let longestWait: Int64 = 30 * 86_400

    public let from: BudgetID
    public let to: BudgetID
    public let amount: Amount
    /// For the period that runs now, or from now on.
    public let isForThisPeriod: Bool
    public let reason: String

    public init(from: BudgetID, to: BudgetID, amount: Amount, isForThisPeriod: Bool, reason: String) {
        self.from = from
        self.to = to
        self.amount = amount
        self.isForThisPeriod = isForThisPeriod
        self.reason = reason
    }
}

/// Whose word an approval is.
public enum ReallocationWord: Sendable {
    /// Of who looks after the giving budget.
    case giver
    case administrator
}

/// What ends a reallocation undone. The raw value is the state it is in afterwards.
public enum ReallocationEnd: String, Sendable {
    case denied
    /// Taken back by whoever asked, or stands as high.
    case withdrawn
}

extension Store {
    /// Writes the request down. Whoever looks after the giving budget gives by asking.
    ///
    /// - Parameter rank: how high the requester's role stands on a team, or in the organization (nil).
    /// - Throws: `AdminRefusal.unknownReference`, `.unfit`, `.committed`.
    public func requestReallocation(
        _ new: NewReallocation, of organization: OrganizationID, by requester: String, rank: @Sendable (TeamID?) -> Int64, at now: Instant
    ) async throws -> ReallocationRecord {
        try await configure(organization) { connection in
            try Bound.reallocations.requireRoom(in: organization, connection)
            let from = try Store.livingBudget(new.from, of: organization, at: "/from", connection)
            let to = try Store.livingBudget(new.to, of: organization, at: "/to", connection)
            if let misfit = from.misfit(with: to) { throw misfit }
            guard from.unit == .usd || new.amount.isWhole else {
                throw AdminRefusal.unfit(pointer: "/amount", "must be a whole number in this unit")
            }
            try Store.requireFree(new.amount, on: from, isForThisPeriod: new.isForThisPeriod, in: organization, at: now, connection)
            let zone = Zone(try Store.organization(organization, connection).timeZone) ?? .utc
            let span = from.rule.span(containing: now, in: zone)
            let end = new.isForThisPeriod ? span.end : nil
            let lapsesAt = min(now.adding(seconds: NewReallocation.longestWait), end ?? .distantFuture)
            let team = try Store.team(of: from.scope, in: organization, connection)
            let isGiver = Store.looksAfter(rank(team), team)
            let id = ReallocationID(at: now)
            try connection.query(
                """
                INSERT INTO reallocations (organization_id, id, from_budget_id, to_budget_id, amount, period_start, period_end, reason,
                                           requested_by, requester_rank, requested_at, lapses_at, given_by, given_at)
                VALUES (\(organization), \(id), \(new.from), \(new.to), \(new.amount), \(new.isForThisPeriod ? span.start : nil),
                        \(end), \(new.reason), \(requester), \(rank(team)), \(now), \(lapsesAt),
                        \(isGiver ? requester : nil), \(isGiver ? now : nil))
                """)
            let made = try Store.reallocation(id, of: organization, at: now, connection)
            try Store.append(made.event(.reallocationRequested, at: now), of: organization, connection)
            return made
        }
    }

    /// Whether somebody of that rank speaks for a budget of that team; nil: of the organization.
    public static func looksAfter(_ rank: Int64, _ team: TeamID?) -> Bool { rank >= (team == nil ? 3 : 2) }

    /// Notes somebody's word; with the second one the amount moves.
    ///
    /// - Parameters:
    ///   - setBy: the API key that the changed limits name.
    ///   - word: says whose word it is, and throws for who has none; told who spoke before, by actor.
    /// - Throws: `AdminRefusal.alreadyDecided`, `.archived`, and `.committed`, which leaves everything as it was.
    public func approveReallocation(
        _ id: ReallocationID, of organization: OrganizationID, by actor: String, setBy: APIKeyID, at now: Instant,
        word: @Sendable (ReallocationRecord, _ speaker: (String) throws -> Speaker) throws -> ReallocationWord
    ) async throws -> ReallocationRecord {
        try await configure(organization) { connection in
            let before = try Store.reallocation(id, of: organization, at: now, connection)
            try before.requireOpen()
            switch try word(before, { try Store.speaker($0, of: organization, connection) }) {
            case .giver:
                try connection.query(
                    """
                    UPDATE reallocations SET given_by = \(actor), given_at = \(now)
                    WHERE organization_id = \(organization) AND id = \(id)
                    """)
            case .administrator:
                try connection.query(
                    """
                    UPDATE reallocations SET approved_by = \(actor), approved_at = \(now)
                    WHERE organization_id = \(organization) AND id = \(id)
                    """)
            }
            let spoken = try Store.reallocation(id, of: organization, at: now, connection)
            guard spoken.givenBy != nil, spoken.approvedBy != nil else { return spoken }
            try Store.move(spoken, in: organization, setBy: setBy, at: now, connection)
            return try Store.end(spoken, as: "moved", in: organization, by: actor, reason: nil, at: now, connection)
        }
    }

    /// - Parameter check: sees the request and who asked, and throws for who may not.
    /// - Throws: `AdminRefusal.alreadyDecided`.
    public func endReallocation(
        _ id: ReallocationID, as end: ReallocationEnd, of organization: OrganizationID, by actor: String, reason: String?, at now: Instant,
        check: @Sendable (ReallocationRecord, Speaker) throws -> Void
    ) async throws -> ReallocationRecord {
        try await configure(organization) { connection in
            let before = try Store.reallocation(id, of: organization, at: now, connection)
            try before.requireOpen()
            try check(before, try Store.speaker(before.requestedBy, of: organization, connection))
            return try Store.end(before, as: end.rawValue, in: organization, by: actor, reason: reason, at: now, connection)
        }
    }

    private static func end(
        _ reallocation: ReallocationRecord, as decision: String, in organization: OrganizationID, by actor: String, reason: String?,
        at now: Instant, _ connection: isolated PostgresConnection
    ) throws -> ReallocationRecord {
        try connection.query(
            """
            UPDATE reallocations
            SET decision = \(decision), decided_by = \(actor), decided_at = \(now), decision_reason = \(reason)
            WHERE organization_id = \(organization) AND id = \(reallocation.id)
            """)
        let ended = try self.reallocation(reallocation.id, of: organization, at: now, connection)
        if decision != ReallocationEnd.withdrawn.rawValue {
            try append(ended.event(.reallocationDecided, at: now), of: organization, connection)
        }
        return ended
    }
}

extension ReallocationRecord {
    fileprivate func requireOpen() throws(AdminRefusal) {
        guard state == "requested" else { throw .alreadyDecided(state) }
    }
}
