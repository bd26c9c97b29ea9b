/// Who spent most of what a budget counts: the first question of everybody who reads an alert.
public import Budgets
import Postgres

public struct TopSpender: Sendable, Equatable {
    /// What it is: a team, a project or an API key, whichever stands right below the budget's scope.
    public let dimension: SpendDimension
    /// In its text form: `team_…`, `prj_…`, `key_…`.
    public let id: String
    /// What it is called today.
    public let name: String
    public let cost: Money

    public init(dimension: SpendDimension, id: String, name: String, cost: Money) {
        self.dimension = dimension
        self.id = id
        self.name = name
        self.cost = cost
    }
}

extension Store {
    /// Whoever right below the budget's scope spent most since then, up to the end of the quarter of an hour that `now` lies in: the
    /// team of an organization, the project of a team, the API key of a project. An alert waits for it, so Postgres is given half a
    /// second.
    ///
    /// Nil when nobody can be named: for budgets that count only some calls, or one subject's, or something else than money (roll-ups
    /// know neither end users nor all that a match may ask for), and for periods that begin between two quarters of an hour.
    public func topSpender(
        of budget: BudgetID, in organization: OrganizationID, since start: Instant, at now: Instant
    ) async throws -> TopSpender? {
        let quarter: Int64 = 900
        let span = StatementSpan(start: start, end: Instant(seconds: (now.seconds / quarter + 1) * quarter))
        guard span.isOfQuarters else { return nil }
        return try await pool.withConnection { connection in
            try connection.transaction { connection in
                try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                try connection.query("SET LOCAL statement_timeout = '500ms'")
                let found = try connection.query(
                    """
                    SELECT team_id, project_id FROM budgets
                    WHERE organization_id = \(organization) AND id = \(budget) AND match = '{}' AND per IS NULL AND unit = 'usd'
                    """)
                guard let row = found.rows.first else { return nil }
                let (team, project) = try row.decode(as: (TeamID?, ProjectID?).self)
                // What the scope is, and what stands below it.
                let dimensions: [SpendDimension] = project != nil ? [.project, .apiKey] : team != nil ? [.team, .project] : [.team]
                let scope = project?.hexadecimal ?? team?.hexadecimal
                let position = try RollUps.position(of: organization, on: connection)
                // The largest comes first.
                for row in try connection.query(SpendReport.query(organization, [span], dimensions, position)).rows {
                    let columns = try row.decode(as: (Int64, String, String, String?, String?, Int64, Money).self)
                    guard let dimension = dimensions.last, scope.map({ $0 == columns.1 }) ?? true else { continue }
                    let (id, name) = scope == nil ? (columns.1, columns.3) : (columns.2, columns.4)
                    guard let name, columns.6 > .zero else { return nil }
                    return TopSpender(dimension: dimension, id: "\(dimension.idPrefix)_\(id)", name: name, cost: columns.6)
                }
                return nil
            }
        }
    }
}

extension SpendDimension {
    /// Of those that a top spender can be.
    fileprivate var idPrefix: String {
        switch self {
        case .team: "team"
        case .project: "prj"
        default: "key"
        }
    }
}
