/// `/v1/cost-splits`: who shares what a project spends for all.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func createCostSplit(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let source = fields.require("source", .id(ProjectKind.self))
        let method = fields.require("method", .word(SplitMethod.self))
        let receivers = fields.require("receivers", .list(.receiver, 1...200))
        let fromMonth = fields.require("from_month", .month)
        let untilMonth = fields.optional("until_month", .month)
        let projects = Set(receivers.map(\.project))
        if projects.count < receivers.count || projects.contains(source) {
            fields.fault("receivers", .invalidValue, "must name each project once, and not the source")
        }
        let percents = receivers.compactMap(\.percent)
        let isWhole = percents.count == receivers.count && percents.reduce(.zero, +) == Amount(whole: 100)
        if method == .percent ? !isWhole : !percents.isEmpty {
            fields.fault(
                "receivers", .invalidValue, "must have a percent each, 100 in all, with the method percent, and none with the others")
        }
        if let untilMonth, untilMonth < fromMonth { fields.fault("until_month", .outOfRange, "cannot be before from_month") }
        try fields.finish()
        let split = CostSplit(id: CostSplitID(at: exchange.now), source: source, method: method, receivers: receivers)
        let record = try await store.createCostSplit(
            NewCostSplit(
                split: split, name: name, fromMonth: fromMonth, untilMonth: untilMonth, setBy: exchange.credential.apiKey),
            of: exchange.organization)
        return .json(.created, revision: record.revision) { record.write(&$0) }
    }

    @Sendable func listCostSplits(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<CostSplitRecord, CostSplitID> = PageQuery.listing(&query, CostSplitRecord.orders)
        try query.finish()
        return try await exchange.page(store.costSplits(of: exchange.organization, listing)) { $0.write(&$1) }
    }

    @Sendable func readCostSplit(_ exchange: Exchange) async throws -> Response {
        let record = try await store.costSplit(exchange.id(CostSplitKind.self), of: exchange.organization)
        return .json(revision: record.revision) { record.write(&$0) }
    }

    /// A rule ends, or holds on: nothing else of it changes.
    @Sendable func endCostSplit(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let untilMonth = fields.changeOrEmpty("until_month", .month)
        if untilMonth == nil { fields.fault("until_month", .missing, "is required; null: it holds on") }
        try fields.finish()
        let record = try await store.endCostSplit(
            exchange.id(CostSplitKind.self), of: exchange.organization, until: untilMonth ?? nil, ifRevision: exchange.expectedRevision())
        return .json(revision: record.revision) { record.write(&$0) }
    }
}

extension FieldRule where Value == CostSplit.Receiver {
    fileprivate static var receiver: FieldRule {
        .fields { fields in
            let project = fields.require("project", .id(ProjectKind.self))
            let percent = fields.optional(
                "percent", .amount(fractionDigits: 4).that("must be above 0 and at most 100") { $0 > .zero && $0 <= Amount(whole: 100) })
            return CostSplit.Receiver(project: project, percent: percent)
        }
    }
}

extension CostSplitRecord {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", split.id)
            writer.field("name", name)
            writer.field("source", split.source)
            writer.field("method", split.method.rawValue)
            writer.array("receivers") { writer in
                for receiver in split.receivers {
                    writer.object { writer in
                        writer.field("project", receiver.project)
                        writer.field("percent", receiver.percent?.plain)
                    }
                }
            }
            writer.field("from_month", fromMonth.description)
            writer.field("until_month", untilMonth?.description)
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
        }
    }
}
