/// Adjustments and credits: amounts that people book beside the calls. One asks, another approves, and then it is an entry of the ledger,
/// which only a counter-entry takes back.
public import Budgets
import Postgres

public struct AdjustmentRecord: Sendable {
    public enum State: String, Sendable, CaseIterable { case requested, booked, denied, withdrawn }

    public let id: AdjustmentID
    public let kind: ChargeKind
    public let project: ProjectID
    public let feature: String?
    /// As it is booked: a credit is below zero, unless it takes another back.
    public let amount: Money
    public let reason: String
    /// The moment it counts for: decides the period and the month.
    public let occurredAt: Instant
    /// The one that it takes back.
    public let reverses: AdjustmentID?
    /// The requester's `Credential.actor` and rank at that time.
    public let requestedBy: String
    public let requesterRank: Int64
    public let requestedAt: Instant
    public let state: State
    public let decidedBy: String?
    public let decidedAt: Instant?
    public let decisionReason: String?

    init(_ row: Row) throws(PostgresError) {
        let (kindName, stateName): (String, String)
        (
            id, kindName, project, feature, amount, reason, occurredAt, reverses, requestedBy, requesterRank, requestedAt, stateName,
            decidedBy, decidedAt, decisionReason
        ) = try row.decode(
            as: (
                AdjustmentID, String, ProjectID, String?, Money, String, Instant, AdjustmentID?, String, Int64, Instant, String,
                String?, Instant?, String?
            ).self)
        guard let kind = ChargeKind(rawValue: kindName), let state = State(rawValue: stateName) else {
            throw .decoding("an adjustment with an unknown word")
        }
        self.kind = kind
        self.state = state
    }
}

/// An adjustment about to be asked for.
public struct NewAdjustment: Sendable {
    public let id: AdjustmentID
    public let kind: ChargeKind
    public let project: ProjectID
    public let feature: String?
    public let amount: Money
    public let reason: String
    public let occurredAt: Instant

    public init(
        id: AdjustmentID, kind: ChargeKind, project: ProjectID, feature: String?, amount: Money, reason: String, occurredAt: Instant
    ) {
        self.id = id
        self.kind = kind
        self.project = project
        self.feature = feature
        self.amount = amount
        self.reason = reason
        self.occurredAt = occurredAt
    }
}

/// What becomes of an adjustment by somebody's word.
public enum AdjustmentDecision: Sendable { case approve, deny, withdraw }

extension Store {
    /// Writes the request down. Nothing is booked before somebody else approves.
    /// - Throws: `AdminRefusal.unknownReference` for a project that is not there.
    public func requestAdjustment(
        _ new: NewAdjustment, of organization: OrganizationID, requestedBy: String, rank: Int64, at now: Instant
    ) async throws -> AdjustmentRecord {
        try await transaction { connection in
            let project: Query = "SELECT 1::bigint FROM projects WHERE organization_id = \(organization) AND id = \(new.project)"
            guard !(try connection.query(project)).rows.isEmpty else { throw AdminRefusal.unknownReference(pointer: "/project") }
            try Commitments.checkUnused(new, organization, connection)
            try Bound.adjustments.requireRoom(in: organization, connection)
            try connection.query(Adjustments.insert(new, reversing: nil, organization, requestedBy, rank, now))
            return try Adjustments.read(new.id, organization, connection)
        }
    }

    /// Asks for the exact opposite of one that is booked.
    /// - Throws: `AdminRefusal.inUse` when it is not booked, or taken back already.
    public func requestReversal(
        of reversed: AdjustmentID, as id: AdjustmentID, reason: String, in organization: OrganizationID, requestedBy: String, rank: Int64,
        at now: Instant
    ) async throws -> AdjustmentRecord {
        try await transaction { connection in
            let first = try Adjustments.read(reversed, organization, connection)
            guard first.state == .booked else { throw AdminRefusal.inUse("Only what is booked can be taken back.") }
            guard first.reverses == nil else { throw AdminRefusal.inUse("It takes another back itself: ask for that one again.") }
            let opposite = NewAdjustment(
                id: id, kind: first.kind, project: first.project, feature: first.feature, amount: -first.amount, reason: reason,
                occurredAt: first.occurredAt)
            try Bound.adjustments.requireRoom(in: organization, connection)
            try connection.query(Adjustments.insert(opposite, reversing: reversed, organization, requestedBy, rank, now))
            return try Adjustments.read(id, organization, connection)
        }
    }

    public func adjustment(_ id: AdjustmentID, of organization: OrganizationID) async throws -> AdjustmentRecord {
        try await read { connection in try Adjustments.read(id, organization, connection) }
    }

