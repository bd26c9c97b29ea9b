/// `/v1/reallocations`: an amount moves from one budget to another, by the word of the giving side and of an administrator.
import Budgets
import Hummingbird
import JSON
import Store

/// For how long an amount moves.
enum ReallocationLasting: String, CaseIterable {
    case thisPeriod = "this_period"
    case fromNowOn = "from_now_on"
}

/// The states that a list can be narrowed to; `ReallocationRecord.state` says which one a reallocation is in.
enum ReallocationState: String, CaseIterable {
    case requested, moved, denied, withdrawn, lapsed
}

extension API {
    @Sendable func requestReallocation(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let from = fields.require("from", .id(BudgetKind.self))
        let to = fields.require("to", .id(BudgetKind.self))
        let amount = fields.require("amount", .writtenAmount())
        let lasting = fields.require("lasting", .word(ReallocationLasting.self))
        let reason = fields.require("reason", .text(1...2000))
        if amount == .zero { fields.fault("amount", .outOfRange, "must be above 0") }
        try fields.finish()
        try await requireOneSide(from, to, exchange)
        let credential = exchange.credential
        let made = try await store.requestReallocation(
            NewReallocation(from: from, to: to, amount: amount, isForThisPeriod: lasting == .thisPeriod, reason: reason),
            of: exchange.organization, by: credential.actor, rank: { credential.rank(on: $0) }, at: exchange.now)
        return .json(.created) { made.write(&$0) }
    }

    /// Whoever asks looks after one of the two: to give from it, or to get more for it. A budget that does not exist is left to whoever
    /// looks it up.
    private func requireOneSide(_ from: BudgetID, _ to: BudgetID, _ exchange: Exchange) async throws {
        guard case .teams = exchange.reach else { return }
        let giving = try await store.owner(ofID: from.description, in: exchange.organization)
        let taking = try await store.owner(ofID: to.description, in: exchange.organization)
        guard let giving, let taking, !exchange.reach.covers(giving), !exchange.reach.covers(taking) else { return }
        throw Problem(.forbidden, "Your role reaches neither of the two budgets.")
    }

    /// Where who decides finds what waits: `?state=requested`.
    @Sendable func listReallocations(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<ReallocationRecord, ReallocationID> = PageQuery.listing(
            &query, ReallocationRecord.orders, isNewestFirst: true)
        let filter = ReallocationFilter(
            budget: query.optional("budget", .id(BudgetKind.self)), state: query.optional("state", .word(ReallocationState.self))?.rawValue,
            teams: exchange.reach.teams(query.optional("team", .id(TeamKind.self))))
        try query.finish()
        return try await exchange.page(
            store.reallocations(of: exchange.organization, filter, at: exchange.now, listing)
        ) { $0.write(&$1) }
    }

    @Sendable func readReallocation(_ exchange: Exchange) async throws -> Response {
        let found = try await store.reallocation(exchange.id(ReallocationKind.self), of: exchange.organization, at: exchange.now)
        return .json { found.write(&$0) }
    }

    @Sendable func approveReallocation(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let credential = exchange.credential
        let spoken = try await store.approveReallocation(
            exchange.id(ReallocationKind.self), of: exchange.organization, by: credential.actor, setBy: credential.apiKey, at: exchange.now
        ) { try credential.word(on: $0, speaker: $1) }
        return .json { spoken.write(&$0) }
    }

    @Sendable func denyReallocation(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.require("reason", .text(1...2000))
        try fields.finish()
        let credential = exchange.credential
        return try await end(.denied, exchange, reason) { request, requester in
            guard credential.mayDecide(requestOf: requester, rank: request.requesterRank, on: request.givingTeam),
                credential.isAdministrator || Store.looksAfter(credential.rank(on: request.givingTeam), request.givingTeam)
            else { throw Problem(.forbidden, "Who denies must stand above the requester, on the giving side or as an administrator.") }
        }
    }

    @Sendable func withdrawReallocation(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let credential = exchange.credential
        return try await end(.withdrawn, exchange, nil) { request, _ in
            guard credential.actor == request.requestedBy || credential.isAdministrator else {
                throw Problem(.forbidden, "Whoever asked takes it back, or an administrator.")
            }
        }
    }

    private func end(
        _ end: ReallocationEnd, _ exchange: Exchange, _ reason: String?, check: @Sendable (ReallocationRecord, Speaker) throws -> Void
    ) async throws -> Response {
        let ended = try await store.endReallocation(
            exchange.id(ReallocationKind.self), as: end, of: exchange.organization, by: exchange.credential.actor, reason: reason,
            at: exchange.now, check: check)
        return .json { ended.write(&$0) }
    }
}

extension Credential {
    /// Whose word this credential's approval is: an administrator's if that is still wanted, or else the giving side's. The two are of
    /// two people, neither of whom asked; whoever asks for the giving side has given by that.
    fileprivate func word(
        on request: ReallocationRecord, speaker: (String) throws -> Speaker
    ) throws -> ReallocationWord {
        guard mayDecide(requestOf: try speaker(request.requestedBy), rank: request.requesterRank, on: request.givingTeam) else {
            throw Problem(.forbidden, "Who approves must stand above the requester on the giving side, and never be the requester.")
        }
        // An administrator makes no second one of himself by making a key; that of a lead is the lead's, whoever made it.
        let spoken = try (given: request.givenBy.map(speaker), approved: request.approvedBy.map(speaker))
        let hasGiven = spoken.given.map { $0.actor == actor || (isAdministrator && makers.contains($0.actor)) } ?? false
        let hasApproved = spoken.approved.map { isAdministrator ? isSame(as: $0) : $0.actor == actor } ?? false
        if hasGiven || hasApproved {
            throw Problem(.forbidden, "You have spoken: the other word is another person's.")
        }
        if isAdministrator, request.approvedBy == nil { return .administrator }
        guard request.givenBy == nil else { throw Problem(.forbidden, "The giving side has spoken: an administrator's word is wanted.") }
        guard Store.looksAfter(rank(on: request.givingTeam), request.givingTeam) else {
            throw Problem(.forbidden, "A lead of the giving team gives it, or an administrator.")
        }
        return .giver
    }
}

extension ReallocationRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("from", from)
            writer.field("to", to)
            writer.field("amount", amount, in: unit)
            writer.field("lasting", (period == nil ? ReallocationLasting.fromNowOn : .thisPeriod).rawValue)
            writer.field("period_start", period?.start)
            writer.field("period_end", period?.end)
            writer.field("reason", reason)
            writer.field("requested_by", requestedBy)
            writer.field("requested_at", requestedAt)
            writer.field("lapses_at", lapsesAt)
            writer.field("state", state)
            writer.field("given_by", givenBy)
            writer.field("given_at", givenAt)
            writer.field("approved_by", approvedBy)
            writer.field("approved_at", approvedAt)
            writer.field("decided_by", decidedBy)
            writer.field("decided_at", decidedAt)
            writer.field("decision_reason", decisionReason)
        }
    }
}
