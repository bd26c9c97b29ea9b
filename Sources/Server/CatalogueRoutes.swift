/// `/v1/models` and `/v1/prices`: an organization's own beside the platform's; an operator changes the platform's.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    /// More tokens than any model takes: only a typing error goes beyond.
    private static let tokens = FieldRule.integer(1...1_000_000_000)
    private static let plainName = FieldRule.text(1...200).that("must not have *") { !$0.utf8.contains(UInt8(ascii: "*")) }
    private static let aliases: FieldRule<[String]> = .list(plainName, 0...50).that("must differ") { Set($0).count == $0.count }

    @Sendable func createModel(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", API.plainName)
        let provider = fields.require("provider", .text(1...100))
        let maxInputTokens = fields.optional("max_input_tokens", API.tokens)
        let maxOutputTokens = fields.optional("max_output_tokens", API.tokens)
        let aliases = fields.optional("aliases", API.aliases) ?? []
        let deprecatedAt = fields.optional("deprecated_at", .instant)
        try fields.finish()
        let model = try await store.createModel(
            ModelID(at: exchange.now), of: exchange.organization, name: name, provider: provider, maxInputTokens: maxInputTokens,
            maxOutputTokens: maxOutputTokens, aliases: aliases, deprecatedAt: deprecatedAt)
        return .json(.created, revision: model.revision) { model.write(&$0) }
    }

    @Sendable func listModels(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let (filter, listing) = (PageQuery.filter(&query), PageQuery.listing(&query, ModelRecord.orders) as Listing<_, ModelID>)
        let provider = query.optional("provider", .text(1...100))
        let owner = query.optional("owner", .word(CatalogueOwner.self))
        try query.finish()
        return try await exchange.page(
            store.models(
                visibleTo: exchange.organization, provider: provider, isOwn: owner.map { $0 == .organization }, filter, listing)
        ) {
            $0.write(&$1)
        }
    }

    @Sendable func readModel(_ exchange: Exchange) async throws -> Response {
        let model = try await store.model(exchange.id(ModelKind.self), visibleTo: exchange.organization)
        return .json(revision: model.revision) { model.write(&$0) }
    }

    @Sendable func changeModel(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let provider = fields.change("provider", .text(1...100))
        let maxInputTokens = fields.changeOrEmpty("max_input_tokens", API.tokens)
        let maxOutputTokens = fields.changeOrEmpty("max_output_tokens", API.tokens)
        let aliases = fields.change("aliases", API.aliases)
        let deprecatedAt = fields.changeOrEmpty("deprecated_at", .instant)
        try fields.finish()
        let model = try await store.changeModel(
            exchange.id(ModelKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision()
        ) {
            if let provider { $0.provider = provider }
            if let maxInputTokens { $0.maxInputTokens = maxInputTokens }
            if let maxOutputTokens { $0.maxOutputTokens = maxOutputTokens }
            if let aliases { $0.aliases = aliases }
            if let deprecatedAt { $0.deprecatedAt = deprecatedAt }
        }
        return .json(revision: model.revision) { model.write(&$0) }
    }

    @Sendable func archiveModel(_ exchange: Exchange) async throws -> Response {
        try await store.archiveModel(
            exchange.id(ModelKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision())
        return Response(status: .noContent)
    }

    @Sendable func restoreModel(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let model = try await store.restoreModel(exchange.id(ModelKind.self), of: exchange.organization)
        return .json(revision: model.revision) { model.write(&$0) }
    }

    @Sendable func createPrice(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let model = fields.require("model", .text(1...200))
        let kind = fields.require("usage_kind", .text(1...50).that("must be a usage kind such as input", Usage.isKind))
        let serviceTier = fields.optional("service_tier", .word(1...50)) ?? "standard"
        let contextFrom = fields.optional("context_from", .integer(0...1_000_000_000)) ?? 0
        let amount = fields.require("amount_per_million", .ratePerMillion)
        let validFrom = fields.optional("valid_from", .instant) ?? exchange.now
        let source = fields.optional("source", .text(1...500)) ?? "api"
        try fields.finish()
        let price = try await store.createPrice(
            NewPrice(
                id: PriceID(at: exchange.now), model: model, usageKind: kind, serviceTier: serviceTier, contextFrom: contextFrom,
                amountPerMillion: amount, validFrom: validFrom, source: source), of: exchange.organization)
        return .json(.created) { price.write(&$0) }
    }

    @Sendable func listPrices(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<PriceRecord, PriceID> = PageQuery.listing(&query, PriceRecord.orders)
        let model = query.optional("model", .text(1...200))
        let at = query.optional("at", .instant) ?? exchange.now
        try query.finish()
        let page = try await store.prices(
            visibleTo: exchange.organization, model: model, at: at, listing)
        return try exchange.page(page) { $0.write(&$1) }
    }

    @Sendable func readPrice(_ exchange: Exchange) async throws -> Response {
        let price = try await store.price(exchange.id(PriceKind.self), visibleTo: exchange.organization)
        return .json { price.write(&$0) }
    }
}

/// Whose a model is.
enum CatalogueOwner: String, CaseIterable {
    case organization, platform
}

extension ModelRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("owner", isPlatform ? "platform" : "organization")
            writer.field("name", name)
            writer.field("provider", provider)
            writer.field("max_input_tokens", maxInputTokens)
            writer.field("max_output_tokens", maxOutputTokens)
            writer.array("aliases", aliases)
            writer.field("deprecated_at", deprecatedAt)
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            writer.field("archived_at", archivedAt)
        }
    }
}

extension PriceRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("owner", isPlatform ? "platform" : "organization")
            writer.field("model", model)
            writer.field("usage_kind", usageKind)
            writer.field("service_tier", serviceTier)
            writer.field("context_from", contextFrom)
            writer.field("amount_per_million", amountPerMillion)
            writer.field("valid_from", validFrom)
            writer.field("valid_to", validTo)
            writer.field("source", source)
            writer.field("created_at", createdAt)
            writer.field("replaced_by", replacedBy)
        }
    }
}

extension FieldRule where Value == Amount {
    /// Six digits, so that the cost of any whole usage is exact (law 5); a bound under which no sum can overflow.
    static var ratePerMillion: FieldRule {
        writtenAmount(fractionDigits: 6).that("must be at most 1000000000") { $0 <= Amount(whole: 1_000_000_000) }
    }
}
