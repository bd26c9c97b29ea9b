/// Who may do what (design §10): the one table. A route names the permission it needs; nothing else decides.
import Budgets
import Outbound
import Store

/// What a route lets somebody do. The raw value is what an API key's `scopes` say.
enum Permission: String, CaseIterable, Sendable {
    /// Create organizations and see all of them.
    case organizations
    /// The organization itself, its teams, projects and budgets.
    case readStructure = "structure:read"
    /// The organization's settings, its teams and its tiers.
    case changeOrganization = "organization:write"
    case changeProjects = "projects:write"
    case changeBudgets = "budgets:write"
    /// Ask for bursts, take one's requests back, review.
    case requestBursts = "bursts:request"
    /// Approve, deny and revoke bursts; of whom is asked beside it (`mayDecide`).
    case decideBursts = "bursts:decide"
    case readUsers = "users:read"
    case changeUsers = "users:write"
    case readAPIKeys = "api_keys:read"
    case changeAPIKeys = "api_keys:write"
    /// Models, prices and tiers: the organization's own and the platform's. What there is to use is no secret between teams.
    case readCatalogue = "catalogue:read"
    case changeCatalogue = "catalogue:write"
    /// Where people are told, and what became of it.
    case readEndpoints = "endpoints:read"
    case changeEndpoints = "endpoints:write"
    /// Periods and alerts.
    case readSpend = "spend:read"
    /// The chargeback of the whole organization.
    case readStatements = "statements:read"
    case export = "statements:export"
    /// Propose months and close them.
    case closeStatements = "statements:close"
    /// Open a closed month again, together with somebody else.
    case reopenStatements = "statements:reopen"
    /// Ask for adjustments and credits, and for their reversal; take one's requests back.
    case requestAdjustments = "adjustments:request"
    /// Approve and deny them; of whom is asked beside it (`mayDecide`).
    case decideAdjustments = "adjustments:decide"
    /// Ask for access beyond a project's tier, and see what was asked and granted.
    case readAccess = "access:read"
    case requestAccess = "access:request"
    /// Approve, deny and revoke; by whom in particular is said by `mayDecide`.
    case decideAccess = "access:decide"
    /// Who changed what.
    case readAudit = "audit:read"
    /// Reserve, settle, release, book, and ask for one's own allowance.
    case call = "calls:write"
    /// Ask what calls would cost. Books nothing and records nothing.
    case estimate = "estimates:read"
    /// See a reservation; for a project's key one of its own.
    case readReservations = "calls:read"
}

private let reading: Set<Permission> = [
    .readStructure, .readCatalogue, .readUsers, .readAPIKeys, .readEndpoints, .readSpend, .readStatements, .readReservations,
    .estimate, .readAccess,
]
private let administering: Set<Permission> = reading.union([
    .changeOrganization, .changeProjects, .changeBudgets, .changeUsers, .changeAPIKeys, .changeCatalogue, .changeEndpoints, .export,
    .call, .requestBursts, .decideBursts, .readAudit, .requestAdjustments, .decideAdjustments,
    .closeStatements, .reopenStatements,
    .requestAccess, .decideAccess,
])

/// What a role may. A role on a team may it on that team's things only.
let permissions: [Role: Set<Permission>] = [
    .operator: [.organizations, .readCatalogue, .changeCatalogue, .readAPIKeys, .changeAPIKeys],
    .owner: administering,
    .admin: administering,
    .finance: reading.union([.export, .requestAdjustments, .closeStatements]),
    .auditor: reading.union([.readAudit]),
    .lead: [
        .readStructure, .readCatalogue, .readUsers, .readAPIKeys, .readSpend, .readReservations, .changeProjects, .changeBudgets,
        .changeUsers, .changeAPIKeys, .requestBursts, .decideBursts, .readAccess, .requestAccess, .decideAccess,
        .estimate,
    ],
    .member: [.readStructure, .readCatalogue, .readSpend, .readReservations, .requestBursts, .readAccess, .requestAccess, .estimate],
]

/// What the key of a project may: for its own calls only.
let projectPermissions: Set<Permission> = [.call, .readReservations, .estimate]

/// How far a permission reaches.
enum Reach: Hashable, Sendable {
    case everything
    case teams(Set<TeamID>)

    /// The teams to which a list is narrowed; nil for none.
    var teams: [TeamID]? {
        switch self {
        case .everything: nil
        case .teams(let teams): Array(teams)
        }
    }

