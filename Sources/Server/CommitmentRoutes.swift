/// `/v1/commitments`: what was paid to a provider in advance, and what each month draws on it.
import Budgets
import Chargeback
import Hummingbird
import JSON
import Store

extension API {
    /// How long a term may be, in days: five years, as providers sell them for three at most.
    static let longestTerm: Int64 = 1826

    @Sendable func createCommitment(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let provider = fields.require("provider", .text(1...100))
        let models = fields.optional("models", .list(.pattern, 0...100)) ?? []
        let amount = fields.require("amount", .price)
        let fromDate = fields.require("from_date", .date)
        let untilDate = fields.require("until_date", .date)
        let purchaseMonth = fields.optional("purchase_month", .month)
        let invoice = fields.optional("invoice", .text(1...200))
        if provider == BookingKind.ownProvider { fields.fault("provider", .invalidValue, "must be one that models have") }
        let firstMonth = StatementMonth(year: fromDate.year, month: fromDate.month) ?? .last
        if fields.faults.isEmpty {
            if !(1...API.longestTerm).contains(untilDate.daysSinceEpoch - fromDate.daysSinceEpoch) {
                let cure = "must be 1 to \(API.longestTerm) days after from_date: the first day after the term"
                fields.fault("until_date", .outOfRange, cure)
            }
            if let purchaseMonth, purchaseMonth > firstMonth {
                fields.fault("purchase_month", .outOfRange, "cannot be after the month of from_date")
            }
        }
        try fields.finish()
        let record = try await store.createCommitment(
            NewCommitment(
                id: CommitmentID(at: exchange.now), name: name, provider: provider, models: models, amount: amount, fromDate: fromDate,
                untilDate: untilDate, purchaseMonth: purchaseMonth ?? firstMonth, invoice: invoice),
            of: exchange.organization)
        return .json(.created, revision: record.revision) { record.write(&$0) }
    }

    @Sendable func listCommitments(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<CommitmentRecord, CommitmentID> = PageQuery.listing(&query, CommitmentRecord.orders)
        let provider = query.optional("provider", .text(1...100))
        let state = query.optional("state", .word(CommitmentState.self))
        try query.finish()
        return try await exchange.page(
            store.commitments(of: exchange.organization, provider: provider, state: state, listing)
        ) { $0.write(&$1) }
    }

    @Sendable func readCommitment(_ exchange: Exchange) async throws -> Response {
        let record = try await store.commitment(exchange.id(CommitmentKind.self), of: exchange.organization)
        return .json(revision: record.revision) { record.write(&$0) }
    }

    /// As if it had never been bought; refused once a closed month has it.
    @Sendable func cancelCommitment(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let record = try await store.cancelCommitment(
            exchange.id(CommitmentKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision(), at: exchange.now)
        return .json(revision: record.revision) { record.write(&$0) }
    }

    /// Of an open month it costs as much as an export.
    @Sendable func readStatementCommitments(_ exchange: Exchange) async throws -> Response {
        let export = try await StatementExport(store: statements, organization: exchange.organization)
        let months = try await export.commitments(month: try exchange.month())
        return .json { $0.value(months) }
    }
}

extension FieldRule where Value == Amount {
    /// What was paid for something: whole cents.
    fileprivate static var price: FieldRule {
        text("a decimal string above 0, at most 1000000000, in whole cents", placeholder: .zero) { text in
            guard text.utf8.count <= 40, let amount = Amount(text), amount > .zero, amount <= Amount(whole: 1_000_000_000),
                amount.pico % 10_000_000_000 == 0
            else { return nil }
            return amount
        }
    }
}

extension FieldRule where Value == CivilDate {
    /// A day that there are statements for.
    fileprivate static var date: FieldRule {
        text("a day such as 2026-11-30, of the years 1970 to 2199", placeholder: CivilDate(daysSinceEpoch: 0)) { text in
            CivilDate(text).flatMap { (1970...2199).contains($0.year) ? $0 : nil }
        }
    }
}

extension CommitmentRecord {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", name)
            writer.field("provider", provider)
            writer.array("models", models.map(\.description))
            writer.field("amount", amount)
            writer.field("from_date", fromDate.description)
            writer.field("until_date", untilDate.description)
            writer.field("purchase_month", purchaseMonth.description)
            writer.field("invoice", invoice)
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            writer.field("cancelled_at", cancelledAt)
        }
    }
}
