/// Files that stay the same for ever: told by a tag, and fetched in parts (RFC 9110 §13 and §14).
import HTTPTypes
import Hummingbird

/// A file that is named by its hash.
struct ConstantFile {
    let byteCount: Int64
    /// Strong: the bytes are the same as long as it is.
    let tag: String

    /// - Parameter hash: in hexadecimal.
    init(byteCount: Int64, hash: String) { (self.byteCount, tag) = (byteCount, "\"\(hash)\"") }

    /// Whether who asks has it already, weak or strong (RFC 9110 §13.1.2): compressed or not, the file is known.
    func isKnown(to asked: HTTPFields) -> Bool {
        guard let known = asked[.ifNoneMatch] else { return false }
        return known.split(separator: ",").contains { one in
            let one = one.trimmingPrefix { $0 == " " }
            return one == "*" || one == tag || one == "W/\(tag)"
        }
    }

    /// The part that is asked for; nil: all of it.
    /// - Throws: 416 when nothing of the file lies in it.
    func part(asked: HTTPFields) throws(Problem) -> ByteRange? {
        guard let range = asked[.range], asked[.ifRange].map({ $0 == tag }) ?? true else { return nil }
        return try ByteRange(range, of: byteCount)
    }

    /// The answer's fields about the file, and about the part of it that is sent.
    func fields(_ part: ByteRange?) -> HTTPFields {
        var fields: HTTPFields = [.eTag: tag, .acceptRanges: "bytes"]
        fields[.contentRange] = part.map { "bytes \($0.first)-\($0.last)/\(byteCount)" }
        return fields
    }
}

/// One range of bytes (RFC 9110 §14.1.2), both ends included.
struct ByteRange: Hashable, Sendable {
    let first: Int64
    let last: Int64

    /// All of a file, which has at least one byte.
    init(whole size: Int64) { (first, last) = (0, size - 1) }

    /// Reads `bytes=5-`, `bytes=5-9` and `bytes=-5`; nil for what is none of them, which then counts as not there.
    /// - Throws: 416 when nothing of the file lies in it.
    init?(_ header: String, of size: Int64) throws(Problem) {
        guard header.hasPrefix("bytes="), !header.contains(",") else { return nil }
        let ends = header.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, ends.allSatisfy({ $0.isEmpty || Int64($0) != nil }), !(ends[0].isEmpty && ends[1].isEmpty) else {
            return nil
        }
        if let from = Int64(ends[0]) {
            first = from
            last = min(Int64(ends[1]) ?? .max, size - 1)
            guard ends[1].isEmpty || (Int64(ends[1]) ?? 0) >= from else { return nil }
        } else {
            first = max(0, size - (Int64(ends[1]) ?? 0))
            last = size - 1
        }
        guard first < size, first <= last else {
            var problem = Problem(.rangeNotSatisfiable, "The file has \(size) bytes.")
            problem.headers.append(("content-range", "bytes */\(size)"))
            throw problem
        }
    }

    /// Which of `count` bytes that begin at `position` are wanted.
    func overlap(with position: Int64, _ count: Int) -> Range<Int> {
        let from = min(max(first - position, 0), Int64(count))
        let to = min(max(last + 1 - position, from), Int64(count))
        return Int(from)..<Int(to)
    }
}
