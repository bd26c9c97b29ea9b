/// Many rows in one bind, as an array of a composite type (`CREATE TYPE … AS`). An array for each column costs Postgres a function scan
/// each, and the sender a pass over the rows: measured, 25 rows of 23 columns take it half as long again that way.

/// Rows to stand inside `unnest(…)`: `"INSERT INTO teams SELECT * FROM unnest(\(rows, of: "new_team"))"`.
///
/// Only Postgres compares them with their type: it refuses another number of columns, or a column of another built-in type (42804).
public struct Rows: Sendable {
    /// The binary form of the array (array_send in arrayfuncs.c), and in it that of its rows (record_send in rowtypes.c).
    @usableFromInline var bytes: [UInt8] = []
    @usableFromInline var count: Int32 = 0
    @usableFromInline var columns: Int32 = 0

    /// - Parameter capacity: Bytes to have room for from the start.
    public init(capacity: Int = 1024) {
        bytes.reserveCapacity(capacity)
        bytes.append(bigEndian: Int32(1))  // dimensions
        bytes.append(bigEndian: Int32(0))  // no row is NULL
        bytes.append(bigEndian: UInt32(0))  // no built-in type: Postgres goes by the bind's
        bytes.append(bigEndian: count)
        bytes.append(bigEndian: Int32(1))  // lower bound
    }

    /// A row whose columns the body appends, in the order of the type.
    @inlinable public mutating func row(_ body: (inout Rows) -> Void) {
        let start = bytes.count
        columns = 0
        bytes.append(bigEndian: Int64(0))  // its length and the number of its columns
        body(&self)
        bytes.replace(at: start, bigEndian: Int32(bytes.count - start - 4))
        bytes.replace(at: start + 4, bigEndian: columns)
        count += 1
        bytes.replace(at: 12, bigEndian: count)
    }

    /// The row's next column.
    @inlinable public mutating func column<Value: PostgresEncodable>(_ value: Value) {
        bytes.append(bigEndian: Value.postgresType.oid)
        bytes.append(sized: value)
        columns += 1
    }
}

extension Array where Element == UInt8 {
    /// Writes an integer over four bytes, the most significant first.
    @inlinable mutating func replace(at offset: Int, bigEndian value: Int32) {
        self[offset] = UInt8(truncatingIfNeeded: value >> 24)
        self[offset + 1] = UInt8(truncatingIfNeeded: value >> 16)
        self[offset + 2] = UInt8(truncatingIfNeeded: value >> 8)
        self[offset + 3] = UInt8(truncatingIfNeeded: value)
    }
}
