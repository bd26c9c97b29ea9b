/// The plain values: truth, whole numbers, text, bytes, JSON and points in time.

extension Bool: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { .bool }
    public func encode(into bytes: inout [UInt8]) { bytes.append(self ? 1 : 0) }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        guard bytes.count == 1, bytes[0] <= 1 else { throw .decoding("not one byte of 0 or 1") }
        self = bytes[0] == 1
    }
}

extension Int64: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { .int8 }
    public func encode(into bytes: inout [UInt8]) { bytes.append(bigEndian: self) }
    /// int8, int4 and int2 all fit.
    public static func accepts(oid: UInt32) -> Bool {
        oid == PostgresType.int8.oid || oid == PostgresType.int4.oid || oid == PostgresType.int2.oid
    }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        switch bytes.count {
        case 8: self = bytes.integer(as: Int64.self)
        case 4: self = Int64(bytes.integer(as: Int32.self))
        case 2: self = Int64(bytes.integer(as: Int16.self))
        default: throw .decoding("\(bytes.count) bytes are no whole number")
        }
    }
}

extension Int: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { .int8 }
    public func encode(into bytes: inout [UInt8]) { bytes.append(bigEndian: Int64(self)) }
    /// int8, int4 and int2 all fit.
    public static func accepts(oid: UInt32) -> Bool { Int64.accepts(oid: oid) }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) { self = Int(try Int64(postgres: bytes)) }
}

extension Int32: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { .int4 }
    public func encode(into bytes: inout [UInt8]) { bytes.append(bigEndian: self) }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        guard bytes.count == 4 else { throw .decoding("\(bytes.count) bytes, not 4") }
        self = bytes.integer()
    }
}

extension Int16: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { .int2 }
    public func encode(into bytes: inout [UInt8]) { bytes.append(bigEndian: self) }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        guard bytes.count == 2 else { throw .decoding("\(bytes.count) bytes, not 2") }
        self = bytes.integer()
    }
}

/// Binds as text. A NUL inside is refused by the server (22021), as Postgres has no such text; nothing is cut off.
extension String: PostgresEncodable, PostgresDecodable {
    public static var postgresType: PostgresType { .text }
    public func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: utf8) }
    /// text, varchar, char(n) and name.
    public static func accepts(oid: UInt32) -> Bool {
        oid == PostgresType.text.oid || oid == PostgresType.varchar.oid || oid == PostgresType.bpchar.oid
            || oid == PostgresType.name.oid
    }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        // The session's encoding is UTF8, which the server checks; repairing costs nothing where nothing is broken.
        self = unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
    }
}

/// Raw bytes, `bytea`. A type of its own so that a list of bytes is never taken for an array of numbers.
public struct Bytea: Hashable, Sendable, PostgresEncodable, PostgresDecodable {
    /// The content.
    public var bytes: [UInt8]

    /// Wraps bytes.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Two lower-case digits a byte.
    public var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    public static var postgresType: PostgresType { .bytea }
    public func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: self.bytes) }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        self.bytes = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
    }
}

/// JSON text in a `jsonb` column. The server checks it and returns its own spelling of the same value.
public struct JSONB: Hashable, Sendable, PostgresEncodable, PostgresDecodable {
    /// The JSON text in UTF-8: hot columns are written and read as bytes.
    public var bytes: [UInt8]
    /// The JSON text.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Wraps JSON text, unchecked; the server refuses what is no JSON.
    public init(text: String) { bytes = Array(text.utf8) }
    /// Wraps JSON text in UTF-8, unchecked.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    public static var postgresType: PostgresType { .jsonb }
    public func encode(into bytes: inout [UInt8]) {
        bytes.append(JSONB.version)
        bytes.append(contentsOf: self.bytes)
    }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        guard bytes.count > 1, bytes[0] == JSONB.version else { throw .decoding("unknown jsonb version") }
        self.bytes = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0.dropFirst()) }
    }

    /// The first byte of the binary form (jsonb.c, jsonb_send).
    private static let version: UInt8 = 1
}

/// JSON text in a `text` column, where nobody but Bursar reads it: the server neither checks nor takes it apart.
public struct JSONText: Hashable, Sendable, PostgresEncodable, PostgresDecodable {
    /// The JSON text in UTF-8.
    public var bytes: [UInt8]

    /// Wraps JSON text in UTF-8, unchecked.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    public static var postgresType: PostgresType { .text }
    public func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: self.bytes) }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        self.bytes = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
    }
}

/// A `timestamptz`: whole microseconds since 1970-01-01T00:00:00Z. `infinity` is refused: no point in time is called that.
public struct Timestamp: Hashable, Sendable, PostgresEncodable, PostgresDecodable {
    /// Microseconds since 1970-01-01T00:00:00Z.
    public var microseconds: Int64

    /// Wraps microseconds since 1970. Postgres keeps 4713 BC to 294276 AD and refuses the rest (22008).
    public init(microseconds: Int64) { self.microseconds = microseconds }

    public static var postgresType: PostgresType { .timestamptz }
    public func encode(into bytes: inout [UInt8]) {
        let (value, overflow) = microseconds.subtractingReportingOverflow(Timestamp.postgresEpoch)
        // Int64.min would be read as -infinity; the value after it is refused by the server as out of range, which is the truth.
        bytes.append(bigEndian: overflow || value == Int64.min ? Int64.min + 1 : value)
    }
    public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        guard bytes.count == 8 else { throw .decoding("\(bytes.count) bytes, not 8") }
        let value = bytes.integer(as: Int64.self)
        guard value != Int64.max, value != Int64.min else { throw .decoding("infinity is no point in time") }
        let (sum, overflow) = value.addingReportingOverflow(Timestamp.postgresEpoch)
        guard !overflow else { throw .decoding("a time after the year 294246") }
        microseconds = sum
    }

    /// 2000-01-01T00:00:00Z, from where Postgres counts, in microseconds since 1970.
    private static let postgresEpoch: Int64 = 946_684_800_000_000
}
