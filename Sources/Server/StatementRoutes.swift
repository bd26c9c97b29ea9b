/// `/v1/statements`: a month's chargeback, summed up or as a file that finance can book.
import Budgets
import Chargeback
import HTTPTypes
import Hummingbird
import JSON
import Logging
import NIOCore
import Store

extension API {
    /// Months that were proposed or closed, the youngest first.
    @Sendable func listStatements(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let cursor = query.optional("cursor", .monthCursor)
        let limit = PageQuery.limit(&query)
        try query.finish()
        let page = try await store.statements(of: exchange.organization, before: cursor, limit: limit)
        return .page(page.items, next: page.next.map { Base64URL.encode($0.description.utf8) }) { $0.write(&$1) }
    }

    @Sendable func readStatement(_ exchange: Exchange) async throws -> Response {
        let export = try await StatementExport(store: statements, organization: exchange.organization)
        let summary = try await export.summary(month: try exchange.month())
        return .json { $0.value(summary) }
    }

    /// Streams: memory does not grow with the month. When something breaks midway the connection is cut, so a file without its end
    /// is never taken for a whole one.
    @Sendable func exportStatement(_ exchange: Exchange) async throws -> Response {
        let month = try exchange.month()
        var fields = try exchange.query()
        let format = fields.optional("format", .word(StatementFormat.self)) ?? .csv
        try fields.finish()
        let export = try await StatementExport(store: statements, organization: exchange.organization)
        var headers = HTTPFields()
        headers[.contentType] = format.contentType
        headers[.contentDisposition] = "attachment; filename=\"\(format.fileName(month))\""
        let body = ResponseBody { writer in
            do {
                _ = try await export.write(format, month: month) { try await writer.write(ByteBuffer(bytes: $0)) }
            } catch {
                // The answer has begun: no problem can be told any more, so this is the only trace.
                exchange.logger.error(
                    "statement export broke off",
                    metadata: ["request_id": "\(exchange.requestID)", "error": "\(Journal.describe(error))"])
                throw error
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: headers, body: body)
    }
}

extension Exchange {
    /// The month in the path; what is none names nothing.
    func month() throws(Problem) -> StatementMonth {
        guard let month = parameters.get("month").flatMap({ StatementMonth($0) }) else { throw Problem(.notFound) }
        return month
    }
}

extension FieldRule where Value == StatementMonth {
    /// Where a list of months goes on.
    fileprivate static var monthCursor: FieldRule {
        text("a cursor from this list", placeholder: .last) { text in
            Base64URL.decode(text).flatMap { String(validating: $0, as: UTF8.self) }.flatMap { StatementMonth($0) }
        }
    }
}
