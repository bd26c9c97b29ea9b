/// `/v1/tiers`.
import Budgets
import Hummingbird
import JSON
import Store

/// Who must approve access to a tier.
enum Approval: String, CaseIterable {
    case none
    case teamLead = "team_lead"
    case organizationAdmin = "organization_admin"
}

extension API {
    private static let models = FieldRule.list(.pattern, 1...200)
    private static let rank = FieldRule.integer(1...1000)
    private static let maxTokens = FieldRule.integer(1...1_000_000_000)
    private static let maxRequests = FieldRule.integer(1...1_000_000_000)

    @Sendable func createTier(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let rank = fields.require("rank", API.rank)
        let models = fields.require("models", API.models)
        let approval = fields.optional("approval", .word(Approval.self)) ?? .none
        let maxOutputTokens = fields.require("max_output_tokens", API.maxTokens)
        let maxInputTokens = fields.optional("max_input_tokens", API.maxTokens)
        let maxRequestsPerMinute = fields.optional("max_requests_per_minute", API.maxRequests)
        try fields.finish()
        let tier = try await store.createTier(
            TierID(at: exchange.now), of: exchange.organization, name: name, rank: rank, models: models, approval: approval.rawValue,
            maxOutputTokens: maxOutputTokens, maxInputTokens: maxInputTokens, maxRequestsPerMinute: maxRequestsPerMinute,
            setBy: exchange.credential.apiKey)
        return .json(.created, revision: tier.revision) { tier.write(&$0) }
    }

    @Sendable func listTiers(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let (filter, listing) = (PageQuery.filter(&query), PageQuery.listing(&query, TierRecord.orders) as Listing<_, TierID>)
        try query.finish()
        let today = try await store.modelsByTier(of: exchange.organization)
        return try await exchange.page(store.tiers(of: exchange.organization, filter, listing)) {
            $0.write(resolvingTo: today[$0.id], &$1)
        }
    }

    @Sendable func readTier(_ exchange: Exchange) async throws -> Response {
        let tier = try await store.tier(exchange.id(TierKind.self), of: exchange.organization)
        let today = try await store.modelsByTier(of: exchange.organization)
        return .json(revision: tier.revision) { tier.write(resolvingTo: today[tier.id], &$0) }
    }

    @Sendable func changeTier(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.change("name", .text(1...200))
        let rank = fields.change("rank", API.rank)
        let models = fields.change("models", API.models)
        let approval = fields.change("approval", .word(Approval.self))
        let maxOutputTokens = fields.change("max_output_tokens", API.maxTokens)
        let maxInputTokens = fields.changeOrEmpty("max_input_tokens", API.maxTokens)
        let maxRequestsPerMinute = fields.changeOrEmpty("max_requests_per_minute", API.maxRequests)
        try fields.finish()
        let tier = try await store.changeTier(
            exchange.id(TierKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision(),
            setBy: exchange.credential.apiKey
        ) {
            if let name { $0.name = name }
            if let rank { $0.rank = rank }
            if let models { $0.models = models }
            if let approval { $0.approval = approval.rawValue }
            if let maxOutputTokens { $0.maxOutputTokens = maxOutputTokens }
            if let maxInputTokens { $0.maxInputTokens = maxInputTokens }
            if let maxRequestsPerMinute { $0.maxRequestsPerMinute = maxRequestsPerMinute }
        }
        return .json(revision: tier.revision) { tier.write(&$0) }
    }

    @Sendable func archiveTier(_ exchange: Exchange) async throws -> Response {
        try await store.archiveTier(
            exchange.id(TierKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision())
        return Response(status: .noContent)
    }

    @Sendable func restoreTier(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let tier = try await store.restoreTier(
            exchange.id(TierKind.self), of: exchange.organization, setBy: exchange.credential.apiKey)
        return .json(revision: tier.revision) { tier.write(&$0) }
    }
}

extension TierRecord {
    /// How many names an answer shows: more than anyone reads.
    private static let mostShown = 1000

    /// - Parameter today: what the patterns, those of lower tiers included, resolve to today.
    func write(resolvingTo today: [String]? = nil, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", name)
            writer.field("rank", rank)
            writer.array("models", models)
            if let today {
                writer.field("model_count", Int64(today.count))
                writer.array("models_today", Array(today.prefix(TierRecord.mostShown)))
            }
            writer.field("approval", approval)
            writer.field("max_output_tokens", maxOutputTokens)
            writer.field("max_input_tokens", maxInputTokens)
            writer.field("max_requests_per_minute", maxRequestsPerMinute)
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            writer.field("archived_at", archivedAt)
        }
    }
}
