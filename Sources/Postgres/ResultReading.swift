/// Copies results and errors out of libpq's memory.
import CPostgres

extension PostgresResult {
    /// Copies everything; the columns' names only the first time a statement is run.
    init(result: OpaquePointer, statement: Statement) {
        let rowCount = unsafe PQntuples(result)
        let columnCount = unsafe PQnfields(result)
        commandTag = unsafe String(cString: PQcmdStatus(result))
        affected = unsafe Int(String(cString: PQcmdTuples(result))) ?? 0
        guard rowCount > 0 else {
            rows = []
            return
        }
        let header: ResultColumns
        if let known = statement.columns {
            header = known
        } else {
            header = ResultColumns(
                (0..<columnCount).map { column in
                    unsafe ResultColumns.Column(name: String(cString: PQfname(result, column)), oid: PQftype(result, column))
                })
            statement.columns = header
        }
        var cells: [ResultTable.Cell] = []
        cells.reserveCapacity(Int(rowCount * columnCount))
        var size = 0
        for row in 0..<rowCount {
            for column in 0..<columnCount {
                let length = unsafe PQgetisnull(result, row, column) == 1 ? -1 : Int(PQgetlength(result, row, column))
                cells.append(ResultTable.Cell(offset: size, length: length))
                if length > 0 { size += length }
            }
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        for row in 0..<rowCount {
            for column in 0..<columnCount {
                let length = cells[Int(row * columnCount + column)].length
                guard length > 0 else { continue }
                unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: PQgetvalue(result, row, column), count: length))
            }
        }
        let table = ResultTable(header: header, cells: cells, bytes: bytes)
        rows = (0..<Int(rowCount)).map { Row(table: table, start: $0 * Int(columnCount)) }
    }
}

extension PostgresError {
    /// Reads an error result. Without an SQLSTATE it is libpq speaking: the connection is lost.
    init(result: OpaquePointer) {
        func field(_ code: Int) -> String? {
            unsafe PQresultErrorField(result, Int32(code)).map { unsafe String(cString: $0) }
        }
        guard let sqlState = field(BURSAR_DIAG_SQLSTATE) else {
            self.init(.connection, "the connection was lost")
            return
        }
        self = .server(
            sqlState: sqlState, message: field(BURSAR_DIAG_MESSAGE) ?? "", detail: field(BURSAR_DIAG_DETAIL),
            table: field(BURSAR_DIAG_TABLE), constraint: field(BURSAR_DIAG_CONSTRAINT))
    }

    /// A prepared statement that a schema change has overtaken, or that the server no longer has: prepare it again.
    func isStalePlan(_ result: OpaquePointer) -> Bool {
        if sqlState == "26000" { return true }
        guard sqlState == "0A000", let function = unsafe PQresultErrorField(result, Int32(BURSAR_DIAG_FUNCTION)) else { return false }
        return unsafe String(cString: function) == "RevalidateCachedQuery"
    }

    /// COMMIT was answered with ROLLBACK: something inside had failed and nobody listened.
    static let commitRefused = PostgresError(.server, "COMMIT was answered with ROLLBACK", sqlState: "25P02")
}
