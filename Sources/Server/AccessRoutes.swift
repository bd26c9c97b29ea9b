/// `/v1/access-requests` and `/v1/access-grants`: access of a project beyond its own tier.
import Budgets
import Hummingbird
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
            fields.fault("ends_at", .outOfRange, "must be to come, and within 366 days")
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

    /// Where who decides finds what waits: `?state=pending`.
    @Sendable func listAccessRequests(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<AccessRequestRecord, AccessRequestID> = PageQuery.listing(
            &query, AccessRequestRecord.orders, isNewestFirst: true)
        let filter = AccessFilter(
            project: query.optional("project", .id(ProjectKind.self)),
            state: query.optional("state", .word(AccessRequestState.self))?.rawValue,
            teams: exchange.reach.teams(query.optional("team", .id(TeamKind.self))))
        try query.finish()
        return try await exchange.page(
            store.accessRequests(of: exchange.organization, filter, at: exchange.now, listing)
        ) { $0.write(&$1) }
    }

    @Sendable func readAccessRequest(_ exchange: Exchange) async throws -> Response {
        let request = try await store.accessRequest(exchange.id(AccessRequestKind.self), of: exchange.organization, at: exchange.now)
        return .json { request.write(&$0) }
    }

    @Sendable func approveAccessRequest(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.optional("reason", .text(1...2000))
        try fields.finish()
        return try await decide(.approve, exchange, reason)
    }

    @Sendable func denyAccessRequest(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.require("reason", .text(1...2000))
        try fields.finish()
        return try await decide(.deny, exchange, reason)
    }

    @Sendable func withdrawAccessRequest(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        return try await decide(.withdraw, exchange, nil)
    }

    private func decide(_ decision: AccessDecision, _ exchange: Exchange, _ reason: String?) async throws -> Response {
        let credential = exchange.credential
        let request = try await store.decide(
            decision, on: exchange.id(AccessRequestKind.self), of: exchange.organization, by: credential.actor, reason: reason,
            at: exchange.now
        ) { request, requester in
            guard decision != .withdraw else {
                guard credential.rank(on: request.team) >= request.requesterRank else {
                    throw Problem(.forbidden, "Somebody above you asked for it.")
                }
                return
            }
            guard credential.mayDecide(requestOf: requester, rank: request.requesterRank, on: request.team) else {
                throw Problem(.forbidden, "Who decides must stand above the requester in this team, and never be the requester.")
            }
            guard request.approval != Approval.organizationAdmin.rawValue || credential.isAdministrator else {
                throw Problem(.forbidden, "The tier's rule asks for an administrator of the organization.")
            }
        }
        return .json { request.write(&$0) }
    }

    @Sendable func listAccessGrants(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<AccessGrantRecord, AccessGrantID> = PageQuery.listing(&query, AccessGrantRecord.orders, isNewestFirst: true)
        let filter = AccessFilter(
            project: query.optional("project", .id(ProjectKind.self)),
            state: query.optional("state", .word(AccessGrantState.self))?.rawValue,
            teams: exchange.reach.teams(query.optional("team", .id(TeamKind.self))))
        try query.finish()
        return try await exchange.page(
            store.accessGrants(of: exchange.organization, filter, at: exchange.now, listing)
        ) { $0.write(&$1) }
    }

    @Sendable func readAccessGrant(_ exchange: Exchange) async throws -> Response {
        let grant = try await store.accessGrant(exchange.id(AccessGrantKind.self), of: exchange.organization, at: exchange.now)
        return .json { grant.write(&$0) }
    }

    @Sendable func revokeAccessGrant(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let grant = try await store.revokeAccessGrant(exchange.id(AccessGrantKind.self), of: exchange.organization, at: exchange.now)
        return .json { grant.write(&$0) }
    }
}
