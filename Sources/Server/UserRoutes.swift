/// `/v1/users`: people and services, and their roles in the organization and on teams.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func createUser(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let email = fields.optional("email", .email)
        let roles = fields.optional("roles", .roles) ?? []
        try fields.finish()
        guard roles.allSatisfy(exchange.credential.governs), exchange.reach == .everything || !roles.isEmpty else {
            throw AdminRefusal.roleNotYours
        }
        let user = try await store.createUser(
            UserID(at: exchange.now), of: exchange.organization, name: name, email: email, roles: roles)
        return .json(.created, revision: user.revision) { user.write(&$0) }
    }

    @Sendable func listUsers(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let (filter, listing) = (PageQuery.filter(&query), PageQuery.listing(&query, UserRecord.orders) as Listing<_, UserID>)
        let team = query.optional("team", .id(TeamKind.self))
        try query.finish()
        return try await exchange.page(
            store.users(of: exchange.organization, teams: exchange.reach.teams(team), filter, listing)
        ) { $0.write(&$1) }
    }

    @Sendable func readUser(_ exchange: Exchange) async throws -> Response {
        let user = try await store.user(exchange.id(UserKind.self), of: exchange.organization)
        return .json(revision: user.revision) { user.write(&$0) }
    }

    /// Whoever changes a user governs every role that they have or are to have.
    @Sendable func changeUser(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.change("name", .text(1...200))
        let email = fields.changeOrEmpty("email", .email)
        let roles = fields.change("roles", .roles)
        try fields.finish()
        let credential = exchange.credential
        let user = try await store.changeUser(
            exchange.id(UserKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision()
        ) { user in
            guard user.roles.allSatisfy(credential.governs) else { throw AdminRefusal.roleNotYours }
            if let name { user.name = name }
            if let email { user.email = email }
            if let roles { user.roles = roles }
            guard user.roles.allSatisfy(credential.governs) else { throw AdminRefusal.roleNotYours }
        }
        return .json(revision: user.revision) { user.write(&$0) }
    }

    @Sendable func archiveUser(_ exchange: Exchange) async throws -> Response {
        let credential = exchange.credential
        try await store.archiveUser(
            exchange.id(UserKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision()
        ) { user in
            guard user.roles.allSatisfy(credential.governs) else { throw AdminRefusal.roleNotYours }
        }
        return Response(status: .noContent)
    }

    /// With the roles they had; their API keys stay revoked.
    @Sendable func restoreUser(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let credential = exchange.credential
        let user = try await store.restoreUser(exchange.id(UserKind.self), of: exchange.organization) { user in
            guard user.roles.allSatisfy(credential.governs) else { throw AdminRefusal.roleNotYours }
        }
        return .json(revision: user.revision) { user.write(&$0) }
    }
}

extension FieldRule where Value == [RoleGrant] {
    /// Each once; nobody needs more than a hundred teams (law 11).
    static var roles: FieldRule {
        FieldRule<[RoleGrant?]>.list(.role, 0...100).map { $0.compactMap { $0 } }
            .that("must name each role once") { Set($0).count == $0.count }
    }
}

extension FieldRule where Value == RoleGrant? {
    /// `{"role":"admin"}`, or `{"role":"lead","team":"team_…"}`.
    fileprivate static var role: FieldRule {
        .fields { fields in
            let role = fields.require("role", .word(Role.self))
            let team = fields.optional("team", .id(TeamKind.self))
            if role.isOnTeam, team == nil { fields.fault("team", .missing, "is required for this role") }
            if !role.isOnTeam, team != nil {
                fields.fault("team", .invalidValue, "cannot be there: this role is in the whole organization")
            }
            return RoleGrant(role, on: team)
        }
    }
}

extension FieldRule where Value == String {
    /// Something on both sides of one `@`: whether mail arrives is not for us to find out.
    fileprivate static var email: FieldRule {
        text(3...254).that("must be an e-mail address") { text in
            let parts = text.split(separator: "@", omittingEmptySubsequences: false)
            return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && !$0.contains(" ") }
        }
    }
}

extension UserRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", name)
            writer.field("email", email)
            writer.array("roles") { writer in for role in roles { role.write(&writer) } }
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            writer.field("archived_at", archivedAt)
        }
    }
}

extension RoleGrant {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("role", role.rawValue)
            if let team { writer.field("team", team) }
        }
    }
}
