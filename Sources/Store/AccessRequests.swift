/// Access requests: asking for a tier or a model beyond a project's own. Granted at once where the tier's rule allows, or waiting for
/// whoever the rule names. An approval makes an access grant in the same Postgres transaction.
public import Budgets
import JSON
import Postgres

/// What is asked for and granted.
public enum AccessSubject: Hashable, Sendable {
    case tier(TierID)
    case model(String)

    init(tier: TierID?, model: String?) throws(PostgresError) {
        if let tier { self = .tier(tier) } else if let model { self = .model(model) } else { throw .decoding("access to nothing") }
    }

    var columns: (tier: TierID?, model: String?) {
        switch self {
        case .tier(let id): (id, nil)
        case .model(let name): (nil, name)
        }
    }
}

public struct AccessRequestRecord: Sendable {
    public let id: AccessRequestID
    public let project: ProjectID
    /// The project's team.
    public let team: TeamID
    public let subject: AccessSubject
    public let reason: String
    public let endsAt: Instant
    /// `none`, `team_lead` or `organization_admin`: the rule when it was asked.
    public let approval: String
    /// The requester's `actor`, and their rank on the team.
    public let requestedBy: String
    public let requesterRank: Int64
    public let requestedAt: Instant
    /// `pending`, `approved`, `denied`, or `expired` when nobody decided in time.
    public let state: String
    public let decidedBy: String?
    public let decidedAt: Instant?
    public let decisionReason: String?
    public let grant: AccessGrantID?

    init(_ row: Row) throws(PostgresError) {
        let (tier, model): (TierID?, String?)
        (
            id, project, team, tier, model, reason, endsAt, approval, requestedBy, requesterRank, requestedAt, state, decidedBy, decidedAt,
            decisionReason, grant
        ) = try row.decode(
            as: (
                AccessRequestID, ProjectID, TeamID, TierID?, String?, String, Instant, String, String, Int64, Instant, String, String?,
                Instant?, String?, AccessGrantID?
            ).self)
        subject = try AccessSubject(tier: tier, model: model)
    }
}

/// An access request about to be written.
public struct NewAccessRequest: Sendable {
    /// How many undecided ones a project may have: more than anyone reads (law 11).
    static let mostPending = 100

    let id: AccessRequestID
    let grant: AccessGrantID
    let project: ProjectID
    let subject: AccessSubject
    let reason: String
    let endsAt: Instant
    let at: Instant

    public init(project: ProjectID, subject: AccessSubject, reason: String, endsAt: Instant, at: Instant) {
        id = AccessRequestID(at: at)
        grant = AccessGrantID(at: at)
        self.project = project
        self.subject = subject
        self.reason = reason
        self.endsAt = endsAt
        self.at = at
    }
}

extension Store {
    /// - Parameters:
    ///   - requester: the credential's `actor`.
    ///   - rank: how high the requester's role stands on a team.
    public func createAccessRequest(
        _ new: NewAccessRequest, of organization: OrganizationID, by requester: String, rank: @Sendable (TeamID) -> Int64
    ) async throws -> AccessRequestRecord {
        try await configure(organization) { connection in
            try Store.requireProject(new.project, of: organization, at: "/project", connection)
            let project = try Store.project(new.project, of: organization, connection)
            let approval = try Store.approval(for: new.subject, beyond: project, of: organization, connection)
            let pending = try connection.query(
                """
                SELECT count(*) FROM access_requests
                WHERE organization_id = \(organization) AND project_id = \(new.project) AND decision IS NULL AND ends_at > now()
                """)
            guard try pending.rows[0].decode(as: Int.self) < NewAccessRequest.mostPending else {
                throw AdminRefusal.tooMany("undecided access requests a project", NewAccessRequest.mostPending)
            }
            let (tier, model) = new.subject.columns
            try connection.query(
                """
                INSERT INTO access_requests (organization_id, id, project_id, tier_id, model, reason, ends_at, approval, requested_by,
                                             requester_rank, requested_at)
                VALUES (\(organization), \(new.id), \(new.project), \(tier), \(model), \(new.reason), \(new.endsAt), \(approval),
                        \(requester), \(rank(project.team)), \(new.at))
                """)
            if approval == "none" {
                try Store.decide(new.id, .approve(grant: new.grant), of: organization, by: "bursar", reason: nil, at: new.at, connection)
            } else {
                let request = try Store.accessRequest(new.id, of: organization, connection)
                try Store.tell(.accessRequested, of: request, in: organization, at: new.at, connection)
            }
            return try Store.accessRequest(new.id, of: organization, connection)
        }
    }

