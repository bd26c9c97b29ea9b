/// `/v1/endpoints`: where people are told. What opens an endpoint goes in once and never comes out again.
import Budgets
import Hummingbird
import JSON
import Outbound
import Store

extension API {
    @Sendable func createEndpoint(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let kind = fields.require("kind", .word(EndpointCredentials.Kind.self))
        var settings = EndpointSettings(name: fields.optional("name", .text(1...200)) ?? kind.rawValue)
        if let events = fields.optional("events", .eventPatterns) { settings.events = events }
        if let about = fields.optional("about", .concerns) { settings.about = about }
        if let percent = fields.optional("min_percent", .integer(0...1000)) { settings.minPercent = percent }
        if let severity = fields.optional("min_severity", .word(Severity.self)) { settings.minSeverity = severity }
        settings.ratePerMinute = fields.optional("rate_per_minute", .ratePerMinute)
        let credentials = credentials(kind, &fields)
        try fields.finish()
        let endpoint = try await store.createEndpoint(
            EndpointID(at: exchange.now), of: exchange.organization, settings, credentials: credentials, sealer: sealer)
        return .json(.created, revision: endpoint.revision) { endpoint.write(showing: credentials, &$0) }
    }

    @Sendable func listEndpoints(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let (filter, listing) = (PageQuery.filter(&query), PageQuery.listing(&query, EndpointRecord.orders) as Listing<_, EndpointID>)
        let kind = query.optional("kind", .word(EndpointCredentials.Kind.self))
        try query.finish()
        return try await exchange.page(store.endpoints(of: exchange.organization, kind: kind, filter, listing)) {
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
        let events = fields.change("events", .eventPatterns)
        let about = fields.change("about", .concerns)
        let minPercent = fields.change("min_percent", .integer(0...1000))
        let minSeverity = fields.change("min_severity", .word(Severity.self))
        let ratePerMinute = fields.changeOrEmpty("rate_per_minute", .ratePerMinute)
        let isPaused = fields.change("paused", .bool)
        let isEnabled = fields.change("enabled", .bool)
        try fields.finish()
        let endpoint = try await store.changeEndpoint(
            exchange.id(EndpointKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision()
        ) {
            if let name { $0.settings.name = name }
            if let events { $0.settings.events = events }
            if let about { $0.settings.about = about }
            if let minPercent { $0.settings.minPercent = minPercent }
            if let minSeverity { $0.settings.minSeverity = minSeverity }
            if let ratePerMinute { $0.settings.ratePerMinute = ratePerMinute }
            if let isPaused { $0.settings.isPaused = isPaused }
            if let isEnabled { $0.isEnabled = isEnabled }
        }
        return .json(revision: endpoint.revision) { endpoint.write(&$0) }
    }

    @Sendable func archiveEndpoint(_ exchange: Exchange) async throws -> Response {
        try await store.archiveEndpoint(
            exchange.id(EndpointKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision())
        return Response(status: .noContent)
    }

    @Sendable func restoreEndpoint(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let endpoint = try await store.restoreEndpoint(exchange.id(EndpointKind.self), of: exchange.organization)
        return .json(revision: endpoint.revision) { endpoint.write(&$0) }
    }

    /// Sends an event of type `endpoint.test` there. What came of it stands among the deliveries.
    @Sendable func testEndpoint(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let delivery = try await store.testEndpoint(
            exchange.id(EndpointKind.self), of: exchange.organization, event: EventID(at: exchange.now),
            delivery: DeliveryID(at: exchange.now), at: exchange.now)
        return .json(.accepted) { writer in writer.object { $0.field("delivery", delivery) } }
    }

    /// New credentials for an endpoint. A webhook's old secret goes on signing beside the new one for a while, so that its receiver can
    /// change over; a PagerDuty routing key still resolves what it triggered.
    @Sendable func rotateEndpointSecret(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let overlap = fields.optional("overlap_seconds", .integer(0...2_678_400)) ?? 86_400
        let url = url(&fields, isRequired: false)
        let routingKey = fields.optional("routing_key", .text(1...100))
        let secret = fields.optional("secret", .webhookSecret) ?? nil
        let given = fields
        let until = exchange.now.adding(seconds: overlap)
        let (endpoint, credentials) = try await store.rotateEndpoint(
            exchange.id(EndpointKind.self), of: exchange.organization, sealer: sealer
        ) { old in
            var fields = given
            var new = old
            switch old {
            case .slack:
                if url == nil { fields.fault("url", .missing, "is required: for Slack the URL is the secret") }
                new = .slack(url: url ?? "")
            case .teams:
                if url == nil { fields.fault("url", .missing, "is required: for Teams the URL is the secret") }
                new = .teams(url: url ?? "")
            case .pagerduty(let oldURL, _):
                if routingKey == nil { fields.fault("routing_key", .missing, "is required") }
                new = .pagerduty(url: url ?? oldURL, routingKey: routingKey ?? "")
            case .webhook(let oldURL, let secrets):
                var generator = SystemRandomNumberGenerator()
                let next = secret ?? WebhookSecret(secrets[0].scheme, using: &generator)
                // Receivers look at few signatures: the one before the last is dropped.
                new = .webhook(url: url ?? oldURL, secrets: [next, secrets[0].expiring(at: until)])
            case .email: fields.fault("", .invalidValue, "e-mail has no secret")
            }
            try fields.finish()
            return new
        }
        return .json(revision: endpoint.revision) { endpoint.write(showing: credentials, &$0) }
    }

    /// Sends again what an endpoint missed: `?since=`.
    @Sendable func recoverEndpoint(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let since = query.require("since", .instant)
        let oldest = exchange.now.adding(seconds: -Store.longestRecovery.components.seconds)
        if since < oldest || since > exchange.now { query.fault("since", .outOfRange, "must be within the last 30 days") }
        try query.finish()
        let count = try await store.recoverEndpoint(exchange.id(EndpointKind.self), of: exchange.organization, since: since)
        return .json(.accepted) { writer in writer.object { $0.field("deliveries", Int64(count)) } }
    }

    private func credentials(_ kind: EndpointCredentials.Kind, _ fields: inout FieldReader) -> EndpointCredentials {
        switch kind {
        case .slack: return .slack(url: url(&fields) ?? "")
        case .teams: return .teams(url: url(&fields) ?? "")
        case .pagerduty:
            return .pagerduty(
                url: url(&fields, isRequired: false) ?? EndpointCredentials.pagerDutyURL,
                routingKey: fields.require("routing_key", .text(1...100)))
        case .webhook:
            let url = url(&fields) ?? ""
            let scheme = fields.optional("signing", .word(WebhookSecret.Scheme.self))
            let given = fields.optional("secret", .webhookSecret) ?? nil
            if let given, let scheme, given.scheme != scheme { fields.fault("secret", .invalidValue, "is not one of \(scheme.rawValue)") }
            var generator = SystemRandomNumberGenerator()
            return .webhook(url: url, secrets: [given ?? WebhookSecret(scheme ?? .hmac, using: &generator)])
        case .email:
            if !canMail { fields.fault("kind", .invalidValue, "cannot be email: this server has no mail server set (--smtp-url)") }
            return .email(to: fields.require("to", .list(.mailAddress, 1...10)))
        }
    }

    private func url(_ fields: inout FieldReader, isRequired: Bool = true) -> String? {
        // The vendors' are far shorter; what is longer is no address of a receiver.
        let rule = FieldRule.text(8...2000)
        guard let url = isRequired ? fields.require("url", rule) : fields.optional("url", rule), !url.isEmpty else { return nil }
        do {
            try outbound.check(url: url)
        } catch {
            fields.fault("url", .invalidValue, "cannot be used: \(error)")
        }
        return url
    }
}

extension FieldRule where Value == [String] {
    static var eventPatterns: FieldRule { .list(.eventPattern, 1...20) }
}

extension FieldRule where Value == [Concern] {
    /// Teams, projects and budgets, by id.
    static var concerns: FieldRule {
        .list(.text("the id of a team, project or budget", placeholder: .team(.first)) { Concern($0) }, 0...100)
    }
}

extension FieldRule where Value == WebhookSecret? {
    static var webhookSecret: FieldRule {
        .text("whsec_ and the base64 of 24 to 64 bytes, or whsk_ and the base64 of 32", placeholder: nil) {
            WebhookSecret($0).map(Optional.some)
        }
    }
}

extension FieldRule where Value == Int64 {
    static var ratePerMinute: FieldRule { .integer(1...6000) }
}

extension FieldRule where Value == String {
    static var mailAddress: FieldRule { text(3...254).that("must be an e-mail address", OutboundMail.isAddress) }

    static var eventPattern: FieldRule {
        text(1...100).that("must be *, an event type such as budget.exceeded, or all of a kind such as budget.*") {
            EventType.patterns.contains($0)
        }
    }
}

extension EndpointRecord {
    /// With the credentials only in the answer that makes or rotates them, and of them only what a webhook's receiver verifies with.
    func write(showing credentials: EndpointCredentials? = nil, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", settings.name)
            writer.field("kind", kind.rawValue)
            writer.array("events", settings.events)
            writer.array("about", settings.about.map(\.description))
            writer.field("min_percent", settings.minPercent)
            writer.field("min_severity", settings.minSeverity.rawValue)
            writer.field("rate_per_minute", settings.ratePerMinute)
            writer.field("paused", settings.isPaused)
            writer.field("enabled", isEnabled)
            writer.field("disabled_reason", disabledReason)
            writer.object("health") { writer in
                writer.field("failures", failures)
                writer.field("failing_since", failingSince)
                writer.field("last_success_at", lastSuccessAt)
                writer.field("last_failure_at", lastFailureAt)
            }
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            writer.field("archived_at", archivedAt)
            if case .webhook(_, let secrets) = credentials {
                writer.field(secrets[0].scheme == .hmac ? "secret" : "public_key", secrets[0].revealed)
            }
        }
    }
}
