/// `/v1/exports`: statements of many months as one archive, made in the background and fetched by a link.
import Budgets
import Chargeback
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Store

extension API {
    @Sendable func requestExport(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let format = fields.require("format", .word(StatementFormat.self))
        let first = fields.require("first_month", .month)
        let last = fields.require("last_month", .month)
        if fields.faults.isEmpty, !(1...ExportRecord.mostMonths).contains(first.through(last).count) {
            fields.fault("last_month", .outOfRange, "must be first_month, or one of the \(ExportRecord.mostMonths - 1) months after it")
        }
        try fields.finish()
        let record = try await store.requestExport(
            NewExport(
                id: ExportID(at: exchange.now), format: format.rawValue, firstMonth: first, lastMonth: last,
                requestedBy: exchange.credential.actor),
            of: exchange.organization)
        var response = Response.json(.accepted) { write(record, exchange, &$0) }
        response.headers[.location] = "/v1/exports/\(record.id)"
        return response
    }

    @Sendable func listExports(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<ExportRecord, ExportID> = PageQuery.listing(&query, ExportRecord.orders, isNewestFirst: true)
        let state = query.optional("state", .word(ExportRecord.State.self))
        try query.finish()
        return try await exchange.page(store.exports(of: exchange.organization, state: state, listing)) { write($0, exchange, &$1) }
    }

    @Sendable func readExport(_ exchange: Exchange) async throws -> Response {
        let record = try await store.export(exchange.id(ExportKind.self), of: exchange.organization)
        return .json { write(record, exchange, &$0) }
    }

    @Sendable func cancelExport(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let record = try await store.cancelExport(exchange.id(ExportKind.self), of: exchange.organization)
        return .json { write(record, exchange, &$0) }
    }

    /// The file, for whoever has a link to it. It names the organization, because there is no API key to say whose it is; a link that was
    /// not given out, or names anything else than it did then, leads nowhere.
    @Sendable func fetchExport(_ exchange: Exchange) async throws -> Response {
        let id = try exchange.id(ExportKind.self)
        var query = try exchange.query()
        let organization = query.require("organization", .id(OrganizationKind.self))
        let expires = query.require("expires", .digits(0...99_999_999_999))
        let signature = query.require("signature", .text(1...100))
        try query.finish()
        guard links.isGenuine(signature, of: id, in: organization, until: expires) else { throw Problem(.notFound) }
        guard exchange.now.seconds < expires else { throw Problem(.linkExpired, "Ask `/v1/exports/\(id)` for another.") }
        let store = walled(for: organization).store
        let record = try await store.export(id, of: organization)
        guard record.state == .done, let byteCount = record.byteCount, let hash = record.hash else { throw Problem(.notFound) }
        let file = ConstantFile(byteCount: byteCount, hash: hash)
        let asked = exchange.request.headers
        if file.isKnown(to: asked) { return Response(status: .notModified, headers: file.fields(nil)) }
        let part = try file.part(asked: asked)
        let bytes = part ?? ByteRange(whole: byteCount)
        var headers = file.fields(part)
        headers[.contentType] = "application/zip"
        headers[.contentDisposition] = "attachment; filename=\"\(record.fileName)\""
        headers[.contentLength] = String(bytes.last - bytes.first + 1)
        // Whoever has the link has the file: it is kept nowhere on the way.
        headers[.cacheControl] = "private, no-store"
        return Response(
            status: part == nil ? .ok : .partialContent, headers: headers,
            body: ResponseBody { writer in
                let size = Int64(ExportRecord.pieceBytes)
                for piece in bytes.first / size...bytes.last / size {
                    // Gone meanwhile: cut, so that a part is never taken for the whole.
                    guard let content = try await store.exportPiece(piece, of: id, in: organization) else { throw Problem(.notFound) }
                    try await writer.write(ByteBuffer(bytes: content[bytes.overlap(with: piece * size, content.count)]))
                }
                try await writer.finish(nil)
            })
    }

    /// With a link where there is a file: whoever sees this may fetch it.
    private func write(_ record: ExportRecord, _ exchange: Exchange, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", record.id)
            writer.field("state", record.state.rawValue)
            writer.field("format", record.format)
            writer.field("first_month", record.firstMonth.description)
            writer.field("last_month", record.lastMonth.description)
            writer.field("months", record.months)
            writer.field("months_done", record.monthsDone)
            writer.field("requested_by", record.requestedBy)
            writer.field("failure", record.failure)
            writer.field("bytes", record.byteCount)
            writer.field("sha256", record.hash)
            writer.field("created_at", record.createdAt)
            writer.field("finished_at", record.finishedAt)
            writer.field("expires_at", record.expiresAt)
            guard record.state == .done, let end = record.expiresAt else { return writer.field("link", JSON.null) }
            let expires = min(exchange.now.seconds + ExportLinks.lifetime, end.seconds)
            writer.object("link") { writer in
                writer.field("url", links.url(of: record.id, in: exchange.organization, until: expires))
                writer.field("expires_at", Instant(microseconds: expires * 1_000_000))
            }
        }
    }
}

extension ExportRecord {
    fileprivate var fileName: String { "bursar-\(firstMonth)-to-\(lastMonth)-\(format).zip" }
}
