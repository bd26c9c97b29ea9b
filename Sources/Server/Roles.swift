/// Who may do what (design §10): the one table. A route names the permission it needs; nothing else decides.
import Store

/// What a route lets somebody do.
enum Permission: Hashable {
    /// Create organizations and see all of them.
    case organizations
    /// The organization itself, its teams, projects, tiers, budgets and endpoints.
    case readStructure, changeStructure
    /// Models and prices: the organization's own, or for an operator the platform's.
    case readCatalogue, changeCatalogue
    case readAPIKeys, changeAPIKeys
    /// Periods, alerts, deliveries.
    case readSpend
    case export
    /// Reserve, settle, release, book, and ask for one's own allowance.
    case call
    /// See a reservation; for a project's key one of its own.
    case readReservations
}

/// Whose permissions: a key's role, or that it belongs to a project.
enum Holder: Hashable {
    case role(Role)
    case project
}

let permissions: [Holder: Set<Permission>] = [
    .role(.operator): [.organizations, .readCatalogue, .changeCatalogue, .readAPIKeys, .changeAPIKeys],
    .role(.owner): [
        .readStructure, .changeStructure, .readCatalogue, .changeCatalogue, .readAPIKeys, .changeAPIKeys, .readSpend, .export, .call,
        .readReservations,
    ],
    .role(.admin): [
        .readStructure, .changeStructure, .readCatalogue, .changeCatalogue, .readAPIKeys, .changeAPIKeys, .readSpend, .export, .call,
        .readReservations,
    ],
    .role(.finance): [.readStructure, .readCatalogue, .readAPIKeys, .readSpend, .readReservations, .export],
    .role(.auditor): [.readStructure, .readCatalogue, .readAPIKeys, .readSpend, .readReservations],
    .project: [.call, .readReservations],
]

/// Whose API keys one may create, rotate or revoke: nobody reaches above themselves.
let governs: [Role: Set<Role>] = [
    .operator: [.operator],
    .owner: [.owner, .admin, .finance, .auditor],
    .admin: [.admin, .finance, .auditor],
]

extension Credential {
    var holder: Holder { role.map(Holder.role) ?? .project }

    func may(_ permission: Permission) -> Bool { permissions[holder]?.contains(permission) ?? false }

    /// Whether this credential may create, rotate or revoke keys of that role; keys of projects are open to all who change keys,
    /// except operators, who have no projects.
    func governs(_ role: Role?) -> Bool {
        guard let own = self.role else { return false }
        guard let role else { return own != .operator }
        return Server.governs[own]?.contains(role) ?? false
    }
}
