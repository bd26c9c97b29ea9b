/// `/v1/budgets/{id}/bursts`, `/v1/bursts` and the rails that requests run between.
import Budgets
import Hummingbird
import JSON
import Postgres
import Store

extension API {
    /// How long a burst may last: longer than that it is a budget.
    static let longestBurst: Int64 = 366 * 86_400

    @Sendable func requestBurst(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let amount = fields.require("amount", .writtenAmount())
        let reason = fields.require("reason", .text(1...2000))
        let startsAt = fields.optional("starts_at", .instant) ?? exchange.now
        let endsAt = fields.require("ends_at", .instant)
        let match = fields.optional("match", .match) ?? "{}"
        if amount == .zero { fields.fault("amount", .outOfRange, "must be above 0") }
        if endsAt <= max(startsAt, exchange.now) {
            fields.fault("ends_at", .outOfRange, "must be after starts_at and to come")
        } else if endsAt > startsAt.adding(seconds: API.longestBurst) {
            fields.fault("ends_at", .outOfRange, "must be within 366 days of starts_at")
        }
        let faulty = fields
        try fields.finish()
        let budget = try await store.budget(exchange.id(BudgetKind.self), of: exchange.organization)
        if budget.unit != .usd, !amount.isWhole {
            var faulty = faulty
            faulty.fault("amount", .invalidValue, "must be a whole number in this unit")
            try faulty.finish()
        }
        let credential = exchange.credential
        let burst = try await store.requestBurst(
            NewBurst(
                id: BurstID(at: exchange.now), budget: budget.id, amount: amount, match: JSONB(text: match), startsAt: startsAt,
                endsAt: endsAt, reason: reason), of: exchange.organization, requestedBy: credential.actor,
            rank: { credential.rank(on: $0) }, at: exchange.now)
        return .json(.created) { burst.write(&$0) }
    }

    @Sendable func listBudgetBursts(_ exchange: Exchange) async throws -> Response {
        try await bursts(of: exchange.id(BudgetKind.self), exchange)
    }

    /// Where who decides finds what waits: `?state=requested`.
    @Sendable func listBursts(_ exchange: Exchange) async throws -> Response {
        try await bursts(of: nil, exchange)
    }

    private func bursts(of budget: BudgetID?, _ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<BurstRecord, BurstID> = PageQuery.listing(&query, BurstRecord.orders, isNewestFirst: true)
        var filter = BurstFilter(budget: budget, state: query.optional("state", .word(BurstState.self))?.rawValue)
        if budget == nil { filter.teams = exchange.reach.teams(query.optional("team", .id(TeamKind.self))) }
        try query.finish()
        return try await exchange.page(store.bursts(of: exchange.organization, filter, at: exchange.now, listing)) { $0.write(&$1) }
    }

    @Sendable func readBurst(_ exchange: Exchange) async throws -> Response {
        let burst = try await store.burst(exchange.id(BurstKind.self), of: exchange.organization, at: exchange.now)
        return .json { burst.write(&$0) }
    }

    @Sendable func approveBurst(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.optional("reason", .text(1...2000))
        try fields.finish()
        return try await decide(.approve, exchange, reason)
    }

    @Sendable func denyBurst(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.require("reason", .text(1...2000))
        try fields.finish()
        return try await decide(.deny, exchange, reason)
    }

    @Sendable func withdrawBurst(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        return try await decide(.withdraw, exchange, nil)
    }

    @Sendable func revokeBurst(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.require("reason", .text(1...2000))
        try fields.finish()
        return try await decide(.revoke, exchange, reason)
    }

    private func decide(_ decision: BurstDecision, _ exchange: Exchange, _ reason: String?) async throws -> Response {
        let credential = exchange.credential
        let burst = try await store.decide(
            decision, on: exchange.id(BurstKind.self), of: exchange.organization, by: credential.actor, reason: reason, at: exchange.now
        ) { burst, requester, rails in
            switch decision {
            case .approve, .deny:
                guard credential.mayDecide(requestOf: requester, rank: burst.requesterRank, on: burst.team) else {
                    throw Problem(.forbidden, "Who decides must stand above the requester in this team, and never be the requester.")
                }
                guard decision == .approve else { return }
                if let refusal = rails.refusal(approving: burst.amount, rank: credential.rank(on: burst.team)) {
                    throw Problem(refused: refusal, unit: burst.unit)
                }
            case .withdraw:
                guard credential.rank(on: burst.team) >= burst.requesterRank else {
                    throw Problem(.forbidden, "Somebody above you asked for it.")
                }
            case .revoke: break  // less money is everybody's to ask for who may decide at all
            }
        }
        return .json { burst.write(&$0) }
    }

    @Sendable func reviewBurst(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let purpose = fields.require("purpose", .text(1...2000))
        let result = fields.require("result", .text(1...2000))
        let worthIt = fields.require("worth_it", .bool)
        let lessons = fields.optional("lessons", .text(1...2000))
        try fields.finish()
        let credential = exchange.credential
        let review = BurstReview(
            purpose: purpose, result: result, worthIt: worthIt, lessons: lessons, reviewedBy: credential.actor, reviewedAt: exchange.now)
        let burst = try await store.review(review, of: exchange.id(BurstKind.self), in: exchange.organization) { burst in
            guard credential.rank(on: burst.team) >= burst.requesterRank else {
                throw Problem(.forbidden, "Somebody above you asked for it.")
            }
        }
        return .json { burst.write(&$0) }
    }

    // MARK: rails

    @Sendable func readBurstRails(_ exchange: Exchange) async throws -> Response {
        let (rails, revision) = try await store.burstRails(of: nil, in: exchange.organization)
        return .json(revision: revision) { rails.write(&$0) }
    }

    @Sendable func replaceBurstRails(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let rails = BurstRails(&fields)
        try fields.finish()
        let revision = try await store.setBurstRails(
            rails, of: nil, in: exchange.organization, ifRevision: exchange.expectedRevision())
        return .json(revision: revision) { rails.write(&$0) }
    }

    @Sendable func readBudgetBurstRails(_ exchange: Exchange) async throws -> Response {
        let (rails, revision) = try await store.burstRails(of: exchange.id(BudgetKind.self), in: exchange.organization)
        return .json(revision: revision) { rails.write(&$0) }
    }

    @Sendable func replaceBudgetBurstRails(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let rails = BurstRails(&fields)
        try fields.finish()
        let revision = try await store.setBurstRails(
            rails, of: exchange.id(BudgetKind.self), in: exchange.organization, ifRevision: exchange.expectedRevision())
        return .json(revision: revision) { rails.write(&$0) }
    }
}
