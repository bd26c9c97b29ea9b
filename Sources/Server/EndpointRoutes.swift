/// `/v1/endpoints`: where people are told. What opens an endpoint goes in once and never comes out again.
import Budgets
import Hummingbird
import JSON
import Outbound
import Store

extension API {
    private static let events = FieldRule.list(.eventPattern, 1...20)
    private static let minPercent = FieldRule.integer(0...1000)
    /// Slack's and PagerDuty's are far shorter; what is longer is no address of a receiver.
    private static let url = FieldRule.text(8...2000)

    @Sendable func createEndpoint(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let kind = fields.require("kind", .word(EndpointCredentials.Kind.self))
        let name = fields.optional("name", .text(1...200)) ?? kind.rawValue
        let events = fields.optional("events", API.events) ?? ["*"]
        let minPercent = fields.optional("min_percent", API.minPercent) ?? 0
        let credentials: EndpointCredentials
        switch kind {
        case .slack: credentials = .slack(url: fields.require("url", API.url))
        case .pagerduty:
            credentials = .pagerduty(
                url: fields.optional("url", API.url) ?? EndpointCredentials.pagerDutyURL,
                routingKey: fields.require("routing_key", .text(1...100)))
        case .webhook:
            var generator = SystemRandomNumberGenerator()
            let given = fields.optional(
                "secret", .text("whsec_ and the base64 of 24 to 64 bytes", placeholder: nil) { WebhookSecret($0).map(Optional.some) })
            credentials = .webhook(
                url: fields.require("url", API.url), secret: (given ?? nil) ?? WebhookSecret(using: &generator))
        }
        do {
            try outbound.check(url: credentials.url)
        } catch {
            fields.fault("url", .invalidValue, "cannot be used: \(error)")
        }
        try fields.finish()
        let endpoint = try await store.createEndpoint(
            EndpointID(at: exchange.now), of: exchange.organization, name: name, credentials: credentials, events: events,
            minPercent: minPercent, sealer: sealer)
        return .json(.created, revision: endpoint.revision) { endpoint.write(showing: credentials, &$0) }
    }

    @Sendable func listEndpoints(_ exchange: Exchange) async throws -> Response {
        let page = try exchange.page(EndpointKind.self)
        return try await exchange.page(store.endpoints(of: exchange.organization, after: page.cursor ?? .first, limit: page.limit)) {
            $0.write(&$1)
        }
    }

    @Sendable func readEndpoint(_ exchange: Exchange) async throws -> Response {
        let endpoint = try await store.endpoint(exchange.id(EndpointKind.self), of: exchange.organization)
        return .json(revision: endpoint.revision) { endpoint.write(&$0) }
    }

    @Sendable func changeEndpoint(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.change("name", .text(1...200))
        let events = fields.change("events", API.events)
        let minPercent = fields.change("min_percent", API.minPercent)
        let isEnabled = fields.change("enabled", .bool)
        try fields.finish()
        let endpoint = try await store.changeEndpoint(
            exchange.id(EndpointKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision()
        ) {
            if let name { $0.name = name }
            if let events { $0.events = events }
            if let minPercent { $0.minPercent = minPercent }
            if let isEnabled { $0.isEnabled = isEnabled }
        }
        return .json(revision: endpoint.revision) { endpoint.write(&$0) }
    }

    @Sendable func archiveEndpoint(_ exchange: Exchange) async throws -> Response {
        try await store.archiveEndpoint(
            exchange.id(EndpointKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision())
        return Response(status: .noContent)
    }

    /// Sends an event of type `endpoint.test` there. What came of it stands among the deliveries.
    @Sendable func testEndpoint(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let delivery = try await store.testEndpoint(
            exchange.id(EndpointKind.self), of: exchange.organization, event: EventID(at: exchange.now),
            delivery: DeliveryID(at: exchange.now), at: exchange.now)
        wakeDispatcher()
        return .json(.accepted) { writer in writer.object { $0.field("delivery", delivery) } }
    }
}

extension FieldRule where Value == String {
    /// `*`, an event's type, or the beginning of several: `budget.*`.
    static var eventPattern: FieldRule {
        text(1...100).that("must be *, an event type such as budget.exceeded, or the beginning of several such as budget.*") { text in
            text == "*"
                || text.split(separator: ".", omittingEmptySubsequences: false).enumerated().allSatisfy { index, part in
                    part == "*" ? index > 0 && text.hasSuffix(".*") : !part.isEmpty && !part.contains("*")
                }
        }
    }
}

extension EndpointRecord {
    /// With the credentials only in the answer to their creation, and of them only a webhook's secret: its receiver needs it.
    func write(showing credentials: EndpointCredentials? = nil, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", name)
            writer.field("kind", kind.rawValue)
            writer.array("events", events)
            writer.field("min_percent", minPercent)
            writer.field("enabled", isEnabled)
            writer.field("disabled_reason", disabledReason)
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            writer.field("archived_at", archivedAt)
            if case .webhook(_, let secret) = credentials { writer.field("secret", secret.revealed) }
        }
    }
}
