/// The second wall between tenants (law 8): each transaction states whose rows it is about, and row-level security (`Migrations/…_walls.sql`)
/// shows and takes no others, whatever the statements say.
public import Budgets
public import Postgres

/// Whose rows a transaction sees and writes.
public enum Tenants: Hashable, Sendable {
    /// For work that is nobody's own: finding whose an API key is, sweeping, checking, delivering, and what operators do to all.
    case everyone
    case only([OrganizationID])

    /// Holds until the end of the Postgres transaction.
    public var statement: Query { "SELECT set_config('bursar.organizations', \(text), true)" }

    /// Holds for the session, once its transaction has committed.
    public var lastingStatement: Query { "SELECT set_config('bursar.organizations', \(text), false)" }

    private var text: String {
        switch self {
        case .everyone: "*"
        case .only(let organizations): "{\(organizations.map(\.hexadecimal).joined(separator: ","))}"
        }
    }
}

/// A pool on whose connections every transaction states the same tenants.
public struct TenantPool: Sendable {
    let pool: PostgresPool
    let tenants: Tenants

    /// As `PostgresPool.withConnection`.
    public func withConnection<Value: Sendable>(
        deadline: Duration = .seconds(5), _ body: @Sendable (isolated PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let statement = tenants.statement
        return try await pool.withConnection(deadline: deadline) { connection in
            connection.preamble = statement
            return try await body(connection)
        }
    }

    /// As `PostgresPool.shutdown`.
    public func shutdown() async { await pool.shutdown() }
}

extension PostgresConfiguration {
    /// For sessions all of whose transactions are about everyone.
    public var forEveryone: PostgresConfiguration {
        var everyone = self
        everyone.settings["bursar.organizations"] = "*"
        everyone.alteringSQL = nil  // takes the first wall away, and here is no second one
        return everyone
    }
}
