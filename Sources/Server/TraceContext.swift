/// Where a request stands in its caller's trace (W3C Trace Context): read strictly, and ignored when it is not well formed.

/// The header `traceparent` (§3.2): `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
struct TraceParent: Hashable, Sendable {
    /// 32 hexadecimal digits.
    let traceID: String
    /// 16 hexadecimal digits: the caller's span.
    let spanID: String
    /// Whether the caller records the trace.
    let isSampled: Bool

    init(traceID: String, spanID: String, isSampled: Bool) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
    }

    /// Nil unless it is exactly what the specification says. Of a version that is not known yet, what version 00 has is read (§4.3.3).
    init?(_ header: String) {
        let bytes = Array(header.utf8)
        guard bytes.count >= 55, [2, 35, 52].allSatisfy({ bytes[$0] == UInt8(ascii: "-") }) else { return nil }
        func digits(_ range: Range<Int>) -> String? {
            let isHexadecimal = bytes[range].allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
            return isHexadecimal ? String(decoding: bytes[range], as: UTF8.self) : nil
        }
        guard let version = digits(0..<2), let traceID = digits(3..<35), let spanID = digits(36..<52),
            let flags = digits(53..<55).flatMap({ UInt8($0, radix: 16) }), version != "ff",
            version == "00" ? bytes.count == 55 : bytes.count == 55 || bytes[55] == UInt8(ascii: "-"),
            traceID.contains(where: { $0 != "0" }), spanID.contains(where: { $0 != "0" })
        else { return nil }
        self.init(traceID: traceID, spanID: spanID, isSampled: flags & 1 == 1)
    }

    var header: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }
}

/// The header `tracestate` (§3.3): what tracing systems on the way noted for themselves, handed on as it came.
enum TraceState {
    /// Entries that the specification allows.
    static let maximumEntries = 32

    /// The header again, without blanks around its entries; nil unless it is exactly what the specification says.
    static func accepted(_ header: String) -> String? {
        let entries = header.split(separator: ",").map { entry in entry.drop { $0 == " " || $0 == "\t" } }.filter { !$0.isEmpty }
        var keys: Set<Substring> = []
        for entry in entries {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, isKey(parts[0]), isValue(parts[1]), keys.insert(parts[0]).inserted else { return nil }
        }
        return (1...maximumEntries).contains(entries.count) ? entries.joined(separator: ",") : nil
    }

    private static func isKey(_ key: Substring) -> Bool {
        let parts = key.split(separator: "@", omittingEmptySubsequences: false)
        func isName(_ name: Substring, mayBeginWithDigit: Bool, atMost maximum: Int) -> Bool {
            guard let first = name.utf8.first, name.utf8.count <= maximum else { return false }
            guard isLetter(first) || (mayBeginWithDigit && isDigit(first)) else { return false }
            return name.utf8.allSatisfy { isLetter($0) || isDigit($0) || "_-*/".utf8.contains($0) }
        }
        switch parts.count {
        case 1: return isName(key, mayBeginWithDigit: false, atMost: 256)
        case 2: return isName(parts[0], mayBeginWithDigit: true, atMost: 241) && isName(parts[1], mayBeginWithDigit: false, atMost: 14)
        default: return false
        }
    }

    private static func isValue(_ value: Substring) -> Bool {
        guard (1...256).contains(value.utf8.count), value.utf8.last != UInt8(ascii: " ") else { return false }
        return value.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "=") }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
