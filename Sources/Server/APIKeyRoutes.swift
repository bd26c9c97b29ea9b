/// `/v1/api-keys`: secrets are shown once, when a key is made or rotated.
import Budgets
import Hummingbird
import JSON
import Outbound
import Store

extension API {
    @Sendable func createAPIKey(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let holder = API.holder(&fields)
        let environment = fields.optional("environment", .word(1...50)) ?? "production"
        let limits = APIKeyLimits(
            scopes: fields.optional("scopes", .list(.word(Permission.self), 1...50))?.map(\.rawValue),
            networks: fields.optional("networks", .list(.network, 1...100)), models: fields.optional("models", .list(.pattern, 1...200)))
        if limits.models != nil, case .project = holder {
        } else if limits.models != nil {
            fields.fault("models", .invalidValue, "goes with the keys of projects only")
        }
        let expiresAt = fields.optional("expires_at", .instant)
        if let expiresAt, expiresAt <= exchange.now { fields.fault("expires_at", .outOfRange, "must be in the future") }
        try fields.finish()
        if case .project(let project) = holder { try await require(project, exchange) }
        let credential = exchange.credential
        let new = NewAPIKey(
            id: APIKeyID(at: exchange.now), name: name, holder: holder, environment: environment, limits: limits, secret: APIKeySecret(),
            expiresAt: expiresAt, madeBy: credential.actor)
        let key = try await store.createAPIKey(new, of: exchange.organization) { key in
            guard credential.governs(key) else { throw AdminRefusal.roleNotYours }
        }
        return .json(.created, revision: key.revision) { key.write(secret: new.secret, &$0) }
    }

    /// Exactly one of a project, a user and a role.
    private static func holder(_ fields: inout FieldReader) -> NewAPIKey.Holder {
        let project = fields.optional("project", .id(ProjectKind.self))
        let user = fields.optional("user", .id(UserKind.self))
        let role = fields.optional("role", .word(Role.self))
        let team = fields.optional("team", .id(TeamKind.self))
        if (project == nil ? 0 : 1) + (user == nil ? 0 : 1) + (role == nil ? 0 : 1) != 1 {
            fields.fault("project", .invalidValue, "is required, or else user, or else role; only one of them")
        }
        if let role, role.isOnTeam, team == nil { fields.fault("team", .missing, "is required for this role") }
        if team != nil, role?.isOnTeam != true { fields.fault("team", .invalidValue, "goes with the roles lead and member only") }
        if let user { return .user(user) }
        if let role, let grant = RoleGrant(role, on: team) { return .role(grant) }
        return .project(project ?? .first)
    }

    @Sendable func listAPIKeys(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<APIKeyRecord, APIKeyID> = PageQuery.listing(&query, APIKeyRecord.orders)
        let team = query.optional("team", .id(TeamKind.self))
        let filter = APIKeyFilter(
            project: query.optional("project", .id(ProjectKind.self)), user: query.optional("user", .id(UserKind.self)),
            state: query.optional("state", .word(APIKeyFilter.State.self)), namePrefix: PageQuery.namePrefix(&query))
        try query.finish()
        return try await exchange.page(
            store.apiKeys(of: exchange.organization, teams: exchange.reach.teams(team), filter, at: exchange.now, listing)
        ) {
            $0.write(&$1)
        }
    }

    @Sendable func readAPIKey(_ exchange: Exchange) async throws -> Response {
        let key = try await store.apiKey(exchange.id(APIKeyKind.self), of: exchange.organization)
        return .json(revision: key.revision) { key.write(&$0) }
    }

    @Sendable func changeAPIKey(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.change("name", .text(1...200))
        let expiresAt = fields.changeOrEmpty("expires_at", .instant)
        try fields.finish()
        let credential = exchange.credential
        let key = try await store.changeAPIKey(
            exchange.id(APIKeyKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision()
        ) { key in
            guard credential.governs(key) else { throw AdminRefusal.roleNotYours }
            if let name { key.name = name }
            if let expiresAt { key.expiresAt = expiresAt }
        }
        return .json(revision: key.revision) { key.write(&$0) }
    }

    @Sendable func revokeAPIKey(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let credential = exchange.credential
        let key = try await store.revokeAPIKey(exchange.id(APIKeyKind.self), of: exchange.organization) { key in
            guard credential.governs(key) else { throw AdminRefusal.roleNotYours }
        }
        return .json(revision: key.revision) { key.write(&$0) }
    }

    /// A day by default, a month at most, for the old key to live on.
    @Sendable func rotateAPIKey(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let overlap = fields.optional("overlap_seconds", .integer(0...2_678_400)) ?? 86_400
        try fields.finish()
        let credential = exchange.credential
        let secret = APIKeySecret()
        let key = try await store.rotateAPIKey(
            exchange.id(APIKeyKind.self), of: exchange.organization, successor: APIKeyID(at: exchange.now), secret: secret,
            overlapSeconds: overlap, by: credential.actor
        ) { key in
            guard credential.governs(key) else { throw AdminRefusal.roleNotYours }
        }
        return .json(.created, revision: key.revision) { key.write(secret: secret, &$0) }
    }
}

extension APIKeyRecord {
    func write(secret: APIKeySecret? = nil, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", name)
            writer.field("project", project)
            writer.field("user", user)
            writer.field("role", role?.role.rawValue)
            writer.field("team", role?.team)
            writer.field("environment", environment)
            writer.maybe("scopes", limits.scopes)
            writer.maybe("networks", limits.networks)
            writer.maybe("models", limits.models)
            writer.field("hint", hint)
            writer.field("last_used_at", lastUsedAt)
            writer.field("expires_at", expiresAt)
            writer.field("revoked_at", revokedAt)
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            if let secret { writer.field("secret", secret.text) }
        }
    }
}

extension FieldRule where Value == String {
    /// A block of addresses, in the form in which it is compared.
    fileprivate static var network: FieldRule {
        text("a block of addresses such as 10.0.0.0/8", placeholder: "") { text in CIDR(text).map(\.description) }
    }
}

extension JSONWriter {
    /// A list, or null for no limit.
    fileprivate mutating func maybe(_ name: StaticString, _ texts: [String]?) {
        if let texts { return array(name, texts) }
        self.name(name)
        null()
    }
}
