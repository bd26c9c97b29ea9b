/// A signed webhook by Standard Webhooks 1.0.0: the receiver can check who sent it, when, and whether it has seen it before.
public import Budgets
import Crypto
public import JSON
public import Outbound
public import Store

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Builds and signs what is posted to a generic webhook.
public enum WebhookMessage {
    /// `{"type":…,"timestamp":…,"data":…}`; nil when the event's body cannot be read. The same bytes at every attempt.
    public static func make(_ body: JSON) -> JSON? {
        guard let type = body["type"], let occurredAt = body["occurred_at"] else { return nil }
        return ["type": type, "timestamp": occurredAt, "data": body]
    }

    /// The three headers of the specification. The id is the event's and stays the same at every attempt; the time is the attempt's,
    /// so signing happens when the message is sent.
    public static func headers(id: String, at now: Instant, body: [UInt8], secret: WebhookSecret) -> [Header] {
        let timestamp = String(now.seconds)
        return [
            Header("webhook-id", id), Header("webhook-timestamp", timestamp),
            Header("webhook-signature", signature(id: id, timestamp: timestamp, body: body, secret: secret)),
        ]
    }

    /// `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
    public static func signature(id: String, timestamp: String, body: [UInt8], secret: WebhookSecret) -> String {
        let signed = Array("\(id).\(timestamp).".utf8) + body
        let code = HMAC<SHA256>.authenticationCode(for: signed, using: SymmetricKey(data: secret.bytes))
        return "v1," + Data(code).base64EncodedString()
    }
}
