/// The secret text of an API key (design §10, GitHub's format): `bur_`, 30 random letters and digits (178 bits), 6 of a checksum.
/// The checksum spares typos a look-up and lets scanners recognize a leaked secret; it is no security.
public import Crypto

public struct APIKeySecret: Sendable {
    /// Shown once, never stored or logged.
    public let text: String

    private static let prefix = "bur_"
    private static let randomLength = 30
    private static let checksumLength = 6
    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// A new secret.
    public init(using generator: inout some RandomNumberGenerator) {
        var body: [UInt8] = []
        for _ in 0..<Self.randomLength { body.append(Self.alphabet[Int.random(in: 0..<Self.alphabet.count, using: &generator)]) }
        text = Self.prefix + String(decoding: body + Self.checksum(of: body), as: UTF8.self)
    }

    /// A new secret from the system's randomness.
    public init() {
        var generator = SystemRandomNumberGenerator()
        self.init(using: &generator)
    }

    /// What a caller presents; nil when it cannot be one of ours.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        let start = Self.prefix.utf8.count
        let end = start + Self.randomLength
        guard bytes.count == end + Self.checksumLength, bytes.starts(with: Self.prefix.utf8),
            Self.checksum(of: bytes[start..<end]).elementsEqual(bytes[end...])
        else { return nil }
        self.text = String(text)
    }

    /// The only form that is kept: 32 bytes. A fast hash is enough for 178 random bits. Of a type that takes the same time to compare
    /// whatever is different, so that no `==` on it says more than it should.
    public var sha256: SHA256Digest { SHA256.hash(data: Array(text.utf8)) }

    /// First and last letters, to tell keys apart in a list.
    public var hint: String { "\(text.prefix(8))…\(text.suffix(4))" }

    private static func checksum(of bytes: some Sequence<UInt8>) -> [UInt8] {
        var remainder = crc32(bytes)
        var digits: [UInt8] = []
        for _ in 0..<checksumLength {
            digits.append(alphabet[Int(remainder % 62)])
            remainder /= 62
        }
        return digits.reversed()
    }

    /// CRC-32 of ISO 3309, a table of 16 entries.
    private static func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc = crc >> 4 ^ crcTable[Int((crc ^ UInt32(byte)) & 0xF)]
            crc = crc >> 4 ^ crcTable[Int((crc ^ UInt32(byte) >> 4) & 0xF)]
        }
        return ~crc
    }

    private static let crcTable: [UInt32] = (0..<16).map { index in
        (0..<4).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }
}
