/// `/v1/alerts` and `/v1/deliveries`: what people were told, and how it got to them. The newest first.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func listAlerts(_ exchange: Exchange) async throws -> Response {
        let page = try exchange.page(AlertKind.self)
        return try await exchange.page(
            store.alerts(of: exchange.organization, teams: exchange.reach.teams, before: page.cursor ?? .last, limit: page.limit)
        ) {
            $0.write(&$1)
        }
    }

    @Sendable func listDeliveries(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let limit = PageQuery.limit(&query)
        let before = query.optional("cursor", .deliveryCursor) ?? .newest
        try query.finish()
        let page = try await store.deliveries(of: exchange.organization, before: before, limit: limit)
        let next = page.next.map { "\($0.event) \($0.endpoint)" }
        return try exchange.page(page.items, next: next) { $0.write(&$1) }
    }
}

extension FieldRule where Value == DeliveryCursor {
    static var deliveryCursor: FieldRule {
        .text("a cursor from this list", placeholder: .newest) { text in
            let parts = text.split(separator: " ")
            guard parts.count == 2, let event = EventID(String(parts[0])), let endpoint = EndpointID(String(parts[1])) else { return nil }
            return DeliveryCursor(event: event, endpoint: endpoint)
        }
    }
}

extension AlertRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.object("budget") { writer in
                writer.field("id", budget)
                writer.field("name", budgetName)
            }
            writer.field("subject", subject)
            writer.field("period_start", periodStart)
            writer.field("limit_version", limitVersion)
            writer.field("threshold", threshold)
            writer.field("settled", settled, in: unit)
            writer.field("amount", amount, in: unit)
            writer.field("superseded", event == nil)
            writer.field("event", event)
            writer.field("created_at", createdAt)
        }
    }
}

extension DeliveryRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("event", event)
            writer.field("event_type", eventType)
            writer.field("endpoint", endpoint)
            writer.field("state", state)
            writer.field("attempts", attempts)
            writer.field("next_attempt_at", state == "pending" ? nextAttemptAt : nil)
            writer.field("last_error", lastError)
            writer.field("created_at", createdAt)
            writer.field("finished_at", finishedAt)
        }
    }
}
