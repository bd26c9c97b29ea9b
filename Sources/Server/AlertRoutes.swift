/// `/v1/alerts` and `/v1/deliveries`: what people were told, and how it got to them. The newest first.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func listAlerts(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<AlertRecord, AlertID> = PageQuery.listing(&query, AlertRecord.orders, isNewestFirst: true)
        let team = query.optional("team", .id(TeamKind.self))
        let budget = query.optional("budget", .id(BudgetKind.self))
        let isRecovered = query.optional("recovered", .flag)
        try query.finish()
        return try await exchange.page(
            store.alerts(of: exchange.organization, teams: exchange.reach.teams(team), budget: budget, isRecovered: isRecovered, listing)
        ) {
            $0.write(&$1)
        }
    }

    @Sendable func listDeliveries(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<DeliveryRecord, EndpointID> = PageQuery.listing(&query, DeliveryRecord.orders, isNewestFirst: true)
        let filter = DeliveryFilter(
            state: query.optional("state", .word(DeliveryState.self))?.rawValue,
            endpoint: query.optional("endpoint", .id(EndpointKind.self)), event: query.optional("event", .id(EventKind.self)),
            eventType: query.optional("event_type", .word(EventType.self))?.rawValue)
        try query.finish()
        return try await exchange.page(store.deliveries(of: exchange.organization, filter, listing)) { $0.write(&$1) }
    }

    @Sendable func readDelivery(_ exchange: Exchange) async throws -> Response {
        let (delivery, log) = try await store.delivery(exchange.id(DeliveryKind.self), of: exchange.organization)
        return .json { delivery.write(log: log, &$0) }
    }

    /// Sends again what failed or was cancelled; what waits is due at once.
    @Sendable func retryDelivery(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let delivery = try await store.retryDelivery(exchange.id(DeliveryKind.self), of: exchange.organization)
        return .json(.accepted) { delivery.write(&$0) }
    }
}

/// The states a list of deliveries can be asked for.
enum DeliveryState: String, CaseIterable, Sendable { case pending, sending, delivered, failed, cancelled, muted }

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
            writer.field("threshold", threshold > 0 ? threshold : nil)
            if threshold > 0 {
                writer.field("threshold_amount", JSON.null)
            } else {
                writer.field("threshold_amount", thresholdAmount, in: unit)
            }
            writer.field("settled", settled, in: unit)
            writer.field("amount", amount, in: unit)
            writer.field("superseded", event == nil)
            writer.field("event", event)
            writer.field("created_at", createdAt)
            writer.field("recovered_at", recoveredAt)
        }
    }
}

extension DeliveryRecord {
    /// With the log of its attempts when it is asked for alone.
    func write(log: [AttemptEntry]? = nil, _ writer: inout JSONWriter) {
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
            guard let log else { return }
            writer.array("log") { writer in
                for entry in log {
                    writer.object { writer in
                        writer.field("attempt", entry.attempt)
                        writer.field("started_at", entry.startedAt)
                        writer.field("duration_ms", entry.durationMilliseconds)
                        writer.field("status", entry.status)
                        writer.field("outcome", entry.outcome)
                        writer.field("response", entry.response)
                    }
                }
            }
        }
    }
}
