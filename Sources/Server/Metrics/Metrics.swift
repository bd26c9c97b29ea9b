/// What `/metrics` serves, and the one place to add to it: a source writes its families each time somebody asks.
import Hummingbird

struct Metrics: Sendable {
    /// Writes some families. Asked for each scrape, so it must be cheap or remember its last answer.
    typealias Source = @Sendable (inout MetricsText) async -> Void

    let http: HTTPMetrics
    /// Everything else. No label names a tenant, and no label's values grow with use: anyone who reaches the port may read this.
    let sources: [Source]

    func text() async -> String {
        var text = MetricsText()
        http.write(to: &text)
        for write in sources { await write(&text) }
        return text.text
    }
}

extension API {
    @Sendable func writeMetrics(_ exchange: Exchange) async throws -> Response {
        .text("text/plain; version=0.0.4; charset=utf-8", Array(await metrics.text().utf8))
    }
}
