/// What the exports of closed months are, byte for byte: written down when one is first made, and compared with ever after.
public import Budgets
import Postgres

/// An export's size and hash.
public struct StatementFile: Hashable, Sendable {
    public let byteCount: Int64
    /// Records without the header.
    public let rowCount: Int64
    /// 32 bytes.
    public let sha256: [UInt8]

    public init(byteCount: Int64, rowCount: Int64, sha256: [UInt8]) {
        self.byteCount = byteCount
        self.rowCount = rowCount
        self.sha256 = sha256
    }

    /// The hash in hexadecimal.
    public var hash: String { Bytea(sha256).hexadecimal }
}

extension Store {
    /// The file of a frozen statement in a form; nil when it was never made.
    public func statementFile(of statement: StatementID, edition: Int64, _ format: String, in organization: OrganizationID) async throws
        -> StatementFile?
    {
        try await read { connection in
            try connection.query(
                """
                SELECT bytes, rows, sha256 FROM statement_files
                WHERE organization_id = \(organization) AND statement_id = \(statement) AND edition = \(edition) AND format = \(format)
                """
            ).rows.first.map { row in
                let (bytes, rows, hash) = try row.decode(as: (Int64, Int64, Bytea).self)
                return StatementFile(byteCount: bytes, rowCount: rows, sha256: hash.bytes)
            }
        }
    }

    /// Writes down what a file is. The first word stands.
    public func keep(
        _ file: StatementFile, of statement: StatementID, edition: Int64, _ format: String, in organization: OrganizationID
    ) async throws {
        _ = try await transaction { connection in
            try connection.query(
                """
                INSERT INTO statement_files (organization_id, statement_id, edition, format, bytes, rows, sha256)
                VALUES (\(organization), \(statement), \(edition), \(format), \(file.byteCount), \(file.rowCount), \(Bytea(file.sha256)))
                ON CONFLICT DO NOTHING
                """)
        }
    }
}
