/// What a receiver's answer means, by its vendor's own table. Pure: the whole of the status handling can be read and tested here.
public import Budgets
public import Outbound
public import Store

/// What is to become of a delivery after an attempt.
public enum Verdict: Equatable, Sendable {
    case delivered
    /// Again by the schedule, and not before the receiver's wish.
    case retry(reason: String, wish: Duration?)
    /// Never again: the receiver understood and will not take it.
    case failed(reason: String)
    /// Nor anything else that goes there, until someone looks.
    case disableEndpoint(reason: String)

    /// Judges one attempt. `now` is for `Retry-After` dates.
    public static func of(
        _ outcome: Result<OutboundResponse, OutboundError>, from kind: EndpointCredentials.Kind, at now: Instant
    ) -> Verdict {
        switch outcome {
        case .success(let response): of(response, from: kind, at: now)
        case .failure(.notAllowed): .disableEndpoint(reason: OutboundError.notAllowed.description)
        case .failure(.invalid(let reason)): .disableEndpoint(reason: reason)
        case .failure(let error): .retry(reason: error.description, wish: nil)
        }
    }

    private static func of(_ response: OutboundResponse, from kind: EndpointCredentials.Kind, at now: Instant) -> Verdict {
        let reason = "HTTP \(response.status)"
        let wish = response.header("retry-after").flatMap { RetrySchedule.wish(retryAfter: $0, at: now) }
        switch (kind, response.status) {
        case (.slack, 200..<300):
            // Slack says `ok`; imitations say other things. Its words for errors do not become a success by the status.
            let word = String(decoding: response.body.prefix(longestSlackWord), as: UTF8.self)
            return slackErrors.contains(word) ? .failed(reason: "\(reason): \(word)") : .delivered
        case (_, 200..<300): return .delivered
        case (.email, 400..<500): return .retry(reason: "SMTP \(response.status)", wish: nil)  // RFC 5321 §4.2.1: transient
        // The operator's login: nothing is wrong with the message, and it may be put right while the schedule lasts.
        case (.email, 530), (.email, 534), (.email, 535), (.email, 538): return .retry(reason: "SMTP \(response.status)", wish: nil)
        case (.email, _): return .failed(reason: "SMTP \(response.status)")
        case (.slack, 403), (.slack, 404): return .disableEndpoint(reason: reason)
        case (.teams, 401), (.teams, 403), (.teams, 404): return .disableEndpoint(reason: reason)
        case (_, 410): return .disableEndpoint(reason: reason)
        case (.pagerduty, 429): return .retry(reason: reason, wish: max(wish ?? .zero, pagerDutyPause))
        case (_, 408), (_, 425), (_, 429), (_, 500...): return .retry(reason: reason, wish: wish)
        // Standard Webhooks counts any other status as a failure that may pass; a redirect is one, never followed.
        case (.webhook, _): return .retry(reason: reason, wish: wish)
        default: return .failed(reason: reason)
        }
    }

    /// A receiver that asks for a pause is well, and what is wrong with one message is no fault of the endpoint.
    public var isWell: Bool {
        switch self {
        case .delivered, .failed: true
        case .retry(let reason, _): reason == "HTTP 429"
        case .disableEndpoint: false
        }
    }

    /// PagerDuty counts events over 60 s and asks for at least half of that.
    static let pagerDutyPause: Duration = .seconds(30)

    private static let longestSlackWord = 64
    /// Slack's plain-text errors, which a gateway in between may have turned into a 200.
    private static let slackErrors: Set<String> = [
        "invalid_payload", "invalid_blocks", "invalid_blocks_format", "no_text", "too_many_attachments",
        "missing_text_or_fallback_or_attachments", "user_not_found", "action_prohibited", "posting_to_general_channel_denied",
        "invalid_token", "channel_not_found", "no_service", "no_service_id", "no_team", "channel_is_archived", "rollup_error",
    ]
}
