/// `/v1/access-requests` and `/v1/access-grants`: access of a project beyond its own tier.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    /// Access ends; a year is long enough to ask again.
    private static let longestAccess: Int64 = 366 * 86_400

    @Sendable func createAccessRequest(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let project = fields.require("project", .id(ProjectKind.self))
        let tier = fields.optional("tier", .id(TierKind.self))
        let model = fields.optional("model", .text(1...200))
        let reason = fields.require("reason", .text(1...2000))
        let endsAt = fields.require("ends_at", .instant)
        if (tier == nil) == (model == nil) { fields.fault("tier", .invalidValue, "is required, or else model; not both") }
        if endsAt <= exchange.now || endsAt > exchange.now.adding(seconds: API.longestAccess) {
            fields.fault("ends_at", .outOfRange, "must be in the future, and within a year")
        }
        try fields.finish()
        try await require(project, exchange)
        let credential = exchange.credential
        let request = try await store.createAccessRequest(
            NewAccessRequest(
                project: project, subject: tier.map { .tier($0) } ?? .model(model ?? ""), reason: reason, endsAt: endsAt,
                at: exchange.now),
            of: exchange.organization, by: credential.actor
        ) { credential.rank(on: $0) }
        return .json(.created) { request.write(&$0) }
    }

    @Sendable func listAccessRequests(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let limit = PageQuery.limit(&query)
        let before = PageQuery.cursor(&query, AccessRequestKind.self) ?? .last
        let project = query.optional("project", .id(ProjectKind.self))
        let state = query.optional("state", .word(of: ["pending", "approved", "denied", "expired"]))
        try query.finish()
        let page = try await store.accessRequests(
            of: exchange.organization, teams: exchange.reach.teams, project: project, state: state, before: before, limit: limit)
        return .page(page) { $0.write(&$1) }
    }

    @Sendable func readAccessRequest(_ exchange: Exchange) async throws -> Response {
        let request = try await store.accessRequest(exchange.id(AccessRequestKind.self), of: exchange.organization)
        return .json { request.write(&$0) }
    }

    @Sendable func approveAccessRequest(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.optional("reason", .text(1...2000))
        try fields.finish()
        return try await decide(exchange, .approve(grant: AccessGrantID(at: exchange.now)), reason: reason)
    }

    @Sendable func denyAccessRequest(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.require("reason", .text(1...2000))
        try fields.finish()
        return try await decide(exchange, .deny, reason: reason)
    }

    private func decide(_ exchange: Exchange, _ decision: Store.AccessDecision, reason: String?) async throws -> Response {
        let credential = exchange.credential
        let request = try await store.decideAccessRequest(
            exchange.id(AccessRequestKind.self), decision, of: exchange.organization, by: credential.actor, reason: reason,
            at: exchange.now
        ) { request in
            let isHighEnough = request.approval == "organization_admin" ? credential.rank(on: nil) >= 3 : true
            guard isHighEnough, credential.mayDecide(requestOf: request.requestedBy, rank: request.requesterRank, on: request.team) else {
                throw Problem(.forbidden, "Another one decides this, with a role above the requester's and as the tier's rule wants it.")
            }
        }
        return .json { request.write(&$0) }
    }

    @Sendable func listAccessGrants(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let limit = PageQuery.limit(&query)
        let before = PageQuery.cursor(&query, AccessGrantKind.self) ?? .last
        let project = query.optional("project", .id(ProjectKind.self))
        let state = query.optional("state", .word(of: ["active", "expired", "revoked"]))
        try query.finish()
        let page = try await store.accessGrants(
            of: exchange.organization, teams: exchange.reach.teams, project: project, state: state, before: before, limit: limit)
        return .page(page) { $0.write(&$1) }
    }

    @Sendable func readAccessGrant(_ exchange: Exchange) async throws -> Response {
        let grant = try await store.accessGrant(exchange.id(AccessGrantKind.self), of: exchange.organization)
        return .json { grant.write(&$0) }
    }

    @Sendable func revokeAccessGrant(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let grant = try await store.revokeAccessGrant(exchange.id(AccessGrantKind.self), of: exchange.organization)
        return .json { grant.write(&$0) }
    }
}

extension FieldRule where Value == String {
    /// One of some words.
    static func word(of words: [String]) -> FieldRule {
        text("one of \(words.joined(separator: ", "))", placeholder: "") { words.contains($0) ? $0 : nil }
    }
}

extension AccessSubject {
    fileprivate func writeFields(_ writer: inout JSONWriter) {
        switch self {
        case .tier(let id):
            writer.field("tier", id)
            writer.field("model", String?.none)
        case .model(let name):
            writer.field("tier", TierID?.none)
            writer.field("model", name)
        }
    }
}

extension AccessRequestRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("project", project)
            subject.writeFields(&writer)
            writer.field("reason", reason)
            writer.field("ends_at", endsAt)
            writer.field("approval", approval)
            writer.field("requested_by", requestedBy)
            writer.field("requested_at", requestedAt)
            writer.field("state", state)
            writer.field("decided_by", decidedBy)
            writer.field("decided_at", decidedAt)
            writer.field("decision_reason", decisionReason)
            writer.field("grant", grant)
        }
    }
}

extension AccessGrantRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("request", request)
            writer.field("project", project)
            subject.writeFields(&writer)
            writer.field("granted_at", grantedAt)
            writer.field("ends_at", endsAt)
            writer.field("revoked_at", revokedAt)
            writer.field("state", state)
        }
    }
}