    public func adjustments(
        of organization: OrganizationID, state: AdjustmentRecord.State?, project: ProjectID? = nil,
        _ listing: Listing<AdjustmentRecord, AdjustmentID>
    ) async throws -> Page<AdjustmentRecord, ListPlace<AdjustmentID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, kind, project_id, feature, amount, reason, occurred_at, reverses_id, requested_by, requester_rank, requested_at,
                       state, decided_by, decided_at, decision_reason
                FROM adjustments
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("id")])
                  AND (\(project) IS NULL OR project_id = \(project))
                  AND (\(state?.rawValue)::text IS NULL OR state = \(state?.rawValue))
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(AdjustmentRecord.init)) { $0.id }
        }
    }

    /// Decides on a request; an approved one is booked in the same Postgres transaction, attributed by today's names and to `apiKey`.
    /// - Parameter check: sees the request and who asked, and throws when whoever decides may not.
    public func decide(
        _ decision: AdjustmentDecision, on id: AdjustmentID, of organization: OrganizationID, by actor: String, apiKey: APIKeyID,
        reason: String?, at now: Instant, check: @Sendable (AdjustmentRecord, Speaker) throws -> Void
    ) async throws -> AdjustmentRecord {
        // The fence: an entry carries the version that booked it, in the order of commits (RollUps.swift).
        try await configure(organization) { connection in
            let request = try Adjustments.read(id, organization, connection)
            try check(request, try Store.speaker(request.requestedBy, of: organization, connection))
            guard request.state == .requested else { throw AdminRefusal.inUse("It is \(request.state.rawValue) already.") }
            let state: AdjustmentRecord.State =
                switch decision {
                case .approve: .booked
                case .deny: .denied
                case .withdraw: .withdrawn
                }
            try connection.query(
                """
                UPDATE adjustments
                SET state = \(state.rawValue), decided_by = \(actor), decided_at = \(now), decision_reason = \(reason)
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            if decision == .approve { try connection.pipeline(Adjustments.book(request, organization, apiKey, at: now)) }
            return try Adjustments.read(id, organization, connection)
        }
    }
}

enum Adjustments {
    fileprivate static func read(
        _ id: AdjustmentID, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> AdjustmentRecord {
        let result = try connection.query(
            """
            SELECT id, kind, project_id, feature, amount, reason, occurred_at, reverses_id, requested_by, requester_rank, requested_at,
                   state, decided_by, decided_at, decision_reason
            FROM adjustments WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try AdjustmentRecord(row)
    }

    fileprivate static func insert(
        _ new: NewAdjustment, reversing reversed: AdjustmentID?, _ organization: OrganizationID, _ requestedBy: String, _ rank: Int64,
        _ now: Instant
    ) -> Query {
        """
        INSERT INTO adjustments (organization_id, id, kind, project_id, feature, amount, reason, occurred_at, reverses_id, requested_by,
                                 requester_rank, requested_at)
        VALUES (\(organization), \(new.id), \(new.kind.rawValue), \(new.project), \(new.feature), \(new.amount), \(new.reason),
                \(new.occurredAt), \(reversed), \(requestedBy), \(rank), \(now))
        """
    }

    /// The entry has the adjustment's 128 bits, so the primary key itself says that it is booked once. It draws on no budget: those
    /// count calls. One for a closed month counts in the open one, as a correction.
    fileprivate static func book(
        _ request: AdjustmentRecord, _ organization: OrganizationID, _ apiKey: APIKeyID, at now: Instant
    ) -> [Query] {
        let attribution = AttributionID(at: now)
        let lines = EntryLine.encode([EntryLine(kind: request.kind.rawValue, quantity: 0, price: nil, cost: request.amount)])
        return [
            """
            INSERT INTO attributions
                (organization_id, id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name, api_key_id,
                 api_key_name, environment)
            SELECT \(organization), \(attribution), t.id, t.name, p.id, p.name,
                   coalesce(CASE WHEN p.next_cost_center_from <= \(request.occurredAt) THEN p.next_cost_center ELSE p.cost_center END,
                            CASE WHEN t.next_cost_center_from <= \(request.occurredAt) THEN t.next_cost_center ELSE t.cost_center END),
                   r.id, r.name, k.id, k.name, k.environment
            FROM projects AS p
            JOIN teams AS t ON t.organization_id = \(organization) AND t.id = p.team_id
            JOIN tiers AS r ON r.organization_id = \(organization) AND r.id = p.tier_id
            JOIN api_keys AS k ON k.organization_id = \(organization) AND k.id = \(apiKey)
            WHERE p.organization_id = \(organization) AND p.id = \(request.project)
            """,
            """
            INSERT INTO ledger_entries
                (organization_id, id, attribution_id, occurred_at, booked_at, request_id, model, requested_model, provider, service_tier,
                 feature, lines, cost, overage, draws, is_late, outcome, version, kind, reverses_id, corrects_at)
            SELECT \(organization), \(request.id), a.id,
                   greatest(\(request.occurredAt), CASE WHEN \(request.occurredAt) < o.closed_until THEN greatest(\(now), o.closed_until) END),
                   \(now), \(request.id.description),
                   \(request.kind.rawValue), \(request.kind.rawValue), \(BookingKind.ownProvider), \(Rate.standardTier), \(request.feature),
                   \(lines), \(request.amount), 0, '[]', false, 'ok', f.version, \(request.kind.booking.rawValue), \(request.reverses),
                   CASE WHEN \(request.occurredAt) < o.closed_until THEN \(request.occurredAt) END
            FROM fences AS f JOIN organizations AS o USING (organization_id) JOIN attributions AS a ON a.organization_id = f.organization_id AND a.id = \(attribution)
            WHERE f.organization_id = \(organization)
            """,
        ]
    }
}
