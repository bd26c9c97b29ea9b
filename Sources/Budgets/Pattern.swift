/// Patterns name many things at once, such as `gpt-*`: in budgets, tiers and endpoint subscriptions.

/// A text in which `*` stands for any run of characters, the empty one included. Everything else is literal, case included.
public struct Pattern: Hashable, Sendable, LosslessStringConvertible {
    /// The longest pattern, in UTF-8 bytes: as long as any name it can be held against.
    public static let maximumBytes = 200

    private let text: String
    private let form: Form

    /// Nil for an empty text or one of more than `maximumBytes`.
    public init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= Pattern.maximumBytes else { return nil }
        self.text = text
        let pieces = Array(text.utf8).split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map(Array.init)
        let (first, last) = (pieces[0], pieces[pieces.count - 1])
        if pieces.count == 1 {
            form = .literal(first)
        } else if pieces.dropFirst().allSatisfy(\.isEmpty) {
            form = first.isEmpty ? .anything : .prefix(first)
        } else {
            form = .pieces(first: first, middle: pieces.dropFirst().dropLast().filter { !$0.isEmpty }, last: last)
        }
    }

    /// The pattern as it was written.
    public var description: String { text }

    /// Whether the whole of `candidate` fits, compared byte by byte in UTF-8.
    public func matches(_ candidate: String) -> Bool {
        switch form {
        case .anything: return true
        case .literal(let bytes): return candidate.utf8.elementsEqual(bytes)
        case .prefix(let bytes): return candidate.utf8.starts(with: bytes)
        case .pieces(let first, let middle, let last):
            var rest = Array(candidate.utf8)[...]
            guard rest.count >= first.count + last.count, rest.starts(with: first), rest.suffix(last.count).elementsEqual(last) else {
                return false
            }
            rest = rest.dropFirst(first.count).dropLast(last.count)
            // The leftmost place for each piece leaves the most room for the next: no backtracking.
            for piece in middle {
                guard let start = rest.indices.first(where: { rest[$0...].starts(with: piece) }) else { return false }
                rest = rest[(start + piece.count)...]
            }
            return true
        }
    }

    private enum Form: Hashable, Sendable {
        case anything
        case literal([UInt8])
        case prefix([UInt8])
        case pieces(first: [UInt8], middle: [[UInt8]], last: [UInt8])
    }
}
