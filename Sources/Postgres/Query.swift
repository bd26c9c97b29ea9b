/// SQL whose values cannot be anything but binds: the literal parts of an interpolated string are the SQL, each `\(value)` is a
/// numbered parameter. There is deliberately no way to splice text into the SQL.

/// One statement and its binary binds: `"SELECT name FROM teams WHERE id = \(id)"`.
///
/// The same literal always gives the same SQL text, under which a connection keeps it prepared.
public struct Query: Hashable, Sendable, ExpressibleByStringInterpolation {
    /// The statement with `$1`, `$2` … where values were interpolated.
    public let sql: String
    /// The binds' types in order.
    @usableFromInline let types: [UInt32]
    /// Where each bind's bytes end in `bytes`; negative (`~end`) for NULL.
    @usableFromInline let ends: [Int]
    /// All binds' bytes one after another.
    @usableFromInline let bytes: [UInt8]

    public init(stringLiteral value: String) {
        sql = value
        types = []
        ends = []
        bytes = []
    }

    public init(stringInterpolation interpolation: StringInterpolation) {
        sql = interpolation.sql
        types = interpolation.types
        ends = interpolation.ends
        bytes = interpolation.bytes
    }

    /// Collects the SQL and the binds.
    public struct StringInterpolation: StringInterpolationProtocol, Sendable {
        @usableFromInline var sql = ""
        @usableFromInline var types: [UInt32] = []
        @usableFromInline var ends: [Int] = []
        @usableFromInline var bytes: [UInt8] = []

        public init(literalCapacity: Int, interpolationCount: Int) {
            sql.reserveCapacity(literalCapacity + interpolationCount * 3)
            types.reserveCapacity(interpolationCount)
            ends.reserveCapacity(interpolationCount)
            bytes.reserveCapacity(interpolationCount * 24)
        }

        public mutating func appendLiteral(_ literal: String) { sql += literal }

        /// Binds a value, or NULL. Apart from the next one only because the compiler warns of optionals in interpolations otherwise.
        @inlinable public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
            appendBind(value)
        }

        /// Binds a value as the next parameter.
        @inlinable public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value) {
            appendBind(value)
        }

        /// Binds rows of that composite type.
        public mutating func appendInterpolation(_ rows: Rows, of type: StaticString) {
            types.append(PostgresType.asWritten)
            sql += "$\(types.count)::\(type)[]"
            bytes += rows.bytes
            ends.append(bytes.count)
        }

        /// Puts the parts of a longer statement in, with a comma between them; their binds are numbered on.
        public mutating func appendInterpolation(list parts: [Query]) {
            for (index, part) in parts.enumerated() {
                if index > 0 { sql += ", " }
                sql += part.sql(numberedFrom: types.count)
                ends += part.ends.map { $0 < 0 ? ~(~$0 + bytes.count) : $0 + bytes.count }
                types += part.types
                bytes += part.bytes
            }
        }

        @inlinable mutating func appendBind<Value: PostgresEncodable>(_ value: Value) {
            types.append(Value.postgresType.oid)
            sql += "$"
            sql += String(types.count)
            if value.isPostgresNull {
                ends.append(~bytes.count)
            } else {
                value.encode(into: &bytes)
                ends.append(bytes.count)
            }
        }
    }

    /// The SQL with `$1` as the parameter after so many others. In static SQL a `$` is nothing but the mark of a bind.
    private func sql(numberedFrom shift: Int) -> String {
        guard shift > 0 else { return sql }
        let pieces = sql.utf8.split(separator: UInt8(ascii: "$"), omittingEmptySubsequences: false)
        precondition(pieces.count == types.count + 1, "a $ that is no bind")
        var renumbered = ""
        renumbered.reserveCapacity(sql.utf8.count + types.count)
        for (index, piece) in pieces.enumerated() {
            if index == 0 {
                renumbered += Substring(piece)
            } else {
                renumbered += "$\(shift + index)"
                renumbered += Substring(piece.drop { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
            }
        }
        return renumbered
    }

    /// The most binds the protocol can count (a 16-bit field of the Bind message).
    static let maximumBinds = 65_535

    /// What keeps this query from being sent, if anything.
    func check() throws(PostgresError) {
        guard types.count <= Query.maximumBinds else {
            throw PostgresError(.encoding, "\(types.count) binds; the protocol allows \(Query.maximumBinds), use arrays").about(sql)
        }
        guard bytes.count <= Int(Int32.max) else { throw PostgresError(.encoding, "binds of more than 2 GiB").about(sql) }
        guard !types.contains(PostgresType.none) else { throw PostgresError(.encoding, "arrays of arrays cannot be bound").about(sql) }
    }

    /// Whether this is a COMMIT (or END), after which a lost connection leaves the outcome unknown.
    var isCommit: Bool {
        guard let first = sql.utf8.first(where: { $0 > 0x20 }), first | 0x20 == 0x63 || first | 0x20 == 0x65 else { return false }
        let word = sql.prefix { $0.isLetter || $0.isWhitespace }.split(whereSeparator: \.isWhitespace).first?.lowercased()
        return word == "commit" || word == "end"
    }

    /// Whether no query may come before it in its transaction: what begins it or says of what kind it is, and what gives it up.
    var comesFirst: Bool { sql.hasPrefix("BEGIN") || sql.hasPrefix("SET TRANSACTION") || sql == Query.rollback.sql }

    static let begin: Query = "BEGIN"
    static let commit: Query = "COMMIT"
    static let rollback: Query = "ROLLBACK"
}
