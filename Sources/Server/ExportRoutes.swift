/// `/v1/statements/{month}/export`: a month's statement as a file, streamed.
import Budgets
import Chargeback
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Store

extension API {
    /// Streams: memory does not grow with the month. When something breaks midway the connection is cut, so a file without its end
    /// is never taken for a whole one.
    @Sendable func exportStatement(_ exchange: Exchange) async throws -> Response {
        let month = try exchange.month()
        var fields = try exchange.query()
        let format = fields.optional("format", .word(StatementFormat.self)) ?? .csv
        try fields.finish()
        let export = try await StatementExport(store: statements, organization: exchange.organization)
        let plan = try await export.plan(format, month: month)
        var headers = HTTPFields()
        headers[.contentType] = format.contentType
        headers[.contentDisposition] = "attachment; filename=\"\(format.fileName(month))\""
        headers[.vary] = "Accept-Encoding"
        let asked = exchange.request.headers
        var part: ByteRange?
        if let file = plan.file {
            let tag = "\"\(file.hash)\""
            headers[.eTag] = tag
            headers[.acceptRanges] = "bytes"
            if let known = asked[.ifNoneMatch], Self.names(known, tag) { return Response(status: .notModified, headers: headers) }
            if let range = asked[.range], asked[.ifRange].map({ $0 == tag }) ?? true {
                part = try ByteRange(range, of: file.byteCount)
                headers[.contentRange] = part.map { "bytes \($0.first)-\($0.last)/\(file.byteCount)" }
            }
        }
        let isCompressed = part == nil && (asked[.acceptEncoding].map(Self.acceptsGzip) ?? false)
        if isCompressed {
            headers[.contentEncoding] = "gzip"
            // Another representation: the plain one's strong tag is not its.
            headers[.eTag] = headers[.eTag].map { "W/\($0)" }
        } else if let file = plan.file {
            headers[.contentLength] = String(part.map { $0.last - $0.first + 1 } ?? file.byteCount)
        }
        let range = part
        let body = ResponseBody { writer in
            do {
                try await Self.send(plan, of: export, range, isCompressed: isCompressed, to: &writer)
            } catch {
                // The answer has begun: no problem can be told any more, so this is the only trace.
                exchange.logger.error(
                    "statement export broke off",
                    metadata: ["request_id": "\(exchange.requestID)", "error": "\(Journal.describe(error))"])
                throw error
            }
            try await writer.finish(nil)
        }
        return Response(status: part == nil ? .ok : .partialContent, headers: headers, body: body)
    }

    private static func send(
        _ plan: StatementExport.Plan, of export: StatementExport, _ range: ByteRange?, isCompressed: Bool,
        to writer: inout any ResponseBodyWriter
    ) async throws {
        let gzip = isCompressed ? GzipStream() : nil
        var position: Int64 = 0
        try await export.write(plan) { bytes in
            defer { position += Int64(bytes.count) }
            if let gzip {
                let compressed = gzip.compress(bytes)
                if !compressed.isEmpty { try await writer.write(ByteBuffer(bytes: compressed)) }
            } else if let range {
                let wanted = range.overlap(with: position, bytes.count)
                if !wanted.isEmpty { try await writer.write(ByteBuffer(bytes: bytes[wanted])) }
            } else {
                try await writer.write(ByteBuffer(bytes: bytes))
            }
        }
        if let gzip { try await writer.write(ByteBuffer(bytes: gzip.compress([], isLast: true))) }
    }

    /// Whether a list of tags has this one, weak or strong (RFC 9110 §13.1.2): compressed or not, the file is known.
    private static func names(_ known: String, _ tag: String) -> Bool {
        known.split(separator: ",").contains { one in
            let one = one.trimmingPrefix { $0 == " " }
            return one == "*" || one == tag || one == "W/\(tag)"
        }
    }

    /// Whether `gzip` is among the codings, and not with a weight of 0 (RFC 9110 §12.5.3).
    private static func acceptsGzip(_ header: String) -> Bool {
        header.split(separator: ",").contains { coding in
            let parts = coding.split(separator: ";").map { $0.filter { $0 != " " }.lowercased() }
            return parts.first == "gzip" && !parts.dropFirst().contains { $0.hasPrefix("q=0") && !$0.contains { ("1"..."9").contains($0) } }
        }
    }
}

/// One range of bytes (RFC 9110 §14.1.2), both ends included.
struct ByteRange: Hashable, Sendable {
    let first: Int64
    let last: Int64

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
