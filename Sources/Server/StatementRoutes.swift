/// `/v1/statements/{month}`: a month's chargeback, summed up or as a file that finance can book.
import Budgets
import Chargeback
import HTTPTypes
import Hummingbird
import JSON
import Logging
import NIOCore
import Store

extension API {
    @Sendable func readStatement(_ exchange: Exchange) async throws -> Response {
        let (export, month) = try await statement(exchange)
        let summary = try await export.summary(month: month)
        return .json { $0.value(summary) }
    }

    /// Streams: memory does not grow with the month. When something breaks midway the connection is cut, so a file without its end
    /// is never taken for a whole one.
    @Sendable func exportStatement(_ exchange: Exchange) async throws -> Response {
        let (export, month) = try await statement(exchange)
        var fields = try exchange.query()
        _ = fields.optional("format", .text("csv", placeholder: "csv") { $0 == "csv" ? $0 : nil })
        try fields.finish()
        var headers = HTTPFields()
        headers[.contentType] = "text/csv; charset=utf-8; header=present"
        headers[.contentDisposition] = "attachment; filename=\"bursar-\(month).csv\""
        let body = ResponseBody { writer in
            do {
                _ = try await export.write(month: month) { try await writer.write(ByteBuffer(bytes: $0)) }
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

    private func statement(_ exchange: Exchange) async throws -> (StatementExport, StatementMonth) {
        guard let month = exchange.parameters.get("month").flatMap({ StatementMonth($0) }),
            let zone = try await statements.zone(of: exchange.organization)
        else { throw Problem(.notFound) }
        return (StatementExport(store: statements, organization: exchange.organization, zone: zone), month)
    }
}
