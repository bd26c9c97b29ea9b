/// Access requests as they are read: asking for a tier or a model beyond a project's own. How they are made and decided is in
/// `AccessDecisions`.
public import Budgets
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
    /// When the access would end.
    public let endsAt: Instant
    /// `none`, `team_lead` or `organization_admin`: the rule when it was asked.
    public let approval: String
    /// The requester's `Credential.actor`, and their rank on the team at that time.
    public let requestedBy: String
    public let requesterRank: Int64
    public let requestedAt: Instant
    /// `pending`, `approved`, `denied`, `withdrawn`, or `expired` when nobody decided in time.
    public let state: String
    public let decidedBy: String?
    public let decidedAt: Instant?
    public let decisionReason: String?
    /// What an approval made.
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

/// Which access requests or grants a list has; nil: all.
public struct AccessFilter: Sendable {
    public var project: ProjectID?
    public var state: String?
    /// Of projects of these teams.
    public var teams: [TeamID]?

    public init(project: ProjectID? = nil, state: String? = nil, teams: [TeamID]? = nil) {
        self.project = project
        self.state = state
        self.teams = teams
    }
}

extension Store {
    public func accessRequest(_ id: AccessRequestID, of organization: OrganizationID, at now: Instant) async throws -> AccessRequestRecord {
        try await read { connection in try Store.accessRequest(id, of: organization, at: now, connection) }
    }

    public func accessRequests(
        of organization: OrganizationID, _ filter: AccessFilter, at now: Instant, _ listing: Listing<AccessRequestRecord, AccessRequestID>
    ) async throws -> Page<AccessRequestRecord, ListPlace<AccessRequestID>> {
        try await read { connection in
            let result = try connection.query(
                Store.accessRequestQuery(organization, nil, filter, at: now, listing))
            return listing.page(try result.rows.map(AccessRequestRecord.init)) { $0.id }
        }
    }

    static func accessRequest(
        _ id: AccessRequestID, of organization: OrganizationID, at now: Instant, _ connection: isolated PostgresConnection
    ) throws -> AccessRequestRecord {
        let result = try connection.query(Store.accessRequestQuery(organization, id, AccessFilter(), at: now, .one))
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try AccessRequestRecord(row)
    }

    /// The one query for a request and for lists of them: what state one is in follows from its facts and the time.
    private static func accessRequestQuery(
        _ organization: OrganizationID, _ id: AccessRequestID?, _ filter: AccessFilter, at now: Instant,
        _ listing: Listing<AccessRequestRecord, AccessRequestID>
    ) -> Query {
        """
        SELECT id, project_id, team_id, tier_id, model, reason, ends_at, approval, requested_by, requester_rank, requested_at, state,
               decided_by, decided_at, decision_reason, grant_id
        FROM (
            SELECT r.*, p.team_id, g.id AS grant_id,
                   coalesce(r.decision, CASE WHEN r.ends_at <= \(now) THEN 'expired' ELSE 'pending' END) AS state
            FROM access_requests AS r
            JOIN projects AS p ON p.organization_id = r.organization_id AND p.id = r.project_id
            LEFT JOIN access_grants AS g ON g.organization_id = r.organization_id AND g.access_request_id = r.id
            WHERE r.organization_id = \(organization) AND \(list: [listing.isAfter("r.id")]) AND (\(id) IS NULL OR r.id = \(id))
              AND (\(filter.project) IS NULL OR r.project_id = \(filter.project))) AS facts
        WHERE (\(filter.state) IS NULL OR state = \(filter.state)) AND (\(filter.teams) IS NULL OR team_id = ANY (\(filter.teams)))
        ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
        """
    }
}
