/// What it takes to reach an endpoint: sealed in Postgres, open only while a delivery is made, and never shown again.
import JSON

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The secret that a webhook's receiver verifies signatures with (Standard Webhooks 1.0.0).
public struct WebhookSecret: Hashable, Sendable, CustomStringConvertible {
    public static let prefix = "whsec_"
    /// New secrets have this many random bytes; the specification allows 24 to 64.
    public static let newBytes = 32

    public let bytes: [UInt8]

    /// A new secret.
    public init(using generator: inout some RandomNumberGenerator) {
        bytes = (0..<WebhookSecret.newBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// Reads the text form; nil unless it is `whsec_` and the base64 of 24 to 64 bytes.
    public init?(_ text: String) {
        guard text.hasPrefix(WebhookSecret.prefix), let data = Data(base64Encoded: String(text.dropFirst(WebhookSecret.prefix.count))),
            (24...64).contains(data.count)
        else { return nil }
        bytes = Array(data)
    }

    /// The text form, for the one answer that shows it.
    public var revealed: String { WebhookSecret.prefix + Data(bytes).base64EncodedString() }

    public var description: String { "whsec_…" }
}

/// Where an endpoint is and what opens it. The URL is a secret too: Slack's is the whole credential.
public enum EndpointCredentials: Hashable, Sendable, CustomStringConvertible {
    case slack(url: String)
    case pagerduty(url: String, routingKey: String)
    case webhook(url: String, secret: WebhookSecret)

    /// The kinds of endpoint there are.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case slack, pagerduty, webhook
    }

    /// PagerDuty's Events API v2. Its European region and test receivers have other URLs.
    public static let pagerDutyURL = "https://events.pagerduty.com/v2/enqueue"

    public var kind: Kind {
        switch self {
        case .slack: .slack
        case .pagerduty: .pagerduty
        case .webhook: .webhook
        }
    }

    public var url: String {
        switch self {
        case .slack(let url), .pagerduty(let url, _), .webhook(let url, _): url
        }
    }

    public var description: String { kind.rawValue }

    /// What is sealed.
    var json: JSON {
        switch self {
        case .slack(let url): ["url": .string(url)]
        case .pagerduty(let url, let routingKey): ["url": .string(url), "routing_key": .string(routingKey)]
        case .webhook(let url, let secret): ["url": .string(url), "secret": .string(secret.revealed)]
        }
    }

    /// Reads what was sealed for an endpoint of that kind.
    init?(_ kind: Kind, _ json: JSON) {
        guard let url = json["url"]?.string else { return nil }
        switch kind {
        case .slack: self = .slack(url: url)
        case .pagerduty:
            guard let routingKey = json["routing_key"]?.string else { return nil }
            self = .pagerduty(url: url, routingKey: routingKey)
        case .webhook:
            guard let secret = json["secret"]?.string.flatMap({ WebhookSecret($0) }) else { return nil }
            self = .webhook(url: url, secret: secret)
        }
    }
}
