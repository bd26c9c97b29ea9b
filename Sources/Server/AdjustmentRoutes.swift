/// `/v1/adjustments`: amounts that people book beside the calls, with a reason, by one who asks and another who approves.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    /// How far back an adjustment may count: whoever reconciles a month does so in the next. The ledger's months of that time are there.
    static let oldestAdjustment: Int64 = 62 * 86_400

    @Sendable func requestAdjustment(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let kind = fields.require("kind", .word(ChargeKind.self))
        let project = fields.require("project", .id(ProjectKind.self))
        let written = fields.require("amount", .signedAmount)
        let reason = fields.require("reason", .text(1...2000))
        let feature = fields.optional("feature", .text(1...200))
        let occurredAt = fields.optional("occurred_at", .instant) ?? exchange.now
        if written == .zero || (kind.isAboveZero && written < .zero) {
            let cure = kind == .credit ? "must be above 0: a credit lowers the cost by it" : "must be above 0: a reversal takes it back"
            fields.fault("amount", .outOfRange, kind.isAboveZero ? cure : "must not be 0")
        }
        if kind == .unusedCommitment, feature == nil { fields.fault("feature", .missing, "is required: it names the commitment") }
        if occurredAt > exchange.now || occurredAt < exchange.now.adding(seconds: -API.oldestAdjustment) {
            fields.fault("occurred_at", .outOfRange, "must be within the last 62 days")
        }
        try fields.finish()
        let credential = exchange.credential
        let adjustment = try await store.requestAdjustment(
            NewAdjustment(
                id: AdjustmentID(at: exchange.now), kind: kind, project: project, feature: feature,
                amount: kind == .credit ? -written : written, reason: reason, occurredAt: occurredAt),
            of: exchange.organization, requestedBy: credential.actor, rank: credential.rank(on: nil), at: exchange.now)
        return .json(.created) { adjustment.write(&$0) }
    }

    @Sendable func listAdjustments(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<AdjustmentRecord, AdjustmentID> = PageQuery.listing(&query, AdjustmentRecord.orders, isNewestFirst: true)
        let project = query.optional("project", .id(ProjectKind.self))
        let state = query.optional("state", .word(AdjustmentRecord.State.self))
        try query.finish()
        return try await exchange.page(
            store.adjustments(of: exchange.organization, state: state, project: project, listing)
        ) { $0.write(&$1) }
    }

    @Sendable func readAdjustment(_ exchange: Exchange) async throws -> Response {
        let adjustment = try await store.adjustment(exchange.id(AdjustmentKind.self), of: exchange.organization)
        return .json { adjustment.write(&$0) }
    }

    @Sendable func approveAdjustment(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.optional("reason", .text(1...2000))
        try fields.finish()
        return try await decide(.approve, exchange, reason)
    }

    @Sendable func denyAdjustment(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.require("reason", .text(1...2000))
        try fields.finish()
        return try await decide(.deny, exchange, reason)
    }

    @Sendable func withdrawAdjustment(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        return try await decide(.withdraw, exchange, nil)
    }

    @Sendable func reverseAdjustment(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.require("reason", .text(1...2000))
        try fields.finish()
        let credential = exchange.credential
        let adjustment = try await store.requestReversal(
            of: exchange.id(AdjustmentKind.self), as: AdjustmentID(at: exchange.now), reason: reason, in: exchange.organization,
            requestedBy: credential.actor, rank: credential.rank(on: nil), at: exchange.now)
        return .json(.created) { adjustment.write(&$0) }
    }

    private func decide(_ decision: AdjustmentDecision, _ exchange: Exchange, _ reason: String?) async throws -> Response {
        let credential = exchange.credential
        let adjustment = try await store.decide(
            decision, on: exchange.id(AdjustmentKind.self), of: exchange.organization, by: credential.actor, apiKey: credential.apiKey,
            reason: reason, at: exchange.now
        ) { request, requester in
            if decision == .withdraw {
                guard credential.rank(on: nil) >= request.requesterRank else {
                    throw Problem(.forbidden, "Somebody above you asked for it.")
                }
            } else if !credential.mayDecide(requestOf: requester, rank: request.requesterRank, on: nil) {
                throw Problem(.forbidden, "Who decides must stand above the requester, and never be the requester.")
            }
        }
        return .json { adjustment.write(&$0) }
    }
}

extension AdjustmentRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("kind", kind.rawValue)
            writer.field("state", state.rawValue)
            writer.field("project", project)
            writer.field("feature", feature)
            writer.field("amount", amount)
            writer.field("reason", reason)
            writer.field("occurred_at", occurredAt)
            writer.field("reverses", reverses)
            writer.field("requested_by", requestedBy)
            writer.field("requested_at", requestedAt)
            writer.field("decided_by", decidedBy)
            writer.field("decided_at", decidedAt)
            writer.field("decision_reason", decisionReason)
        }
    }
}

extension FieldRule where Value == Amount {
    /// A decimal as a string, below zero too.
    fileprivate static var signedAmount: FieldRule {
        text("a decimal string from -1000000000 to 1000000000", placeholder: .zero) { text in
            let bound = Amount(whole: 1_000_000_000)
            guard text.utf8.count <= 40, let amount = Amount(text), amount <= bound, amount >= -bound else { return nil }
            return amount
        }
    }
}
