/// What a statement gave back, copied out of libpq's memory at once so that nothing here can dangle.

/// The rows and the command tag of one statement.
public struct PostgresResult: Sendable, Sequence {
    /// The rows in the server's order; empty for statements that return none.
    public let rows: [Row]
    /// How many rows were inserted, updated, deleted or selected; 0 for other commands.
    public let affected: Int
    /// The server's command tag, such as `INSERT 0 1` or `COMMIT`.
    public let commandTag: String

    public func makeIterator() -> IndexingIterator<[Row]> { rows.makeIterator() }
}

/// One row of a result. Columns are read by position; the SQL names them, so it says their order too.
public struct Row: Sendable {
    @usableFromInline let table: ResultTable
    @usableFromInline let start: Int

    /// Reads all columns: `let (id, name) = try row.decode(as: (TeamID, String).self)`.
    ///
    /// Throws `.decoding`, naming column and expected type, for another number of columns, a column of another type, NULL where
    /// the Swift type is not optional, and values that do not fit.
    @inlinable public func decode<each Value: PostgresDecodable>(
        as types: (repeat each Value).Type
    ) throws(PostgresError) -> (repeat each Value) {
        var column = 0
        func next<T: PostgresDecodable>(_ type: T.Type) throws(PostgresError) -> T {
            defer { column += 1 }
            return try decode(column: column, as: type)
        }
        var wanted = 0
        for _ in repeat (each Value).self { wanted += 1 }
        try table.check(columns: wanted)
        return (repeat try next((each Value).self))
    }

    /// Reads the only column. Throws `.decoding` as above, also when there are more.
    @inlinable public func decode<Value: PostgresDecodable>(as type: Value.Type) throws(PostgresError) -> Value {
        try table.check(columns: 1)
        return try decode(column: 0, as: type)
    }

    /// Reads one column, counted from 0. For rows wider than a tuple should be; throws `.decoding` as above.
    @inlinable public func decode<Value: PostgresDecodable>(column: Int, as type: Value.Type) throws(PostgresError) -> Value {
        let info = try table.column(column)
        guard Value.accepts(oid: info.oid) else { throw table.wrongType(column, Value.postgresType) }
        let cell = table.cells[start + column]
        guard cell.length >= 0 else {
            guard let null = Value.postgresNull else {
                throw PostgresError.decoding("NULL").naming(column: info.name, type: Value.postgresType)
            }
            return null
        }
        do {
            let bytes = table.bytes
            let span = bytes.span
            return try Value(postgres: span.extracting(cell.offset..<cell.offset + cell.length))
        } catch {
            throw error.naming(column: info.name, type: Value.postgresType)
        }
    }
}

/// The names and types of a statement's columns; made once a prepared statement and shared by all its results.
@usableFromInline final class ResultColumns: Sendable {
    @usableFromInline struct Column: Sendable {
        @usableFromInline let name: String
        @usableFromInline let oid: UInt32
    }

    @usableFromInline let columns: [Column]

    init(_ columns: [Column]) { self.columns = columns }
}

/// All cells of one result in one buffer.
@usableFromInline final class ResultTable: Sendable {
    @usableFromInline struct Cell: Sendable {
        @usableFromInline let offset: Int
        /// −1 for NULL.
        @usableFromInline let length: Int
    }

    @usableFromInline let header: ResultColumns
    @usableFromInline let cells: [Cell]
    @usableFromInline let bytes: [UInt8]

    init(header: ResultColumns, cells: [Cell], bytes: [UInt8]) {
        self.header = header
        self.cells = cells
        self.bytes = bytes
    }

    @usableFromInline func check(columns wanted: Int) throws(PostgresError) {
        guard header.columns.count == wanted else {
            throw .decoding("the result has \(header.columns.count) columns, expected \(wanted)")
        }
    }

    @usableFromInline func column(_ index: Int) throws(PostgresError) -> ResultColumns.Column {
        guard header.columns.indices.contains(index) else { throw .decoding("the result has no column \(index)") }
        return header.columns[index]
    }

    @usableFromInline func wrongType(_ index: Int, _ expected: PostgresType) -> PostgresError {
        PostgresError.decoding("the column's type has object id \(header.columns[index].oid)")
            .naming(column: header.columns[index].name, type: expected)
    }
}
