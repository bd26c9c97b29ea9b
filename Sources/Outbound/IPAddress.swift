/// Addresses and blocks of addresses as numbers: rules about where a request may go are never made on their many spellings.

import CCurl

/// An IPv4 or IPv6 address, without a zone.
public enum IPAddress: Hashable, Sendable, LosslessStringConvertible {
    case v4(UInt32)
    case v6(UInt128)

    /// Reads dotted-decimal IPv4 or RFC 4291 IPv6 text; nil for short forms, octal, hexadecimal and zones.
    public init?(_ text: String) {
        var bytes = [UInt8](repeating: 0, count: 16)
        let family = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            unsafe bursar_parse_address(text, buffer.baseAddress)
        }
        self.init(family: family, bytes: bytes)
    }

    /// From bytes in network order; `family` is 4 or 6, anything else is no address.
    init?(family: Int32, bytes: [UInt8]) {
        switch family {
        case 4: self = .v4(bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) })
        case 6: self = .v6(bytes.prefix(16).reduce(0) { $0 << 8 | UInt128($1) })
        default: return nil
        }
    }

    /// An IPv4 address from its four numbers.
    static func v4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) -> IPAddress {
        .v4(UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
    }

    /// An IPv6 address from its first two groups; the others are zero.
    static func v6(_ a: UInt16, _ b: UInt16) -> IPAddress {
        .v6(UInt128(a) << 112 | UInt128(b) << 96)
    }

    /// The IPv4 address inside `::ffff:a.b.c.d`, the one embedding that operating systems treat as the address itself.
    public var unmapped: IPAddress {
        guard case .v6(let bits) = self, bits >> 32 == 0xFFFF else { return self }
        return .v4(UInt32(truncatingIfNeeded: bits))
    }

    /// Dotted decimal, or eight groups of hexadecimal digits without abbreviation.
    public var description: String {
        switch self {
        case .v4(let bits): return (0..<4).map { String(bits >> (24 - 8 * $0) & 0xFF) }.joined(separator: ".")
        case .v6(let bits):
            return (0..<8).map { String(UInt16(truncatingIfNeeded: bits >> (112 - 16 * $0)), radix: 16) }.joined(separator: ":")
        }
    }
}

/// A block of addresses that share a prefix (RFC 4632), such as `10.0.0.0/8`.
public struct CIDR: Hashable, Sendable, LosslessStringConvertible {
    let base: IPAddress
    let prefixLength: Int

    /// Reads `address/length`, or a lone address as a block of one; nil when either half is malformed.
    public init?(_ text: String) {
        let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let base = IPAddress(String(halves[0])) else { return nil }
        let width = if case .v4 = base { 32 } else { 128 }
        guard halves.count == 2 else {
            self.init(base, width)
            return
        }
        guard let length = Int(halves[1]), halves[1].allSatisfy(\.isASCIIDigit), (0...width).contains(length) else { return nil }
        self.init(base, length)
    }

    /// Without checks: for the tables below and for text that was checked.
    init(_ base: IPAddress, _ prefixLength: Int) {
        self.base = base
        self.prefixLength = prefixLength
    }

    /// Whether the address has this block's prefix. An IPv4 block holds no IPv6 address, and the other way round.
    public func contains(_ address: IPAddress) -> Bool {
        switch (base, address) {
        case (.v4(let base), .v4(let bits)): prefixLength == 0 || (base ^ bits) >> UInt32(32 - prefixLength) == 0
        case (.v6(let base), .v6(let bits)): prefixLength == 0 || (base ^ bits) >> UInt128(128 - prefixLength) == 0
        default: false
        }
    }

    public var description: String { "\(base)/\(prefixLength)" }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
