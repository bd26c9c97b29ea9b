/// `/v1/estimates`: what a feature would cost on each model, before it is launched. `/v1/unmapped-usage`: what providers reported and
/// nothing billed.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    /// Models in one answer: all that anybody compares (law 11).
    private static let mostEstimates: Int64 = 200
    /// Ten years of a billion calls a day: with the largest usage below, still an exact amount.
    private static let calls = FieldRule.integer(1...1_000_000_000)
    private static let days = FieldRule.integer(1...3660)

    @Sendable func estimate(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        var project = exchange.credential.project
        if let named = fields.optional("project", .id(ProjectKind.self)) {
            if let own = project, own != named { fields.fault("project", .invalidValue, "is not the project of this API key") }
            project = named
        }
        let usage = fields.require(
            "usage", .usage.that("must have at most 1000000000 of a kind") { $0.quantities.allSatisfy { $0.quantity <= 1_000_000_000 } })
        let callsPerDay = fields.require("calls_per_day", API.calls)
        let days = fields.optional("days", API.days) ?? 30
        let models = fields.optional("models", .list(.pattern, 1...50)) ?? []
        let serviceTier = fields.optional("service_tier", .word(1...50)) ?? Rate.standardTier
        let limit = fields.optional("limit", .integer(1...API.mostEstimates)) ?? 20
        try fields.finish()
        if let project { try await require(project, exchange) }
        let configuration = try await store.configuration(of: exchange.organization)
        if let project, configuration.projects[project] == nil { throw Problem(.projectUnknown) }
        let estimates = configuration.estimates(
            of: usage, calls: callsPerDay * days, serviceTier: serviceTier, project: project, models: models.compactMap { Pattern($0) },
            at: exchange.now)
        return .json { writer in
            writer.object { writer in
                writer.field("calls", callsPerDay * days)
                writer.field("models", Int64(estimates.count))
                writer.field("unpriced_models", Int64(estimates.count { $0.total == nil }))
                writer.array("data") { writer in
                    for estimate in estimates.prefix(Int(limit)) { estimate.write(callsPerDay, &writer) }
                }
            }
        }
    }

    @Sendable func listUnmappedUsage(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<UnmappedUsage, String> = PageQuery.listing(&query, UnmappedUsage.orders, isNewestFirst: true)
        let model = query.optional("model", .text(1...200))
        try query.finish()
        return try await exchange.page(store.unmappedUsage(of: exchange.organization, model: model, listing)) { field, writer in
            writer.object { writer in
                writer.field("model", field.model)
                writer.field("field", field.field)
                writer.field("entries", field.entries)
                writer.field("first_seen_at", field.firstSeenAt)
                writer.field("last_seen_at", field.lastSeenAt)
            }
        }
    }
}

extension Estimate {
    fileprivate func write(_ callsPerDay: Int64, _ writer: inout JSONWriter) {
        func money(_ name: StaticString, _ amount: Money?, _ writer: inout JSONWriter) {
            if let amount { writer.field(name, amount) } else { writer.field(name, JSON.null) }
        }
        writer.object { writer in
            writer.field("model", model.name)
            writer.field("provider", model.provider)
            writer.field("allowed", isAllowed)
            money("cost_per_call", perCall, &writer)
            money("cost_per_day", perCall?.multiplied(by: callsPerDay), &writer)
            money("cost", total, &writer)
            writer.array("unpriced", unpriced)
        }
    }
}
