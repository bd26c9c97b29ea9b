/// What handlers need. Each topic adds its handlers in an extension beside what they read and show.
import Budgets
import HTTPTypes
import Hummingbird
import Ledger
import Outbound
import Postgres
import Store

struct API: Sendable {
    /// Inside of a request: on its organization's side of the wall.
    var store: Store
    /// For reading whole months, over connections of its own: who reads slowly delays others who do, and nobody else.
    var statements: Store
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
    let links: ExportLinks
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
    /// For a request of this organization's: nothing that its handler does sees another's rows, whatever it asks for (law 8).
    func walled(for organization: OrganizationID) -> API {
        var api = self
        api.store = store.store(of: organization)
        api.statements = statements.store(of: organization)
        return api
    }

    @Sendable func openAPI(_ exchange: Exchange) async throws -> Response { .text("application/yaml", PackageResources.bursar_yaml) }
}
