/// The key under which the secrets of endpoints are sealed (design §10). Losing it means entering them again; a copy of the
/// database without it gives them away to nobody.
import Foundation
import Glibc

enum SecretKey {
    static let byteCount = 32

    /// Reads 64 hexadecimal digits, or the base64 of 32 bytes; nil for anything else.
    static func parse(_ text: String) -> [UInt8]? {
        let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
        if text.utf8.count == 2 * byteCount {
            let digits = text.compactMap(\.hexDigitValue)
            guard digits.count == 2 * byteCount else { return nil }
            return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
        }
        return Data(base64Encoded: text).flatMap { $0.count == byteCount ? Array($0) : nil }
    }

    /// Reads one key a line, or several between commas: the first seals, the others still open. Nil unless all are keys.
    static func parseAll(_ text: String) -> [[UInt8]]? {
        let lines = text.split { $0 == "," || $0.isNewline }.filter { !$0.allSatisfy(\.isWhitespace) }
        let keys = lines.compactMap { parse(String($0)) }
        return keys.isEmpty || keys.count < lines.count ? nil : keys
    }

    /// Reads a key file. The error does not quote it.
    static func read(_ path: String) throws -> [[UInt8]] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandError("cannot read the secret key file \(path)")
        }
        guard let keys = parseAll(text) else {
            throw CommandError("\(path) holds no secret key: it must be 64 hexadecimal digits a line, as `openssl rand -hex 32` prints")
        }
        return keys
    }

    /// The key of a private server: made once, kept beside its data, for its owner's eyes only.
    static func makeOrRead(in directory: String) throws -> [[UInt8]] {
        let path = directory + "/secret-key"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return try read(path) }
        var generator = SystemRandomNumberGenerator()
        let key = (0..<byteCount).map { _ in UInt8.random(in: 0 ... .max, using: &generator) }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try file.write(contentsOf: Data((key.map { String(format: "%02x", $0) }.joined() + "\n").utf8))
        try file.synchronize()
        return [key]
    }
}
