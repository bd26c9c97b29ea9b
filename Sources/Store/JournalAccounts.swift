/// Where an organization's finance books chargeback.
public import Budgets
import JSON
import Postgres

/// General-ledger accounts of an organization.
public struct JournalAccounts: Hashable, Sendable {
    /// Debited for cost centres without an account of their own.
    public var expense: String
    /// Credited with the sum.
    public var clearing: String
    /// Debited instead, by cost centre.
    public var costCenters: [String: String]

    /// What stands in journals until finance says otherwise.
    public static let unset = JournalAccounts(expense: "LLM-EXPENSE", clearing: "LLM-CLEARING", costCenters: [:])

    public init(expense: String, clearing: String, costCenters: [String: String]) {
        self.expense = expense
        self.clearing = clearing
        self.costCenters = costCenters
    }

    /// `{"expense":"6400","clearing":"2400","cost_centers":{"CC-4410":"6410"}}`
    var column: JSONB {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("expense", expense)
            writer.field("clearing", clearing)
            writer.name("cost_centers")
            writer.raw(bytes: centers.bytes)
        }
        return JSONB(bytes: writer.bytes)
    }

    fileprivate var centers: JSONB {
        JSONB(bytes: JSON.object(costCenters.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }).bytes)
    }

    init(column: JSONB) throws(PostgresError) {
        guard let members = (try? JSON.parse(column.bytes))?.object, let expense = members["expense"]?.string,
            let clearing = members["clearing"]?.string, let centers = members["cost_centers"]?.object
        else { throw .decoding("journal accounts that are none") }
        self.init(
            expense: expense, clearing: clearing,
            costCenters: Dictionary(centers.map { ($0.name, $0.value.string ?? "") }) { first, _ in first })
    }
}

extension Store {
    public func journalAccounts(of organization: OrganizationID) async throws -> JournalAccounts {
        try await read { connection in try Store.journalAccounts(of: organization, connection) }
    }

    /// Of the accounts: 0 until somebody sets some.
    public func journalAccountsRevision(of organization: OrganizationID) async throws -> Int64 {
        try await read { connection in try Store.journalAccountsRevision(of: organization, connection) }
    }

    /// Replaces them, and returns their new revision.
    public func setJournalAccounts(
        _ accounts: JournalAccounts, of organization: OrganizationID, ifRevision: Int64?
    ) async throws -> Int64 {
        try await transaction { connection in
            // No decision of the engine rests on them: the fence is held, so that two changes follow each other, and not raised.
            try connection.query("SELECT organization_id FROM fences WHERE organization_id = \(organization) FOR UPDATE")
            let revision = try Store.journalAccountsRevision(of: organization, connection)
            try Store.check(revision: revision, archivedAt: nil, against: ifRevision)
            try connection.query(
                """
                INSERT INTO journal_accounts (organization_id, expense, clearing, cost_centers, revision)
                VALUES (\(organization), \(accounts.expense), \(accounts.clearing), \(accounts.centers), \(revision + 1))
                ON CONFLICT (organization_id) DO UPDATE
                SET expense = EXCLUDED.expense, clearing = EXCLUDED.clearing, cost_centers = EXCLUDED.cost_centers,
                    revision = EXCLUDED.revision
                """)
            return revision + 1
        }
    }

    private static func journalAccountsRevision(
        of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> Int64 {
        let rows = try connection.query("SELECT revision FROM journal_accounts WHERE organization_id = \(organization)").rows
        return try rows.first?.decode(as: Int64.self) ?? 0
    }

    static func journalAccounts(of organization: OrganizationID, _ connection: isolated PostgresConnection) throws -> JournalAccounts {
        let rows = try connection.query(
            """
            SELECT jsonb_build_object('expense', expense, 'clearing', clearing, 'cost_centers', cost_centers) FROM journal_accounts
            WHERE organization_id = \(organization)
            """
        ).rows
        return try rows.first.map { try JournalAccounts(column: try $0.decode(as: JSONB.self)) } ?? .unset
    }
}
