/// What handlers need. Each topic adds its handlers in an extension beside what they read and show.
import Budgets
import HTTPTypes
import Hummingbird
import Ledger
import Outbound
import Postgres
import Store

struct API: Sendable {
    var store: Store
    /// For reading whole months, over connections of its own: who reads slowly delays others who do, and nobody else.
    let statements: Store
    let authenticator: Authenticator
    /// Proxies that are believed whom they speak for.
    let trustedProxies: [CIDR]
    let keyUses: KeyUses
    let journal: Journal
    let metrics: Metrics
    let engine: Engine
    /// Why calls cannot be served now; nil when they can.
    let hindrance: @Sendable () async -> String?
    let sealer: Sealer
    let outbound: OutboundClient
    /// Whether the operator has named a mail server.
    let canMail: Bool
    /// Tells the dispatcher that there may be something to deliver.
    let wakeDispatcher: @Sendable () -> Void
    let now: @Sendable () -> Instant
}

/// What the server asks of the engine: `Ledger` in service, a stand-in where a test wants one answer.
struct Engine: Sendable {
    /// Hands a command to the organization's lane and returns its durable answer.
    let submit: @Sendable (Command, OrganizationID) async -> Outcome
}

extension API {
    @Sendable func openAPI(_ exchange: Exchange) async throws -> Response { .text("application/yaml", PackageResources.bursar_yaml) }
}
