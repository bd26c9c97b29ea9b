/// A signed webhook by Standard Webhooks 1.0.0: the receiver can check who sent it, when, and whether it has seen it before.
public import Budgets
public import JSON
public import Outbound
public import Store

/// Builds and signs what is posted to a generic webhook.
public enum WebhookMessage {
    /// `{"type":…,"timestamp":…,"data":…,"delivery":…}`; nil when the event's body cannot be read. All but `delivery` is the same at
    /// every attempt.
    public static func make(_ body: JSON, _ circumstances: Circumstances = Circumstances()) -> JSON? {
        guard let type = body["type"], let occurredAt = body["occurred_at"] else { return nil }
        let spender: JSON =
            circumstances.topSpender.map { spender in
                [
                    "kind": .string(spender.dimension.rawValue), "id": .string(spender.id), "name": .string(spender.name),
                    "cost": .string(spender.cost.description),
                ]
            } ?? .null
        return [
            "type": type, "timestamp": occurredAt, "data": body,
            "delivery": [
                "attempt": .number(circumstances.attempt), "late": .bool(circumstances.isLate), "muted": .number(circumstances.muted),
                "top_spender": spender,
            ],
        ]
    }

    /// The three headers of the specification. The id is the event's and stays the same at every attempt; the time is the attempt's,
    /// so signing happens when the message is sent. While a rotated secret still counts, there is a signature by each.
    public static func headers(id: String, at now: Instant, body: [UInt8], secrets: [WebhookSecret]) -> [Header] {
        let timestamp = String(now.seconds)
        let message = Array("\(id).\(timestamp).".utf8) + body
        let signatures = secrets.filter { $0.until.map { now < $0 } ?? true }.map { $0.signature(of: message) }
        return [
            Header("webhook-id", id), Header("webhook-timestamp", timestamp),
            Header("webhook-signature", signatures.joined(separator: " ")),
        ]
    }
}