    public func accessRequest(_ id: AccessRequestID, of organization: OrganizationID) async throws -> AccessRequestRecord {
        try await read { connection in try Store.accessRequest(id, of: organization, connection) }
    }

    /// The newest first.
    /// - Parameters:
    ///   - teams: only those for projects of these; nil for all.
    ///   - state: `pending` and so on; nil for all.
    public func accessRequests(
        of organization: OrganizationID, teams: [TeamID]?, project: ProjectID?, state: String?, before: AccessRequestID, limit: Int
    ) async throws -> Page<AccessRequestRecord, AccessRequestID> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT * FROM (
                    SELECT r.id, r.project_id, p.team_id, r.tier_id, r.model, r.reason, r.ends_at, r.approval, r.requested_by,
                           r.requester_rank, r.requested_at,
                           CASE WHEN r.decision IS NULL AND r.ends_at <= now() THEN 'expired' ELSE coalesce(r.decision, 'pending') END
                               AS state,
                           r.decided_by, r.decided_at, r.decision_reason, g.id
                    FROM access_requests AS r
                    JOIN projects AS p ON p.organization_id = r.organization_id AND p.id = r.project_id
                    LEFT JOIN access_grants AS g ON g.organization_id = r.organization_id AND g.access_request_id = r.id
                    WHERE r.organization_id = \(organization) AND r.id < \(before)
                      AND (\(teams) IS NULL OR p.team_id = ANY (\(teams))) AND (\(project) IS NULL OR r.project_id = \(project))
                    ORDER BY r.id DESC) AS found
                WHERE \(state) IS NULL OR state = \(state) LIMIT \(limit + 1)
                """)
            return Page(try result.rows.map(AccessRequestRecord.init), limit: limit, cursor: \.id)
        }
    }

    public enum AccessDecision: Sendable {
        case approve(grant: AccessGrantID)
        case deny
    }

    /// - Parameter allowed: sees the request, and throws for who may not decide it.
    public func decideAccessRequest(
        _ id: AccessRequestID, _ decision: AccessDecision, of organization: OrganizationID, by decider: String, reason: String?,
        at instant: Instant, allowed: @Sendable (AccessRequestRecord) throws -> Void
    ) async throws -> AccessRequestRecord {
        try await configure(organization) { connection in
            let request = try Store.accessRequest(id, of: organization, connection)
            try allowed(request)
            guard request.state == "pending" else { throw AdminRefusal.alreadyDecided(request.state) }
            try Store.decide(id, decision, of: organization, by: decider, reason: reason, at: instant, connection)
            return try Store.accessRequest(id, of: organization, connection)
        }
    }

    private static func decide(
        _ id: AccessRequestID, _ decision: AccessDecision, of organization: OrganizationID, by decider: String, reason: String?,
        at instant: Instant, _ connection: isolated PostgresConnection
    ) throws {
        let word = if case .deny = decision { "denied" } else { "approved" }
        try connection.query(
            """
            UPDATE access_requests
            SET decision = \(word), decided_by = \(decider), decided_at = \(instant), decision_reason = \(reason)
            WHERE organization_id = \(organization) AND id = \(id)
            """)
        if case .approve(let grant) = decision {
            try connection.query(
                """
                INSERT INTO access_grants
                    (organization_id, id, access_request_id, project_id, tier_id, model, granted_at, ends_at)
                SELECT organization_id, \(grant), id, project_id, tier_id, model, \(instant), ends_at FROM access_requests
                WHERE organization_id = \(organization) AND id = \(id)
                """)
        }
        try tell(.accessDecided, of: try accessRequest(id, of: organization, connection), in: organization, at: instant, connection)
    }

    /// The rule for what is asked: of the tier, or of the lowest tier that has the model; a model in no tier is an administrator's.
    private static func approval(
        for subject: AccessSubject, beyond project: ProjectRecord, of organization: OrganizationID,
        _ connection: isolated PostgresConnection
    ) throws -> String {
        let result = try connection.query(
            """
            SELECT id, name, rank, models, approval, max_output_tokens, revision, created_at, archived_at FROM tiers
            WHERE organization_id = \(organization) AND archived_at IS NULL ORDER BY rank
            """)
        let tiers = try result.rows.map(TierRecord.init)
        let ownRank = tiers.first { $0.id == project.tier }?.rank ?? 0
        let wanted: TierRecord?
        switch subject {
        case .tier(let id):
            guard let tier = tiers.first(where: { $0.id == id }) else { throw AdminRefusal.unknownReference(pointer: "/tier") }
            wanted = tier
        case .model(let name):
            let known = try connection.query(
                """
                SELECT 1::bigint FROM models
                WHERE organization_id IN (\(organization), \(OrganizationID.platform)) AND name = \(name) AND archived_at IS NULL LIMIT 1
                """)
            guard !known.rows.isEmpty else { throw AdminRefusal.unknownReference(pointer: "/model") }
            wanted = tiers.first { tier in tier.models.contains { Pattern($0)?.matches(name) ?? false } }
        }
        if let wanted, wanted.rank <= ownRank { throw AdminRefusal.alreadyAllowed }
        return wanted?.approval ?? "organization_admin"
    }

    private static func accessRequest(
        _ id: AccessRequestID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> AccessRequestRecord {
        let result = try connection.query(
            """
            SELECT r.id, r.project_id, p.team_id, r.tier_id, r.model, r.reason, r.ends_at, r.approval, r.requested_by, r.requester_rank,
                   r.requested_at,
                   CASE WHEN r.decision IS NULL AND r.ends_at <= now() THEN 'expired' ELSE coalesce(r.decision, 'pending') END,
                   r.decided_by, r.decided_at, r.decision_reason, g.id
            FROM access_requests AS r
            JOIN projects AS p ON p.organization_id = r.organization_id AND p.id = r.project_id
            LEFT JOIN access_grants AS g ON g.organization_id = r.organization_id AND g.access_request_id = r.id
            WHERE r.organization_id = \(organization) AND r.id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try AccessRequestRecord(row)
    }

    private static func tell(
        _ type: EventType, of request: AccessRequestRecord, in organization: OrganizationID, at instant: Instant,
        _ connection: isolated PostgresConnection
    ) throws {
        let project = try project(request.project, of: organization, connection).name
        let what =
            switch request.subject {
            case .tier(let id): "the tier \(try tier(id, of: organization, connection).name)"
            case .model(let name): "the model \(name)"
            }
        let asked = type == .accessRequested
        try append(
            NewEvent(
                type, severity: .info, title: asked ? "Access requested: \(project)" : "Access \(request.state): \(project)",
                summary: asked
                    ? "\(project) asks for \(what) until \(request.endsAt.rfc3339): \(request.reason)"
                    : "\(what) for \(project) until \(request.endsAt.rfc3339) is \(request.state).",
                about: NewEvent.Subject(team: request.team, project: request.project),
                details: JSON.Object([
                    (
                        "access_request",
                        [
                            "id": .string(request.id.description), "state": .string(request.state), "reason": .string(request.reason),
                            "requested_by": .string(request.requestedBy),
                            "decision_reason": request.decisionReason.map { .string($0) } ?? .null,
                            "ends_at": .string(request.endsAt.rfc3339),
                        ]
                    )
                ]), at: instant), of: organization, connection)
    }
}
