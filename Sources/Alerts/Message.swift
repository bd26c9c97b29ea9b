/// What goes over the wire for a delivery, by the kind of its endpoint.
import Budgets
import JSON
import Outbound
import Store

struct Message: Sendable {
    enum Content: Sendable {
        case post(OutboundRequest)
        case mail(OutboundMail)
    }

    /// Why there is nothing that could be sent, ever.
    struct Unsendable: Error { let reason: String }

    let content: Content
    /// What must not come back in a log because a receiver repeats it.
    let secrets: [String]

    /// Usually one; none when there is nothing to resolve.
    /// - Throws: `Unsendable`; and what reading from Postgres or opening credentials throws.
    static func all(
        of delivery: ClaimedDelivery, _ credentials: EndpointCredentials, _ sending: Sending, at now: Instant
    ) async throws -> [Message] {
        var circumstances = Circumstances()
        circumstances.attempt = delivery.attempt
        circumstances.age = delivery.age
        circumstances.muted = delivery.muted
        circumstances.publicURL = sending.publicURL
        let body = try? JSON.parse(delivery.body)
        circumstances.topSpender = await topSpender(of: delivery, body.flatMap { BudgetNews($0) }, sending.store)
        guard let body, let notice = Notice(body, circumstances) else { throw Unsendable(reason: "event cannot be read") }
        switch credentials {
        case .slack(let url): return [post(SlackMessage.make(notice).bytes, to: url, credentials)]
        case .teams(let url): return [post(TeamsMessage.make(notice).bytes, to: url, credentials)]
        case .webhook(let url, let secrets):
            guard let bytes = WebhookMessage.make(body, circumstances)?.bytes else { throw Unsendable(reason: "event cannot be read") }
            let headers = WebhookMessage.headers(id: delivery.event.description, at: now, body: bytes, secrets: secrets)
            return [post(bytes, to: url, credentials, headers)]
        case .email(let recipients):
            guard let server = sending.mail else { throw Unsendable(reason: "this server sends no e-mail") }
            let message = MailMessage.make(notice, from: server.sender, to: recipients, at: now)
            return [Message(content: .mail(OutboundMail(server: server, recipients: recipients, message: message)), secrets: [])]
        case .pagerduty(let url, let routingKey):
            guard let news = BudgetNews(body), news.reason != nil else {
                return [post(PagerDutyMessage.trigger(notice, body, routingKey: routingKey).bytes, to: url, credentials)]
            }
            return try await sending.store.triggers(before: delivery, sealer: sending.sealer).compactMap { trigger in
                guard news.levels.contains(trigger.isExceeded ? "block" : "warn"),
                    case .pagerduty(let url, let routingKey) = trigger.credentials
                else { return nil }
                let event = PagerDutyMessage.resolve(news, isExceeded: trigger.isExceeded, routingKey: routingKey)
                return post(event.bytes, to: url, trigger.credentials)
            }
        }
    }

    /// Up to when the event happened, so that it stays the same at later attempts. An alert without it is better than none.
    private static func topSpender(of delivery: ClaimedDelivery, _ news: BudgetNews?, _ store: Store) async -> TopSpender? {
        // What roll-ups cannot tell need not be asked for.
        guard let news, news.reason == nil, news.unit == .usd, news.subject == nil, let budget = BudgetID(news.budget),
            let start = Instant(rfc3339: news.periodStart)
        else {
            return nil
        }
        return try? await store.topSpender(of: budget, in: delivery.organization, since: start, at: news.occurredAt)
    }

    private static func post(
        _ bytes: [UInt8], to url: String, _ credentials: EndpointCredentials, _ headers: [Header] = []
    ) -> Message {
        let usual = [Header("Content-Type", "application/json"), Header("User-Agent", "Bursar")]
        return Message(content: .post(OutboundRequest(url: url, headers: usual + headers, body: bytes)), secrets: credentials.secrets)
    }

    func send(_ outbound: OutboundClient) async -> Result<OutboundResponse, OutboundError> {
        do throws(OutboundError) {
            switch content {
            case .post(let request): return .success(try await outbound.send(request))
            case .mail(let mail): return .success(try await outbound.send(mail))
            }
        } catch {
            return .failure(error)
        }
    }
}

extension EndpointCredentials {
    fileprivate var secrets: [String] {
        // A receiver knows itself by the path; Slack's is the credential, as is the query of a workflow of Teams.
        let path = url?.split(separator: "/", maxSplits: 2).dropFirst(2).first.flatMap { $0.count >= 8 ? [String($0)] : nil } ?? []
        let whole = url.map { [$0] } ?? []
        switch self {
        case .slack, .teams: return whole + path
        case .pagerduty(_, let routingKey): return whole + [routingKey]
        case .webhook(_, let secrets): return whole + secrets.map(\.confidential) + path
        case .email: return []
        }
    }
}
