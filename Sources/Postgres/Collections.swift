/// Optionals (SQL NULL) and one-dimensional arrays of every other type; arrays are how a batch travels in one bind (`unnest`).

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    @inlinable public static var postgresType: PostgresType { Wrapped.postgresType }
    @inlinable public var isPostgresNull: Bool { self == nil }
    @inlinable public func encode(into bytes: inout [UInt8]) { self?.encode(into: &bytes) }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    @inlinable public static var postgresType: PostgresType { Wrapped.postgresType }
    @inlinable public static func accepts(oid: UInt32) -> Bool { Wrapped.accepts(oid: oid) }
    @inlinable public static var postgresNull: Wrapped?? { .some(nil) }
    @inlinable public init(postgres bytes: Span<UInt8>) throws(PostgresError) { self = try Wrapped(postgres: bytes) }
}

/// The binary form (array_send in arrayfuncs.c): dimensions, a flag for NULLs, the element type, then length and lower bound
/// of the one dimension, then each element with its length in front, −1 for NULL.
extension Array: PostgresEncodable where Element: PostgresEncodable {
    public static var postgresType: PostgresType { Element.postgresType.array }

    @inlinable public func encode(into bytes: inout [UInt8]) {
        bytes.append(bigEndian: Int32(isEmpty ? 0 : 1))
        bytes.append(bigEndian: Int32(contains(where: \.isPostgresNull) ? 1 : 0))
        bytes.append(bigEndian: Element.postgresType.oid)
        guard !isEmpty else { return }
        bytes.append(bigEndian: Int32(count))
        bytes.append(bigEndian: Int32(1))
        for element in self { bytes.append(sized: element) }
    }
}

extension Array: PostgresDecodable where Element: PostgresDecodable {
    public static var postgresType: PostgresType { Element.postgresType.array }

    /// Arrays whose elements can be read; which those are is checked against the element type inside the value.
    public static func accepts(oid: UInt32) -> Bool {
        oid == postgresType.oid || PostgresType.arrays.contains { $0.arrayOID == oid && Element.accepts(oid: $0.oid) }
    }

    @inlinable public init(postgres bytes: Span<UInt8>) throws(PostgresError) {
        guard bytes.count >= 12 else { throw .decoding("an array's header is cut short") }
        guard Element.accepts(oid: bytes.integer(at: 8, as: UInt32.self)) else { throw .decoding("elements of another type") }
        let dimensions = bytes.integer(at: 0, as: Int32.self)
        self = []
        if dimensions == 0 { return }
        guard dimensions == 1, bytes.count >= 20 else { throw .decoding("an array of \(dimensions) dimensions") }
        let count = Int(bytes.integer(at: 12, as: Int32.self))
        // Each element has at least its length word, so a count beyond that is a lie that must not reserve memory.
        guard count >= 0, count <= (bytes.count - 20) / 4 else { throw .decoding("an array's length is wrong") }
        reserveCapacity(count)
        var offset = 20
        for _ in 0..<count {
            guard bytes.count - offset >= 4 else { throw .decoding("an array is cut short") }
            let length = Int(bytes.integer(at: offset, as: Int32.self))
            offset += 4
            if length < 0 {
                guard let null = Element.postgresNull else { throw .decoding("NULL in an array of values") }
                append(null)
            } else {
                guard bytes.count - offset >= length else { throw .decoding("an array is cut short") }
                append(try Element(postgres: bytes.extracting(offset..<offset + length)))
                offset += length
            }
        }
        guard offset == bytes.count else { throw .decoding("bytes after an array's end") }
    }
}

extension PostgresType {
    /// The types whose arrays can be read.
    static let arrays: [PostgresType] = [
        .bool, .bytea, .name, .int8, .int2, .int4, .text, .bpchar, .varchar, .timestamptz, .numeric, .uuid, .jsonb,
    ]
}

extension Array where Element == UInt8 {
    /// Appends an array element: its length, −1 for NULL, and its bytes.
    @inlinable mutating func append(sized value: some PostgresEncodable) {
        guard !value.isPostgresNull else { return append(bigEndian: Int32(-1)) }
        let start = count
        append(bigEndian: Int32(0))
        value.encode(into: &self)
        replace(at: start, bigEndian: Int32(count - start - 4))
    }
}
