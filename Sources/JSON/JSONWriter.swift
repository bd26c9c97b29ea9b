/// Writing JSON fast: bytes are appended to one array, commas come by themselves, nothing in between is allocated.

/// Appends one JSON text to a byte array. The caller keeps begin and end, names and values in order; nothing checks that but tests.
///
///     var writer = JSONWriter()
///     writer.object { writer in
///         writer.field("id", id.description)
///         writer.array("data") { writer in for name in names { writer.string(name) } }
///     }
///     send(writer.bytes)
public struct JSONWriter: Sendable {
    /// What has been written so far.
    public var bytes: [UInt8] { written }
    @usableFromInline var written: [UInt8] = []
    @usableFromInline var needsComma = false

    public init(capacity: Int = 512) { written.reserveCapacity(capacity) }

    // MARK: Nesting

    @inlinable public mutating func beginObject() { begin(UInt8(ascii: "{")) }
    @inlinable public mutating func endObject() { end(UInt8(ascii: "}")) }
    @inlinable public mutating func beginArray() { begin(UInt8(ascii: "[")) }
    @inlinable public mutating func endArray() { end(UInt8(ascii: "]")) }

    /// An object whose members the body writes.
    @inlinable public mutating func object(_ body: (inout JSONWriter) throws -> Void) rethrows {
        beginObject()
        try body(&self)
        endObject()
    }

    /// An array whose elements the body writes.
    @inlinable public mutating func array(_ body: (inout JSONWriter) throws -> Void) rethrows {
        beginArray()
        try body(&self)
        endArray()
    }

    @inlinable public mutating func object(_ name: StaticString, _ body: (inout JSONWriter) throws -> Void) rethrows {
        self.name(name)
        try object(body)
    }

    @inlinable public mutating func array(_ name: StaticString, _ body: (inout JSONWriter) throws -> Void) rethrows {
        self.name(name)
        try array(body)
    }

    // MARK: Members of objects

    /// A member's name, known in advance: plain ASCII without anything to escape.
    @inlinable public mutating func name(_ name: StaticString) {
        comma()
        written.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { written.append(contentsOf: $0) }
        written.append(UInt8(ascii: "\""))
        written.append(UInt8(ascii: ":"))
    }

    /// A member's name from data.
    public mutating func name(_ name: String) {
        string(name)
        written.append(UInt8(ascii: ":"))
        needsComma = false
    }

    public mutating func field(_ name: StaticString, _ value: String) {
        self.name(name)
        string(value)
    }

    /// The string, or `null`.
    public mutating func field(_ name: StaticString, _ value: String?) {
        self.name(name)
        if let value { string(value) } else { null() }
    }

    public mutating func field(_ name: StaticString, _ value: Bool) {
        self.name(name)
        bool(value)
    }

    public mutating func field(_ name: StaticString, _ value: Int64) {
        self.name(name)
        number(value)
    }

    /// The number, or `null`.
    public mutating func field(_ name: StaticString, _ value: Int64?) {
        self.name(name)
        if let value { number(value) } else { null() }
    }

    public mutating func field(_ name: StaticString, _ value: JSON) {
        self.name(name)
        self.value(value)
    }

    // MARK: Values

    public mutating func null() { raw("null") }
    public mutating func bool(_ value: Bool) { raw(value ? "true" : "false") }

    public mutating func number(_ value: Int64) {
        prefix()
        // Small numbers are the rule; this spares them a String.
        if (0..<10).contains(value) {
            written.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value))
        } else {
            written.append(contentsOf: String(value).utf8)
        }
    }

    /// A number by its text, which must be one of RFC 8259.
    public mutating func number(text: String) {
        prefix()
        written.append(contentsOf: text.utf8)
    }

    public mutating func string(_ value: String) {
        prefix()
        written.append(UInt8(ascii: "\""))
        var value = value
        value.withUTF8 { utf8 in
            var plain = 0
            for index in utf8.indices {
                let byte = utf8[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                written.append(contentsOf: utf8[plain..<index])
                appendEscape(of: byte)
                plain = index + 1
            }
            written.append(contentsOf: utf8[plain..<utf8.count])
        }
        written.append(UInt8(ascii: "\""))
    }

    /// A string whose bytes the body appends: printable ASCII without quotes and backslashes, such as ids, times and amounts.
    @inlinable public mutating func plainString(_ append: (inout [UInt8]) -> Void) {
        prefix()
        written.append(UInt8(ascii: "\""))
        append(&written)
        written.append(UInt8(ascii: "\""))
    }

    public mutating func value(_ value: JSON) {
        switch value {
        case .null: null()
        case .bool(let value): bool(value)
        case .number(let text): number(text: text)
        case .string(let text): string(text)
        case .array(let elements):
            beginArray()
            for element in elements { self.value(element) }
            endArray()
        case .object(let members):
            beginObject()
            for member in members {
                name(member.name)
                self.value(member.value)
            }
            endObject()
        }
    }

    /// Bytes that are a whole JSON value already, such as a jsonb column.
    public mutating func raw(bytes value: some Collection<UInt8>) {
        prefix()
        written.append(contentsOf: value)
    }

    private mutating func raw(_ text: StaticString) {
        prefix()
        text.withUTF8Buffer { written.append(contentsOf: $0) }
    }

    @inlinable mutating func begin(_ bracket: UInt8) {
        comma()
        written.append(bracket)
    }

    @inlinable mutating func end(_ bracket: UInt8) {
        written.append(bracket)
        needsComma = true
    }

    @inlinable mutating func prefix() {
        if needsComma { written.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    @inlinable mutating func comma() {
        if needsComma { written.append(UInt8(ascii: ",")) }
        needsComma = false
    }

    private mutating func appendEscape(of byte: UInt8) {
        written.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): written.append(byte)
        case 0x08: written.append(UInt8(ascii: "b"))
        case 0x0C: written.append(UInt8(ascii: "f"))
        case 0x0A: written.append(UInt8(ascii: "n"))
        case 0x0D: written.append(UInt8(ascii: "r"))
        case 0x09: written.append(UInt8(ascii: "t"))
        default:
            written.append(contentsOf: "u00".utf8)
            written.append(UInt8(ascii: "0") + (byte >> 4))
            let low = byte & 0xF
            written.append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
        }
    }
}

extension JSON {
    /// This value as one line of JSON text.
    public var bytes: [UInt8] {
        var writer = JSONWriter()
        writer.value(self)
        return writer.bytes
    }

    /// This value as one line of JSON text.
    public var text: String { String(decoding: bytes, as: UTF8.self) }
}
