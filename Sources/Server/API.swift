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
    let authenticator: Authenticator
    let metrics: HTTPMetrics
    let engine: Engine
    let sealer: Sealer
    let outbound: OutboundClient
    /// Whether the operator has named a mail server.
    let canMail: Bool
    /// Tells the dispatcher that there may be something to deliver.
    let wakeDispatcher: @Sendable () -> Void
    let now: @Sendable () -> Instant
    /// The last nightly check that any replica finished.
    var lastCheck: @Sendable () -> CheckRuns.Run? = { nil }
}

/// What the server asks of the engine: `Ledger` in service, a stand-in where a test wants one answer.
struct Engine: Sendable {
    /// Hands a command to the organization's lane and returns its durable answer.
    let submit: @Sendable (Command, OrganizationID) async -> Outcome
    /// Whether every lane has its connection.
    let isConnected: @Sendable () -> Bool
    let figures: @Sendable () -> [LaneFigures]
}

extension API {
    /// The process answers.
    @Sendable func live(_ exchange: Exchange) async throws -> Response { .text("text/plain; charset=utf-8", Array("ok\n".utf8)) }

    /// Postgres can be written to and every lane has its connection.
    @Sendable func ready(_ exchange: Exchange) async throws -> Response {
        guard engine.isConnected(), try await store.takesWrites() else { throw Problem(.storeUnavailable) }
        return .text("text/plain; charset=utf-8", Array("ready\n".utf8))
    }

    @Sendable func openAPI(_ exchange: Exchange) async throws -> Response { .text("application/yaml", PackageResources.bursar_yaml) }

    /// No labels of tenants: anyone who reaches the port may read this.
    @Sendable func writeMetrics(_ exchange: Exchange) async throws -> Response {
        var text = MetricsText()
        metrics.write(to: &text)
        let lanes = engine.figures()
        text.family("bursar_lane_queued", "gauge", "Commands waiting for their lane.")
        for (index, lane) in lanes.enumerated() { text.line("bursar_lane_queued", "lane=\"\(index)\"", lane.queued) }
        text.family("bursar_lane_batches_total", "counter", "Batches committed.")
        for (index, lane) in lanes.enumerated() { text.line("bursar_lane_batches_total", "lane=\"\(index)\"", lane.batches) }
        text.family("bursar_lane_commands_total", "counter", "Commands taken in batches.")
        for (index, lane) in lanes.enumerated() { text.line("bursar_lane_commands_total", "lane=\"\(index)\"", lane.commands) }
        text.family("bursar_outcomes_total", "counter", "Answers of the engine, by command and outcome.")
        let outcomes = lanes.reduce(into: [String: Int64]()) { sums, lane in sums.merge(lane.outcomes, uniquingKeysWith: +) }
        for (name, count) in outcomes.sorted(by: { $0.key < $1.key }) {
            let parts = name.split(separator: "/")
            text.line("bursar_outcomes_total", "command=\"\(parts[0])\",outcome=\"\(parts[parts.count - 1])\"", count)
        }
        if let check = lastCheck() {
            text.family("bursar_check_violations", "gauge", "Contradictions to the laws that the last nightly check found; 0 is right.")
            text.line("bursar_check_violations", "", check.violations)
            text.family("bursar_check_timestamp_seconds", "gauge", "When the last nightly check finished.")
            text.line("bursar_check_timestamp_seconds", "", check.finishedAt.seconds)
        }
        return .text("text/plain; version=0.0.4; charset=utf-8", Array(text.text.utf8))
    }
}
