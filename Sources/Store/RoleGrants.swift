/// Roles and where they hold (design §10): in the whole organization, or on one team.
public import Budgets
import JSON
import Postgres

/// What somebody with a credential may be.
public enum Role: String, Sendable, CaseIterable, Hashable {
    case `operator`, owner, admin, finance, auditor, lead, member

    /// Whether it is held on a team, and not in the whole organization.
    public var isOnTeam: Bool { self == .lead || self == .member }
}

/// A role in the organization (`team` is nil), or on a team.
public struct RoleGrant: Hashable, Sendable {
    public let role: Role
    public let team: TeamID?

    /// Nil when the role needs a team and has none, or the other way round.
    public init?(_ role: Role, on team: TeamID? = nil) {
        guard role.isOnTeam == (team != nil) else { return nil }
        self.role = role
        self.team = team
    }
}

extension RoleGrant {
    /// The two that everything begins with.
    public static let owner = RoleGrant(organizationWide: .owner)
    public static let `operator` = RoleGrant(organizationWide: .operator)

    private init(organizationWide role: Role) {
        self.role = role
        team = nil
    }
}

extension [RoleGrant] {
    /// As the column keeps them: `[{"role":"lead","team":"team_…"}]`.
    var column: JSONB {
        JSONB(
            bytes: JSON.array(
                map { grant in
                    var members: [(String, JSON)] = [("role", .string(grant.role.rawValue))]
                    if let team = grant.team { members.append(("team", .string(team.description))) }
                    return .object(members)
                }
            ).bytes)
    }

    /// Throws `.decoding` for anything but a list of grants: a role that is not understood must not count as none.
    init(column: JSONB) throws(PostgresError) {
        guard let elements = (try? JSON.parse(column.bytes))?.array else { throw .decoding("roles that are no list") }
        self = []
        for element in elements {
            let team = element["team"]?.string.flatMap { TeamID($0) }
            guard let role = element["role"]?.string.flatMap(Role.init), let grant = RoleGrant(role, on: team) else {
                throw .decoding("an unknown role")
            }
            append(grant)
        }
    }
}
