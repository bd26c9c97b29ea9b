/// Strings of JSON: the fast way for plain ones, the careful way for escapes (RFC 8259 §7).

extension Parser {
    /// Reads a string; `position` is at its opening quote.
    mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                let text = try checked(bytes[start..<position], at: start)
                position += 1
                return text
            case UInt8(ascii: "\\"): return try escapedString(from: start)
            case 0..<0x20: throw fail(.controlCharacter)
            default: position += 1
            }
        }
        throw fail(.unexpectedEnd)
    }

    /// The rest of a string that has an escape: unescaped bytes are gathered first and checked as a whole.
    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        var plain = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                let text = try checked(plain[...], at: start)
                position += 1
                return text
            case UInt8(ascii: "\\"): try escape(into: &plain)
            case 0..<0x20: throw fail(.controlCharacter)
            default:
                plain.append(byte)
                position += 1
            }
        }
        throw fail(.unexpectedEnd)
    }

    private mutating func escape(into plain: inout [UInt8]) throws(JSONError) {
        let start = position
        position += 1
        guard let byte = peek() else { throw fail(.unexpectedEnd) }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): plain.append(byte)
        case UInt8(ascii: "b"): plain.append(0x08)
        case UInt8(ascii: "f"): plain.append(0x0C)
        case UInt8(ascii: "n"): plain.append(0x0A)
        case UInt8(ascii: "r"): plain.append(0x0D)
        case UInt8(ascii: "t"): plain.append(0x09)
        case UInt8(ascii: "u"): plain.append(contentsOf: try unicodeEscape(at: start).utf8)
        default: throw fail(.badEscape, at: start)
        }
    }

    /// One scalar from `\uXXXX` or a pair of them; half a pair has no meaning and no UTF-8, so it is refused.
    private mutating func unicodeEscape(at start: Int) throws(JSONError) -> Character {
        let first = try hexadecimal(at: start)
        if let scalar = Unicode.Scalar(first) { return Character(scalar) }
        guard first < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { throw fail(.loneSurrogate, at: start) }
        position += 2
        let second = try hexadecimal(at: start)
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
        else { throw fail(.loneSurrogate, at: start) }
        return Character(scalar)
    }

    private mutating func hexadecimal(at start: Int) throws(JSONError) -> UInt16 {
        guard position + 4 <= bytes.count else { throw fail(.unexpectedEnd) }
        var value: UInt16 = 0
        for byte in bytes[position..<position + 4] {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw fail(.badEscape, at: start)
            }
            value = value << 4 | UInt16(digit)
        }
        position += 4
        return value
    }

    private func checked(_ slice: ArraySlice<UInt8>, at start: Int) throws(JSONError) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw fail(.badUTF8, at: start) }
        return text
    }
}
