/// Strict parsing of RFC 8259: what this accepts, every other reader understands the same way.

/// Why a text is no JSON, and where.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Reason: String, Hashable, Sendable {
        case unexpectedEnd = "the text ends too early"
        case unexpectedByte = "unexpected character"
        case trailingBytes = "something follows the value"
        case tooDeep = "nested too deeply"
        case duplicateName = "an object has the same name twice"
        case badNumber = "not a number as JSON writes them"
        case badEscape = "not an escape sequence"
        case loneSurrogate = "half a surrogate pair"
        case controlCharacter = "a control character in a string must be escaped"
        case badUTF8 = "not UTF-8"
    }

    /// Bytes from the start of the text.
    public let offset: Int
    public let reason: Reason

    public var description: String { "\(reason.rawValue) at byte \(offset)" }
}

extension JSON {
    /// Reads one JSON text. Refuses what RFC 8259 leaves open: invalid UTF-8, lone surrogates, duplicate names, and nesting beyond
    /// `maximumDepth` (a bound on the stack, law 11). A byte order mark is refused too.
    public static func parse(_ bytes: [UInt8], maximumDepth: Int = 64) throws(JSONError) -> JSON {
        var parser = Parser(bytes: bytes, maximumDepth: maximumDepth)
        return try parser.text()
    }

    /// Reads one JSON text from a string.
    public static func parse(_ text: String, maximumDepth: Int = 64) throws(JSONError) -> JSON {
        try parse(Array(text.utf8), maximumDepth: maximumDepth)
    }
}

struct Parser {
    let bytes: [UInt8]
    let maximumDepth: Int
    var position = 0

    init(bytes: [UInt8], maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    func fail(_ reason: JSONError.Reason, at offset: Int? = nil) -> JSONError { JSONError(offset: offset ?? position, reason: reason) }

    mutating func text() throws(JSONError) -> JSON {
        skipSpace()
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw fail(.trailingBytes) }
        return value
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSON {
        guard position < bytes.count else { throw fail(.unexpectedEnd) }
        switch bytes[position] {
        case UInt8(ascii: "{"):
            guard depth < maximumDepth else { throw fail(.tooDeep) }
            return .object(try object(depth: depth + 1))
        case UInt8(ascii: "["):
            guard depth < maximumDepth else { throw fail(.tooDeep) }
            return .array(try array(depth: depth + 1))
        case UInt8(ascii: "\""):
            return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return .number(try number())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: throw fail(.unexpectedByte)
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSON.Object {
        position += 1
        var members: [JSON.Object.Member] = []
        var names: Set<String> = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return JSON.Object() }
        while true {
            let start = position
            guard peek() == UInt8(ascii: "\"") else { throw unexpected() }
            let name = try string()
            // Walking a few names is cheaper than hashing them; many names must not cost their square.
            if members.count < 16 {
                for member in members where member.name == name { throw fail(.duplicateName, at: start) }
            } else {
                if names.isEmpty { names = Set(members.map(\.name)) }
                guard names.insert(name).inserted else { throw fail(.duplicateName, at: start) }
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw unexpected() }
            skipSpace()
            members.append(.init(name: name, value: try value(depth: depth)))
            skipSpace()
            if take(UInt8(ascii: ",")) {
                skipSpace()
                continue
            }
            guard take(UInt8(ascii: "}")) else { throw unexpected() }
            return JSON.Object(members: members)
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> [JSON] {
        position += 1
        var elements: [JSON] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return [] }
        while true {
            elements.append(try value(depth: depth))
            skipSpace()
            if take(UInt8(ascii: ",")) {
                skipSpace()
                continue
            }
            guard take(UInt8(ascii: "]")) else { throw unexpected() }
            return elements
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        let start = position
        for index in 0..<text.utf8CodeUnitCount {
            guard let byte = peek() else { throw fail(.unexpectedEnd) }
            guard byte == text.utf8Start[index] else { throw fail(.unexpectedByte, at: start) }
            position += 1
        }
        return value
    }

    private mutating func number() throws(JSONError) -> String {
        let start = position
        _ = take(UInt8(ascii: "-"))
        if take(UInt8(ascii: "0")) {
            // A leading zero stands alone: `01` fails below as an unexpected byte after the value.
        } else {
            try digits(from: start)
        }
        if take(UInt8(ascii: ".")) { try digits(from: start) }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits(from: start)
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func digits(from start: Int) throws(JSONError) {
        let first = position
        while let byte = peek(), byte &- UInt8(ascii: "0") < 10 { position += 1 }
        guard position > first else { throw fail(position < bytes.count ? .badNumber : .unexpectedEnd, at: start) }
    }

    func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private func unexpected() -> JSONError { fail(position < bytes.count ? .unexpectedByte : .unexpectedEnd) }
}
