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
        let file = plan.file.map { ConstantFile(byteCount: $0.byteCount, hash: $0.hash) }
        if let file, file.isKnown(to: asked) { return Response(status: .notModified, headers: headers + file.fields(nil)) }
        let part = try file?.part(asked: asked)
        if let file { headers.append(contentsOf: file.fields(part)) }
        let isCompressed = part == nil && (asked[.acceptEncoding].map(Self.acceptsGzip) ?? false)
        if isCompressed {
            headers[.contentEncoding] = "gzip"
            // Another representation: the plain one's strong tag is not its.
            headers[.eTag] = headers[.eTag].map { "W/\($0)" }
        } else if let file {
            headers[.contentLength] = String(part.map { $0.last - $0.first + 1 } ?? file.byteCount)
        }
        let body = ResponseBody { writer in
            do {
                try await Self.send(plan, of: export, part, isCompressed: isCompressed, to: &writer)
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
        let gzip = isCompressed ? DeflateStream(.gzip) : nil
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

    /// Whether `gzip` is among the codings, and not with a weight of 0 (RFC 9110 §12.5.3).
    private static func acceptsGzip(_ header: String) -> Bool {
        header.split(separator: ",").contains { coding in
            let parts = coding.split(separator: ";").map { $0.filter { $0 != " " }.lowercased() }
            return parts.first == "gzip" && !parts.dropFirst().contains { $0.hasPrefix("q=0") && !$0.contains { ("1"..."9").contains($0) } }
        }
    }
}
