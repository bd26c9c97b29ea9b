/// Figures for Prometheus (text format 0.0.4). All series are made when the server starts, so their number is bounded, and counting
/// one is an atomic addition.
import HTTPTypes
import Synchronization

/// A number that only grows.
final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func add(_ amount: Int = 1) { value.wrappingAdd(amount, ordering: .relaxed) }
    var count: Int { value.load(ordering: .relaxed) }
}

/// How long something took, in buckets.
final class DurationHistogram: Sendable {
    /// Upper bounds in microseconds: half a millisecond, where a lone call should be, to ten seconds, where clients give up.
    static let bounds = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000]

    private let buckets = (0...bounds.count).map { _ in Counter() }
    private let microseconds = Counter()

    func record(_ duration: Duration) {
        let taken = Int(duration / .microseconds(1))
        microseconds.add(taken)
        buckets[Self.bounds.firstIndex { taken <= $0 } ?? Self.bounds.count].add()
    }

    func write(_ name: String, labels: String, to text: inout MetricsText) {
        var total = 0
        for (index, bucket) in buckets.enumerated() {
            total += bucket.count
            let bound = index < Self.bounds.count ? seconds(Self.bounds[index]) : "+Inf"
            text.line("\(name)_bucket", "\(labels),le=\"\(bound)\"", total)
        }
        text.line("\(name)_sum", labels, seconds(microseconds.count))
        text.line("\(name)_count", labels, total)
    }

    private func seconds(_ microseconds: Int) -> String {
        let fraction = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
    }
}

/// Requests by route and status.
final class HTTPMetrics: Sendable {
    private struct Series: Sendable {
        let statuses: [Int: Counter]
        let other = Counter()
        let durations = DurationHistogram()
    }

    private struct Name: Hashable {
        let method: HTTPRequest.Method
        let path: String
    }

    private static let statuses = [200, 201, 202, 204, 400, 401, 402, 403, 404, 405, 409, 412, 413, 415, 422, 429, 500, 503]

    private let series: [Name: Series]
    private let unmatched: Series

    init(_ routes: [(method: HTTPRequest.Method, path: String)]) {
        func make() -> Series { Series(statuses: Dictionary(uniqueKeysWithValues: Self.statuses.map { ($0, Counter()) })) }
        series = Dictionary(uniqueKeysWithValues: routes.map { (Name(method: $0.method, path: $0.path), make()) })
        unmatched = make()
    }

    func record(_ method: HTTPRequest.Method, _ path: String?, status: Int, took: Duration) {
        let series = path.flatMap { self.series[Name(method: method, path: $0)] } ?? unmatched
        (series.statuses[status] ?? series.other).add()
        series.durations.record(took)
    }

    /// Series that never counted anything are left out.
    func write(to text: inout MetricsText) {
        let all = series.map { ($0.key.method.rawValue, $0.key.path, $0.value) }.sorted { ($0.1, $0.0) < ($1.1, $1.0) }
        let named = all + [("", "unmatched", unmatched)]
        text.family("bursar_http_requests_total", "counter", "Requests answered, by route and status.")
        for (method, path, series) in named {
            for status in Self.statuses {
                guard let count = series.statuses[status]?.count, count > 0 else { continue }
                text.line("bursar_http_requests_total", "method=\"\(method)\",route=\"\(path)\",status=\"\(status)\"", count)
            }
            guard series.other.count > 0 else { continue }
            text.line("bursar_http_requests_total", "method=\"\(method)\",route=\"\(path)\",status=\"other\"", series.other.count)
        }
        text.family("bursar_http_request_duration_seconds", "histogram", "From the request's head to its answer, without sending it.")
        for (method, path, series) in named where series.statuses.values.contains(where: { $0.count > 0 }) {
            series.durations.write("bursar_http_request_duration_seconds", labels: "method=\"\(method)\",route=\"\(path)\"", to: &text)
        }
    }
}

/// Prometheus' text format.
struct MetricsText {
    private(set) var text = ""

    mutating func family(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    /// One sample; labels are `name="value"`, parted by commas, their values free of quotes and backslashes.
    mutating func line(_ name: String, _ labels: String, _ value: some CustomStringConvertible) {
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }
}
