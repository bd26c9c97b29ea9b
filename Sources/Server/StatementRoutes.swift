/// `/v1/statements`: a month's chargeback, summed up or as a file that finance can book.
import Budgets
import Chargeback
import Hummingbird
import JSON
import Store

extension API {
    /// Months that were proposed or closed, the youngest first.
    @Sendable func listStatements(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<StatementRecord, String> = PageQuery.listing(&query, StatementRecord.orders, isNewestFirst: true)
        let state = query.optional("state", .word(StatementState.self))
        try query.finish()
        return try await exchange.page(store.statements(of: exchange.organization, state: state, listing)) { $0.write(&$1) }
    }

    @Sendable func readStatement(_ exchange: Exchange) async throws -> Response {
        let export = try await StatementExport(store: statements, organization: exchange.organization)
        let summary = try await export.summary(month: try exchange.month())
        return .json { $0.value(summary) }
    }

    /// What lies beside an export. Of an open month it costs as much as the export.
    @Sendable func readManifest(_ exchange: Exchange) async throws -> Response {
        let month = try exchange.month()
        var fields = try exchange.query()
        let format = fields.optional("format", .word(StatementFormat.self)) ?? .csv
        try fields.finish()
        let export = try await StatementExport(store: statements, organization: exchange.organization)
        let manifest = try await export.manifest(format, month: month)
        return .json { $0.value(manifest) }
    }

    @Sendable func readJournalAccounts(_ exchange: Exchange) async throws -> Response {
        // In this order: whoever reads across a change and then writes is told so.
        let revision = try await store.journalAccountsRevision(of: exchange.organization)
        let accounts = try await store.journalAccounts(of: exchange.organization)
        return .json(revision: revision) { accounts.write(&$0) }
    }

    /// They stand in journals of months that are closed from now on.
    @Sendable func replaceJournalAccounts(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let accounts = JournalAccounts(
            expense: fields.require("expense", .text(1...100)), clearing: fields.require("clearing", .text(1...100)),
            costCenters: fields.optional("cost_centers", .accounts) ?? [:])
        try fields.finish()
        let revision = try await store.setJournalAccounts(
            accounts, of: exchange.organization, ifRevision: exchange.expectedRevision())
        return .json(revision: revision) { accounts.write(&$0) }
    }
}

extension JournalAccounts {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("expense", expense)
            writer.field("clearing", clearing)
            writer.object("cost_centers") { writer in
                for (center, account) in costCenters.sorted(by: { $0.key < $1.key }) {
                    writer.name(center)
                    writer.string(account)
                }
            }
        }
    }
}

extension FieldRule where Value == [String: String] {
    /// Accounts by cost centre.
    fileprivate static var accounts: FieldRule {
        FieldRule(placeholder: [:]) { json in
            guard case .object(let members) = json else { return .wrongType(json, "an object") }
            guard members.count <= 1000 else { return .fault(.outOfRange, "must have at most 1000 members") }
            var accounts: [String: String] = [:]
            for member in members {
                let rule = FieldRule<String>.text(1...100)
                guard case .success(let center) = rule.read(.string(member.name)), case .success(let account) = rule.read(member.value)
                else {
                    return .fault(.invalidValue, "must map cost centres to accounts, both texts of 1 to 100 characters")
                }
                accounts[center] = account
            }
            return .success(accounts)
        }
    }
}

extension Exchange {
    /// The month in the path; what is none names nothing.
    func month() throws(Problem) -> StatementMonth {
        guard let month = parameters.get("month").flatMap({ StatementMonth($0) }) else { throw Problem(.notFound) }
        return month
    }
}
