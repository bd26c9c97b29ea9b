/// What must never show in a log (design §10): `TestLog` has one for each test.
import Foundation
public import Store
import Synchronization

/// The secrets of one test, in pieces: a line that shows half of one says too much, too.
public final class Secrets: Sendable {
    /// Bytes of a piece. So many in a row are no chance any more, and more than a list shows of a key.
    static let pieceLength = 10

    private let pieces = Mutex<Set<[UInt8]>>([])

    public init() {}

    /// What is shorter than a piece cannot be told from chance and is left out.
    public func add(_ secret: some StringProtocol) {
        let bytes = Array(secret.utf8)
        guard bytes.count >= Secrets.pieceLength else { return }
        let starts = Array(stride(from: 0, through: bytes.count - Secrets.pieceLength, by: Secrets.pieceLength / 2))
        let new = starts.map { Array(bytes[$0..<$0 + Secrets.pieceLength]) } + [Array(bytes.suffix(Secrets.pieceLength))]
        pieces.withLock { $0.formUnion(new) }
    }

    /// In the two ways in which people write bytes.
    public func add(bytes: [UInt8]) {
        add(bytes.map { String(format: "%02x", $0) }.joined())
        add(Data(bytes).base64EncodedString())
    }

    /// Of an address what comes after the host: everybody may know where Slack is.
    public func add(pathOf url: String) { add(url.split(separator: "/", maxSplits: 2).dropFirst(2).joined()) }

    /// The lines that show a piece of any.
    public func leaks(in lines: [String]) -> [String] {
        let pieces = pieces.withLock { $0 }
        let everything = Secrets.text(lines.joined(separator: "\n").utf8)
        let found = pieces.map(Secrets.text).filter { strstr(everything, $0) != nil }
        if found.isEmpty { return [] }
        return lines.filter { line in found.contains { strstr(Secrets.text(line.utf8), $0) != nil } }
    }

    /// As C has it: megabytes of log are looked through for hundreds of pieces.
    private static func text(_ bytes: some Sequence<UInt8>) -> [CChar] { bytes.filter { $0 != 0 }.map { CChar(bitPattern: $0) } + [0] }
}

extension APIKeySecret {
    /// A new one, of which the present test's log must show nothing.
    public static func ofTest() -> APIKeySecret {
        let new = APIKeySecret()
        secret(new.text)
        return new
    }
}
