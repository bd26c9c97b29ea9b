/// Asking for access and deciding on it: each with the event that tells of it, in one Postgres transaction. An approval makes the grant
/// that the engine's configuration has from the next decision on (law 10).
public import Budgets
import JSON
import Postgres

/// An access request about to be written.
public struct NewAccessRequest: Sendable {
    /// How many undecided ones a project may have: more than anyone reads (law 11).
    static let mostPending = 100

    let id: AccessRequestID
    let project: ProjectID
    let subject: AccessSubject
    let reason: String
    let endsAt: Instant
    let at: Instant

    /// - Parameter endsAt: when the access is to end.
    public init(project: ProjectID, subject: AccessSubject, reason: String, endsAt: Instant, at: Instant) {
        id = AccessRequestID(at: at)
        self.project = project
        self.subject = subject
        self.reason = reason
        self.endsAt = endsAt
        self.at = at
    }
}

/// What becomes of an access request by somebody's word. The raw value is the state it is in afterwards.
public enum AccessDecision: String, Sendable {
    case approve = "approved"
    case deny = "denied"
    /// Taken back before anybody decided, by whoever stands no lower than the requester.
    case withdraw = "withdrawn"
}

extension Store {
    /// Writes the request down. One whose rule is `none` is approved in the same breath, by `bursar`.
    ///
    /// - Parameters:
    ///   - requester: the requester's `Credential.actor`.
    ///   - rank: how high the requester's role stands on a team.
    /// - Throws: `AdminRefusal.unknownReference`, `.alreadyAllowed`, `.tooMany`.
    public func createAccessRequest(
        _ new: NewAccessRequest, of organization: OrganizationID, by requester: String, rank: @Sendable (TeamID) -> Int64
    ) async throws -> AccessRequestRecord {
        try await configure(organization) { connection in
            try Store.requireProject(new.project, of: organization, at: "/project", connection)
            let project = try Store.project(new.project, of: organization, connection)
            let approval = try Store.approval(for: new.subject, beyond: project, of: organization, connection)
            try Store.requireRoom(for: new, in: organization, connection)
            let (tier, model) = new.subject.columns
            try connection.query(
                """
                INSERT INTO access_requests (organization_id, id, project_id, tier_id, model, reason, ends_at, approval, requested_by,
                                             requester_rank, requested_at)
                VALUES (\(organization), \(new.id), \(new.project), \(tier), \(model), \(new.reason), \(new.endsAt), \(approval),
                        \(requester), \(rank(project.team)), \(new.at))
                """)
            if approval == "none" {
                try Store.decide(.approve, on: new.id, of: organization, by: "bursar", reason: nil, at: new.at, connection)
            } else {
                let request = try Store.accessRequest(new.id, of: organization, at: new.at, connection)
                try Store.tell(.accessRequested, of: request, in: organization, at: new.at, connection)
            }
            return try Store.accessRequest(new.id, of: organization, at: new.at, connection)
        }
    }

    /// - Parameter check: sees the request and who asked, and throws for who may not decide it.
    /// - Throws: `AdminRefusal.alreadyDecided` unless it is pending.
    public func decide(
        _ decision: AccessDecision, on id: AccessRequestID, of organization: OrganizationID, by decider: String, reason: String?,
        at now: Instant, check: @Sendable (AccessRequestRecord, Speaker) throws -> Void
    ) async throws -> AccessRequestRecord {
        try await configure(organization) { connection in
            let request = try Store.accessRequest(id, of: organization, at: now, connection)
            try check(request, try Store.speaker(request.requestedBy, of: organization, connection))
            guard request.state == "pending" else { throw AdminRefusal.alreadyDecided(request.state) }
            if decision == .approve { try Store.requireLiving(request, of: organization, connection) }
            try Store.decide(decision, on: id, of: organization, by: decider, reason: reason, at: now, connection)
            return try Store.accessRequest(id, of: organization, at: now, connection)
        }
    }

