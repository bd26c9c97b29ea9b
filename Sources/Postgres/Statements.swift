/// Which SQL a connection has prepared. Bounded, so that neither side's memory grows with every SQL text ever seen.

/// A statement prepared, or being prepared, on one connection.
final class Statement {
    let sql: String
    /// Its name on the server; never used twice on a connection.
    let name: String
    /// The binds' types it was prepared with.
    let types: [UInt32]
    /// Its result's columns, once seen; they cannot change while it stays prepared.
    var columns: ResultColumns?
    /// The server has answered that it exists.
    var isReady = false
    /// It was dropped from the register: no later exchange may use it.
    var isForgotten = false
    var lastUse: UInt64 = 0

    init(sql: String, name: String, types: [UInt32]) {
        self.sql = sql
        self.name = name
        self.types = types
    }
}

/// The prepared statements of one connection by their SQL text; the least recently used goes first.
struct Statements {
    /// Far above the number of SQL texts in Bursar, and at a few ten kB each on the server still small.
    static let bound = 256

    private var bySQL: [String: Statement] = [:]
    private var uses: UInt64 = 0
    private var prepared: UInt64 = 0
    /// Names that the server still has and that nothing uses any more.
    private(set) var leftovers: [String] = []

    /// The statement for a query, and whether it has to be prepared first.
    mutating func statement(for query: Query) -> (statement: Statement, isNew: Bool) {
        uses += 1
        if let known = bySQL[query.sql] {
            // The same literal with values of other types is another statement: its binary binds would be misread.
            if known.types == query.types {
                known.lastUse = uses
                return (known, false)
            }
            forget(known)
        }
        if bySQL.count >= Statements.bound, let oldest = bySQL.values.min(by: { $0.lastUse < $1.lastUse }) { forget(oldest) }
        prepared += 1
        let new = Statement(sql: query.sql, name: "s\(prepared)", types: query.types)
        new.lastUse = uses
        bySQL[query.sql] = new
        return (new, true)
    }

    /// Drops a statement; one that the server has is deallocated with the next exchange.
    mutating func forget(_ statement: Statement) {
        guard !statement.isForgotten else { return }
        statement.isForgotten = true
        if bySQL[statement.sql] === statement { bySQL[statement.sql] = nil }
        if statement.isReady { leftovers.append(statement.name) }
    }

    /// Notes that the server has the statement, even if it was dropped in the meantime.
    mutating func confirm(_ statement: Statement) {
        statement.isReady = true
        if statement.isForgotten { leftovers.append(statement.name) }
    }

    /// Notes that the server no longer has a leftover.
    mutating func deallocated(_ name: String) { leftovers.removeAll { $0 == name } }
}
