/// What it takes to reach an endpoint: sealed in Postgres, open only while a delivery is made, and never shown again.
import Budgets
import JSON
import Postgres

/// Where an endpoint is and what opens it. The URL is a secret too: Slack's is the whole credential.
public enum EndpointCredentials: Hashable, Sendable, CustomStringConvertible {
    case slack(url: String)
    case pagerduty(url: String, routingKey: String)
    /// The present secret first; rotated ones sign too until their time is over.
    case webhook(url: String, secrets: [WebhookSecret])
    case email(to: [String])
    case teams(url: String)

    /// The kinds of endpoint there are.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case slack, pagerduty, webhook, email, teams
    }

    /// PagerDuty's Events API v2. Its European region and test receivers have other URLs.
    public static let pagerDutyURL = "https://events.pagerduty.com/v2/enqueue"

    public var kind: Kind {
        switch self {
        case .slack: .slack
        case .pagerduty: .pagerduty
        case .webhook: .webhook
        case .email: .email
        case .teams: .teams
        }
    }

    /// Nil for e-mail, which goes through the operator's server.
    public var url: String? {
        switch self {
        case .slack(let url), .pagerduty(let url, _), .webhook(let url, _), .teams(let url): url
        case .email: nil
        }
    }

    public var description: String { kind.rawValue }

    /// What is sealed.
    var json: JSON {
        switch self {
        case .slack(let url), .teams(let url): ["url": .string(url)]
        case .pagerduty(let url, let routingKey): ["url": .string(url), "routing_key": .string(routingKey)]
        case .email(let to): ["to": .array(to.map { .string($0) })]
        case .webhook(let url, let secrets):
            [
                "url": .string(url),
                "secrets": .array(
                    secrets.map { ["secret": .string($0.kept), "until": $0.until.map { .string($0.rfc3339) } ?? .null] }),
            ]
        }
    }

    /// Reads what was sealed for an endpoint of that kind.
    init?(_ kind: Kind, _ json: JSON) {
        let url = json["url"]?.string
        switch (kind, url) {
        case (.slack, let url?): self = .slack(url: url)
        case (.teams, let url?): self = .teams(url: url)
        case (.pagerduty, let url?):
            guard let routingKey = json["routing_key"]?.string else { return nil }
            self = .pagerduty(url: url, routingKey: routingKey)
        case (.webhook, let url?):
            // One secret alone is how the first version kept it.
            let kept = json["secrets"]?.array ?? [["secret": json["secret"] ?? .null]]
            let secrets = kept.compactMap { entry in
                entry["secret"]?.string.flatMap { WebhookSecret($0, until: entry["until"]?.string.flatMap { Instant(rfc3339: $0) }) }
            }
            guard !secrets.isEmpty, secrets.count == kept.count else { return nil }
            self = .webhook(url: url, secrets: secrets)
        case (.email, _):
            let to = json["to"]?.array?.compactMap(\.string) ?? []
            guard !to.isEmpty else { return nil }
            self = .email(to: to)
        case (_, nil): return nil
        }
    }

    /// Opens what was sealed for an endpoint.
    init(
        _ kind: Kind, opening sealed: Bytea, of endpoint: EndpointID, _ organization: OrganizationID, _ sealer: Sealer
    ) throws(SealingError) {
        let bytes = try sealer.open(sealed.bytes, at: Store.place(of: endpoint, organization))
        guard let json = try? JSON.parse(bytes), let credentials = EndpointCredentials(kind, json) else { throw .unknownFormat }
        self = credentials
    }
}