    /// A grant on what is archived would come into force by itself once that is restored.
    private static func requireLiving(
        _ request: AccessRequestRecord, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        let isGone = try project(request.project, of: organization, connection).archivedAt != nil
        let isTierGone =
            if case .tier(let id) = request.subject { try tier(id, of: organization, connection).archivedAt != nil } else { false }
        if isGone || isTierGone { throw AdminRefusal.archived }
    }

    private static func decide(
        _ decision: AccessDecision, on id: AccessRequestID, of organization: OrganizationID, by decider: String, reason: String?,
        at now: Instant, _ connection: isolated PostgresConnection
    ) throws {
        try connection.query(
            """
            UPDATE access_requests
            SET decision = \(decision.rawValue), decided_by = \(decider), decided_at = \(now), decision_reason = \(reason)
            WHERE organization_id = \(organization) AND id = \(id)
            """)
        if decision == .approve {
            try Bound.accessGrants.requireRoom(in: organization, connection)
            try connection.query(
                """
                INSERT INTO access_grants
                    (organization_id, id, access_request_id, project_id, tier_id, model, granted_at, ends_at)
                SELECT organization_id, \(AccessGrantID(at: now)), id, project_id, tier_id, model, \(now), ends_at FROM access_requests
                WHERE organization_id = \(organization) AND id = \(id)
                """)
        }
        guard decision != .withdraw else { return }
        try tell(.accessDecided, of: try accessRequest(id, of: organization, at: now, connection), in: organization, at: now, connection)
    }

    private static func requireRoom(
        for new: NewAccessRequest, in organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        let pending = try connection.query(
            """
            SELECT count(*) FROM access_requests
            WHERE organization_id = \(organization) AND project_id = \(new.project) AND decision IS NULL AND ends_at > \(new.at)
            """)
        guard try pending.rows[0].decode(as: Int.self) < NewAccessRequest.mostPending else {
            throw AdminRefusal.tooMany(
                "undecided access requests of a project", NewAccessRequest.mostPending, cure: "Decide or withdraw those that wait.")
        }
    }

    /// The rule for what is asked: of the tier, or of the lowest tier that has the model; a model in no tier is an administrator's.
    private static func approval(
        for subject: AccessSubject, beyond project: ProjectRecord, of organization: OrganizationID,
        _ connection: isolated PostgresConnection
    ) throws -> String {
        let tiers = try livingTiers(of: organization, connection)
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

    private static func tell(
        _ type: EventType, of request: AccessRequestRecord, in organization: OrganizationID, at now: Instant,
        _ connection: isolated PostgresConnection
    ) throws {
        let project = try project(request.project, of: organization, connection).name
        let subject =
            switch request.subject {
            case .tier(let id): "the tier \(try tier(id, of: organization, connection).name)"
            case .model(let name): "the model \(name)"
            }
        try append(request.event(type, project: project, subject: subject, at: now), of: organization, connection)
    }
}

extension AccessRequestRecord {
    fileprivate func event(_ type: EventType, project name: String, subject: String, at now: Instant) -> NewEvent {
        let details: JSON = [
            "id": .string(id.description), "state": .string(state), "project": .string(project.description), "reason": .string(reason),
            "requested_by": .string(requestedBy), "approval": .string(approval), "ends_at": .string(endsAt.rfc3339),
            "decided_by": decidedBy.map { .string($0) } ?? .null, "decision_reason": decisionReason.map { .string($0) } ?? .null,
        ]
        let asked = "\(subject) for \(name) until \(endsAt.rfc3339)"
        let (title, summary) =
            type == .accessRequested
            ? ("Access requested", "\(requestedBy) asks for \(asked): \(reason)")
            : ("Access \(state)", "\(decidedBy ?? "Somebody") decided on \(asked): \(decisionReason ?? state).")
        return NewEvent(
            type, severity: .info, title: "\(title): \(name)", summary: summary, about: .init(team: team, project: project),
            details: JSON.Object([("access_request", details), ("links", ["access_request": .string("/v1/access-requests/\(id)")])]),
            at: now)
    }
}
