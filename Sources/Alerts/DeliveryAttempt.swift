/// One attempt: opens the endpoint's credentials, builds the message, sends it, and says what is to become of the delivery.
import Budgets
import JSON
public import Outbound
public import Store

/// What all attempts need beside the delivery itself.
public struct Sending: Sendable {
    private(set) var store: Store
    let sealer: Sealer
    let outbound: OutboundClient
    /// Nil: e-mail cannot be sent.
    let mail: MailServer?
    /// How people reach this server; nil: no links.
    let publicURL: String?

    public init(store: Store, sealer: Sealer, outbound: OutboundClient, mail: MailServer? = nil, publicURL: String? = nil) {
        self.store = store
        self.sealer = sealer
        self.outbound = outbound
        self.mail = mail
        self.publicURL = publicURL
    }

    /// For one delivery: nothing that is read, sent or written down for it is of another organization (law 8).
    func walled(for organization: OrganizationID) -> Sending {
        var sending = self
        sending.store = store.store(of: organization)
        return sending
    }
}

struct DeliveryAttempt: Sendable {
    let fate: DeliveryFate
    /// Nil when nothing was sent.
    let record: AttemptRecord?
    /// Why it is not delivered, in words fit for the tenant.
    let reason: String?
    /// Set when nothing more can go to this endpoint, and why.
    var disables: String?

    /// Nil when this process is going down: nobody judged the delivery, so the next sender takes it over.
    static func make(_ delivery: ClaimedDelivery, _ sending: Sending, at now: Instant) async -> DeliveryAttempt? {
        if let why = delivery.unwanted { return DeliveryAttempt(fate: .cancelled, record: nil, reason: why) }
        let messages: [Message]
        do {
            let credentials = try delivery.credentials(sending.sealer)
            messages = try await Message.all(of: delivery, credentials, sending, at: now)
        } catch let error as Message.Unsendable {
            return DeliveryAttempt(fate: .failed, record: nil, reason: error.reason)
        } catch {
            // An operator's mistake, such as another master key, or Postgres away: it may be put right while the schedule lasts.
            return DeliveryAttempt(fate: retry(delivery, wish: nil), record: nil, reason: "endpoint cannot be opened: \(error)")
        }
        guard !messages.isEmpty else { return DeliveryAttempt(fate: .cancelled, record: nil, reason: "nothing to resolve") }
        let start = ContinuousClock.now
        var last: DeliveryAttempt?
        // More than one only where incidents of several routing keys are to be resolved: each can be repeated without harm.
        for message in messages {
            let outcome = await message.send(sending.outbound)
            if case .failure(.cancelled) = outcome { return nil }
            if case .failure(.stopped) = outcome { return nil }
            last = judge(delivery, outcome, at: now, took: ContinuousClock.now - start, secrets: message.secrets)
            guard last?.fate == .delivered else { break }
        }
        return last
    }

    private static func judge(
        _ delivery: ClaimedDelivery, _ outcome: Result<OutboundResponse, OutboundError>, at now: Instant, took duration: Duration,
        secrets: [String]
    ) -> DeliveryAttempt {
        let verdict = Verdict.of(outcome, from: delivery.kind, at: now)
        let fate: DeliveryFate
        var reason: String?
        var disables: String?
        switch verdict {
        case .delivered: fate = .delivered
        case .retry(let why, let wish): (fate, reason) = (retry(delivery, wish: wish), why)
        case .failed(let why): (fate, reason) = (.failed, why)
        case .disableEndpoint(let why): (fate, reason, disables) = (.failed, why, why)
        }
        let response = try? outcome.get()
        let record = AttemptRecord(
            duration: duration, status: response?.status, outcome: reason ?? "delivered",
            response: response.map { scrubbed($0.body, of: secrets) }, isWell: verdict.isWell)
        return DeliveryAttempt(fate: fate, record: record, reason: reason, disables: disables)
    }

    private static func retry(_ delivery: ClaimedDelivery, wish: Duration?) -> DeliveryFate {
        var generator = SystemRandomNumberGenerator()
        return RetrySchedule.delay(afterAttempt: Int(delivery.scheduledAttempt), wish: wish, using: &generator).map { .retry(after: $0) }
            ?? .failed
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
