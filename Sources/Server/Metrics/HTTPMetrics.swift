/// Requests by route and status class. All series are made when the server starts, so that a caller cannot make more.
import HTTPTypes
import Ledger
import Synchronization

/// The requests of one route.
final class RouteFigures: Sendable {
    private struct State {
        /// Answers with 1xx to 5xx.
        var classes = Array(repeating: 0, count: 5)
        var durations = Histogram(bounds: Histogram.durationBounds)
    }

    let method: HTTPRequest.Method?
    /// As in the route table; `unmatched` for paths that are not there.
    let path: String
    private let state = Mutex(State())

    init(method: HTTPRequest.Method?, path: String) {
        self.method = method
        self.path = path
    }

    func record(status: Int, took: Duration) {
        state.withLock { state in
            state.classes[min(max(1, status / 100), 5) - 1] += 1
            state.durations.record(took)
        }
    }

    fileprivate var figures: (classes: [Int], durations: Histogram) { state.withLock { ($0.classes, $0.durations) } }
}

/// The figures of all routes, in the order of the route table.
struct HTTPMetrics: Sendable {
    let routes: [RouteFigures]
    let unmatched = RouteFigures(method: nil, path: "unmatched")

    init(_ routes: [Route]) {
        self.routes = routes.map { RouteFigures(method: $0.method, path: $0.path) }
    }

    /// Series that never counted anything are left out.
    func write(to text: inout MetricsText) {
        let all = (routes + [unmatched]).map { ($0.method?.rawValue ?? "", $0.path, $0.figures) }
        text.family("bursar_http_requests_total", .counter, "Requests answered, by route and class of status.") { family in
            for (method, path, figures) in all {
                for (index, count) in figures.classes.enumerated() where count > 0 {
                    family.sample(["method": method, "route": path, "status": "\(index + 1)xx"], count)
                }
            }
        }
        text.family(
            "bursar_http_request_duration_seconds", .histogram, "From the request's head to its answer, without sending it."
        ) { family in
            for (method, path, figures) in all where figures.classes.contains(where: { $0 > 0 }) {
                family.histogram([("method", method), ("route", path)], figures.durations, seconds)
            }
        }
    }
}
