/// `/v1/audit-events`: who changed what, when, from what to what.
import Budgets
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Postgres
import Store

extension API {
    /// The newest first.
    @Sendable func listAuditEvents(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<AuditRecord, Int64> = PageQuery.listing(&query, AuditRecord.orders, isNewestFirst: true)
        let filter = API.auditFilter(&query)
        try query.finish()
        return try await exchange.page(store.auditEvents(of: exchange.organization, filter, listing)) { event, writer in
            writer.object { event.writeFields(&$0) }
        }
    }

    /// One event a line, the oldest first, each with the text that its hash covers. Streams: memory does not grow with the chain.
    @Sendable func exportAuditEvents(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let filter = API.auditFilter(&query)
        try query.finish()
        let (store, organization) = (store, exchange.organization)
        let newest = Listing<AuditRecord, Int64>(AuditRecord.orders[0], isDescending: true, limit: 1)
        let oldest = Listing<AuditRecord, Int64>(AuditRecord.orders[0], isDescending: false, limit: API.auditExportStep)
        let last = try await store.auditEvents(of: organization, AuditFilter(), newest).items.first?.sequence ?? 0
        let body = ResponseBody { writer in
            // Sequences have no gaps, so a range of them is a page.
            for start in stride(from: Int64(0), to: last, by: API.auditExportStep) {
                let end = min(start + Int64(API.auditExportStep), last)
                let page = try await store.auditEvents(of: organization, filter, after: start, before: end + 1, oldest)
                var lines: [UInt8] = []
                for event in page.items {
                    var line = JSONWriter()
                    line.object { line in
                        event.writeFields(&line)
                        line.field("content", event.content)
                    }
                    lines += line.bytes + [UInt8(ascii: "\n")]
                }
                try await writer.write(ByteBuffer(bytes: lines))
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "application/x-ndjson"], body: body)
    }

    /// Events read at a time: some kilobytes each.
    private static let auditExportStep = 500

    private static func auditFilter(_ query: inout FieldReader) -> AuditFilter {
        AuditFilter(
            action: query.optional("action", .text(1...100)), target: query.optional("target", .text(1...50)),
            actor: query.optional("actor", .text(1...50)), from: query.optional("from", .instant), to: query.optional("to", .instant))
    }
}

extension AuditRecord {
    fileprivate func writeFields(_ writer: inout JSONWriter) {
        writer.field("sequence", sequence)
        writer.field("occurred_at", occurredAt)
        writer.field("action", action)
        writer.field("target", target)
        writer.field("actor", actor)
        writer.field("api_key", apiKey)
        writer.field("request_id", requestID)
        for (name, row) in [("before", before), ("after", after)] {
            writer.name(name)
            if let row { writer.raw(bytes: row.bytes) } else { writer.null() }
        }
        writer.field("previous_hash", AuditRecord.hexadecimal(previousHash))
        writer.field("hash", AuditRecord.hexadecimal(hash))
    }

    private static func hexadecimal(_ bytes: Bytea) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
