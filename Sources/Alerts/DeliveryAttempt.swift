/// One attempt: opens the endpoint's credentials, builds the message, sends it, and says what is to become of the delivery.
import Budgets
import JSON
import Outbound
import Store

struct DeliveryAttempt: Sendable {
    let fate: DeliveryFate
    /// Nil when nothing was sent.
    let record: AttemptRecord?
    /// Why it is not delivered, in words fit for the tenant.
    let reason: String?

    /// Nil when this process is going down: nobody judged the delivery, so the next sender takes it over.
    static func make(_ delivery: ClaimedDelivery, sealer: Sealer, outbound: OutboundClient) async -> DeliveryAttempt? {
        guard delivery.isWanted else { return DeliveryAttempt(unsent: .cancelled, "endpoint disabled or archived") }
        let credentials: EndpointCredentials
        do {
            credentials = try delivery.credentials(sealer)
        } catch {
            // An operator's mistake, such as another master key: it may be put right while the schedule lasts.
            return DeliveryAttempt(unsent: retry(delivery, wish: nil), "endpoint cannot be opened: \(error)")
        }
        guard let body = try? JSON.parse(delivery.body), let request = request(body, delivery, credentials) else {
            return DeliveryAttempt(unsent: .failed, "event cannot be read")
        }
        let start = ContinuousClock.now
        let outcome: Result<OutboundResponse, OutboundError>
        do { outcome = .success(try await outbound.send(request)) } catch { outcome = .failure(error) }
        if case .failure(.cancelled) = outcome { return nil }
        if case .failure(.stopped) = outcome { return nil }
        return DeliveryAttempt(
            delivery, Verdict.of(outcome, from: credentials.kind, at: .now()), outcome, took: ContinuousClock.now - start,
            secrets: credentials.secrets)
    }

    private init(unsent fate: DeliveryFate, _ reason: String) {
        self.fate = fate
        self.reason = reason
        record = nil
    }

    private init(
        _ delivery: ClaimedDelivery, _ verdict: Verdict, _ outcome: Result<OutboundResponse, OutboundError>, took duration: Duration,
        secrets: [String]
    ) {
        switch verdict {
        case .delivered: (fate, reason) = (.delivered, nil)
        case .retry(let why, let wish): (fate, reason) = (DeliveryAttempt.retry(delivery, wish: wish), why)
        case .failed(let why): (fate, reason) = (.failed, why)
        case .disableEndpoint(let why): (fate, reason) = (.endpointDisabled(reason: why), why)
        }
        let response = try? outcome.get()
        record = AttemptRecord(
            duration: duration, status: response?.status, outcome: reason ?? "delivered",
            response: response.map { scrubbed($0.body, of: secrets) })
    }

    private static func retry(_ delivery: ClaimedDelivery, wish: Duration?) -> DeliveryFate {
        var generator = SystemRandomNumberGenerator()
        return RetrySchedule.delay(afterAttempt: Int(delivery.attempt), wish: wish, using: &generator).map { .retry(after: $0) } ?? .failed
    }

    private static func request(_ body: JSON, _ delivery: ClaimedDelivery, _ credentials: EndpointCredentials) -> OutboundRequest? {
        var headers = [Header("Content-Type", "application/json"), Header("User-Agent", "Bursar")]
        let message: JSON?
        switch credentials {
        case .slack: message = SlackMessage.make(body)
        case .pagerduty(_, let routingKey): message = PagerDutyMessage.make(body, routingKey: routingKey)
        case .webhook: message = WebhookMessage.make(body)
        }
        guard let bytes = message?.bytes else { return nil }
        if case .webhook(_, let secret) = credentials {
            headers += WebhookMessage.headers(id: delivery.event.description, at: .now(), body: bytes, secret: secret)
        }
        return OutboundRequest(url: credentials.url, headers: headers, body: bytes)
    }
}

extension EndpointCredentials {
    /// What must not come back in a log because a receiver repeats it.
    fileprivate var secrets: [String] {
        // A receiver knows itself by the path; Slack's is the credential.
        let path = url.split(separator: "/", maxSplits: 2).dropFirst(2).first.flatMap { $0.count >= 8 ? [String($0)] : nil } ?? []
        switch self {
        case .slack: return [url] + path
        case .pagerduty(_, let routingKey): return [url, routingKey]
        case .webhook(_, let secret): return [url, secret.revealed] + path
        }
    }
}

/// How much of an answer the log keeps.
let longestKeptResponse = 2048

/// The beginning of an answer as text, without our secrets and without controls (Postgres takes no NUL, a terminal no escapes).
func scrubbed(_ body: [UInt8], of secrets: [String]) -> String {
    // A secret that straddles the end is recognized before the cut.
    let longest = secrets.map(\.utf8.count).max() ?? 0
    var text = String(decoding: body.prefix(longestKeptResponse + longest), as: UTF8.self)
    for secret in secrets where !secret.isEmpty { text = text.replacing(secret, with: "[…]") }
    return singleLine(String(decoding: text.utf8.prefix(longestKeptResponse), as: UTF8.self))
}