    func covers(_ owner: Owner) -> Bool {
        switch (self, owner) {
        case (.everything, _): true
        case (.teams(let own), .teams(let teams)): !own.isDisjoint(with: teams)
        case (.teams, .organization): false
        }
    }

    func covers(_ team: TeamID) -> Bool { covers(.teams([team])) }
}

extension Credential {
    /// Refuses a request from elsewhere than the key may be used from.
    func requireNetwork(of client: @autoclosure () -> IPAddress?) throws(Problem) {
        guard let networks = limits.networks else { return }
        let address = client()
        if let address, networks.contains(where: { CIDR($0)?.contains(address) ?? false }) { return }
        throw Problem(.forbidden, "This API key may not be used from \(address?.description ?? "here").")
    }

    /// How far this credential may do that; nil for not at all.
    func reach(_ permission: Permission) -> Reach? {
        if let scopes = limits.scopes, !scopes.contains(permission.rawValue) { return nil }
        if project != nil { return projectPermissions.contains(permission) ? .everything : nil }
        let grants = roles.filter { permissions[$0.role]?.contains(permission) ?? false }
        guard !grants.isEmpty else { return nil }
        let teams = grants.compactMap(\.team)
        return teams.count < grants.count || permission == .readCatalogue ? .everything : .teams(Set(teams))
    }

    /// How high a role stands where it counts for that team; nil: for the organization as a whole. 0 is none.
    func rank(on team: TeamID?) -> Int64 {
        roles.map { grant in
            switch grant.role {
            case .owner: 4
            case .admin: 3
            case .lead: grant.team == team ? 2 : 0
            case .member: grant.team == team ? 1 : 0
            case .finance, .auditor, .operator: 0
            }
        }.max() ?? 0
    }

    /// Whether it administers the organization, and not a team alone.
    var isAdministrator: Bool { rank(on: nil) >= 3 }

    /// Whether it is the same person's, or one made with theirs.
    private func isOf(_ speaker: Speaker) -> Bool { actor == speaker.actor || makers.contains(speaker.actor) }

    /// Whether one person stands behind both, for all that is known: a person's keys, and keys one of which was made with the other.
    func isSame(as speaker: Speaker) -> Bool { isOf(speaker) || speaker.makers.contains(actor) }

    /// Whether this credential may decide what somebody asked for a team (nil: for the organization): by a role above the
    /// requester's, and never the requester, nor by a key that the requester made. An administrator makes no second one to ask for
    /// them by making a key either; that of anybody lower is theirs, whoever made it. Nobody is above an owner, so owners decide for one
    /// another.
    ///
    /// - Parameter requesterRank: the requester's `rank` when they asked.
    func mayDecide(requestOf requester: Speaker, rank requesterRank: Int64, on team: TeamID?) -> Bool {
        guard requesterRank >= 3 ? !isSame(as: requester) : !isOf(requester) else { return false }
        let own = rank(on: team)
        return own > requesterRank || (own == 4 && requesterRank == 4)
    }

    /// Whether this credential may give, change or take that role: nobody reaches above themselves.
    func governs(_ grant: RoleGrant) -> Bool {
        roles.contains { own in
            switch own.role {
            case .operator: grant.role == .operator
            case .owner: grant.role != .operator
            case .admin: grant.role != .operator && grant.role != .owner
            case .lead: grant.role == .member && grant.team == own.team
            case .finance, .auditor, .member: false
            }
        }
    }

    /// Whether this credential may make, change, rotate or revoke that key: one of a project within its reach, one with roles that
    /// it governs, or one of its own user's.
    func governs(_ key: APIKeyRecord) -> Bool {
        guard limits.cover(key.limits) else { return false }
        if key.project != nil { return !roles.contains { $0.role == .operator } }
        if let user, key.user == user { return true }
        return key.roles.allSatisfy(governs)
    }
}

extension APIKeyLimits {
    /// Whether a key with those limits can do nothing that one with these cannot: no key makes one that reaches further.
    fileprivate func cover(_ other: APIKeyLimits) -> Bool {
        func isWithin(_ own: [String]?, _ others: [String]?) -> Bool {
            guard let own else { return true }
            return others.map { Set($0).isSubset(of: own) } ?? false
        }
        return isWithin(scopes, other.scopes) && isWithin(networks, other.networks)
    }
}
