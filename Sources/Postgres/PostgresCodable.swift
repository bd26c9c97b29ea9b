/// How Swift values become binary Postgres values and back (PostgreSQL 15 manual §55.7: "format code one"). Binary because
/// text parameters end at the first NUL and because a checked length and type beat parsing.

/// A Postgres data type, by the object ids that are the same in every database (pg_type.dat).
public struct PostgresType: Hashable, Sendable {
    /// The type's object id; 0 when there is no such type.
    public let oid: UInt32
    /// The object id of the array of this type; 0 when there is none.
    public let arrayOID: UInt32
    /// The name for people, as in SQL.
    public let name: String

    /// Names a type; the object ids must be the built-in ones.
    public init(oid: UInt32, arrayOID: UInt32, name: String) {
        self.oid = oid
        self.arrayOID = arrayOID
        self.name = name
    }

    public static let bool = PostgresType(oid: 16, arrayOID: 1000, name: "bool")
    public static let bytea = PostgresType(oid: 17, arrayOID: 1001, name: "bytea")
    public static let name = PostgresType(oid: 19, arrayOID: 1003, name: "name")
    public static let int8 = PostgresType(oid: 20, arrayOID: 1016, name: "int8")
    public static let int2 = PostgresType(oid: 21, arrayOID: 1005, name: "int2")
    public static let int4 = PostgresType(oid: 23, arrayOID: 1007, name: "int4")
    public static let text = PostgresType(oid: 25, arrayOID: 1009, name: "text")
    public static let bpchar = PostgresType(oid: 1042, arrayOID: 1014, name: "char")
    public static let varchar = PostgresType(oid: 1043, arrayOID: 1015, name: "varchar")
    public static let timestamptz = PostgresType(oid: 1184, arrayOID: 1185, name: "timestamptz")
    public static let numeric = PostgresType(oid: 1700, arrayOID: 1231, name: "numeric")
    public static let uuid = PostgresType(oid: 2950, arrayOID: 2951, name: "uuid")
    public static let jsonb = PostgresType(oid: 3802, arrayOID: 3807, name: "jsonb")

    /// The type of arrays of this one; its own `arrayOID` is 0: Postgres arrays of arrays are not supported here.
    public var array: PostgresType { PostgresType(oid: arrayOID == 0 ? PostgresType.none : arrayOID, arrayOID: 0, name: name + "[]") }

    /// No type's object id: it cannot be bound.
    static let none = UInt32.max
    /// Instead of an object id: what the SQL casts the bind to.
    static let asWritten: UInt32 = 0
}

/// A value that can be bound to a query.
public protocol PostgresEncodable: Sendable {
    /// The type the server is told the bind has.
    static var postgresType: PostgresType { get }
    /// Appends the binary form, without the length word in front of it. Not called when `isPostgresNull`.
    func encode(into bytes: inout [UInt8])
    /// Whether this value is SQL NULL; only `Optional` ever says yes.
    var isPostgresNull: Bool { get }
}

/// A value that can be read from a column.
public protocol PostgresDecodable: Sendable {
    /// The type a column should have.
    static var postgresType: PostgresType { get }
    /// Reads the binary form. Throws `PostgresError.decoding` when the length or the content is not right.
    init(postgres bytes: Span<UInt8>) throws(PostgresError)
    /// Whether a column of the type with this object id can be read; by default only `postgresType`'s.
    static func accepts(oid: UInt32) -> Bool
    /// What SQL NULL is read as; nil (the default) when NULL is refused. Only `Optional` answers.
    static var postgresNull: Self? { get }
}

extension PostgresEncodable {
    @inlinable public var isPostgresNull: Bool { false }
}

extension PostgresDecodable {
    @inlinable public static func accepts(oid: UInt32) -> Bool { oid == postgresType.oid }
    @inlinable public static var postgresNull: Self? { nil }
}

extension Array where Element == UInt8 {
    /// Appends an integer with its most significant byte first, as the Postgres protocol wants it.
    @inlinable public mutating func append(bigEndian value: some FixedWidthInteger) {
        unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe append(contentsOf: $0) }
    }
}

extension Span where Element == UInt8 {
    /// Reads an integer at an offset, most significant byte first; traps beyond the end, so check `count` before.
    @inlinable public func integer<Value: FixedWidthInteger>(at offset: Int = 0, as type: Value.Type = Value.self) -> Value {
        precondition(offset >= 0 && offset + MemoryLayout<Value>.size <= count)
        return unsafe withUnsafeBytes { unsafe Value(bigEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    }
}
