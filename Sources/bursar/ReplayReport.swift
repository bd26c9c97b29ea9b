/// What a replay found: counted and added up by the callers themselves, then held against the server's own statement.
import Budgets
import Histogram
import JSON

/// What one connection of a replay saw, or all together.
struct ReplayTally: Sendable {
    var admitted = 0
    var settled = 0
    /// By the problem's `code`; answers without one by their status.
    var refused: [String: Int] = [:]
    /// Settlements that were refused, by code: none in a healthy run.
    var unsettled: [String: Int] = [:]
    /// Requests repeated after a 503.
    var repeated = 0
    /// Exact: the sum of the costs that the settle answers stated.
    var cost = Money.zero
    /// Microseconds. A paced reservation's begins when it was meant to be sent (no coordinated omission).
    var reserve = ReplayTally.histogram()
    var settle = ReplayTally.histogram()

    private static func histogram() -> Histogram<UInt64> { Histogram(highestTrackableValue: 600_000_000) }

    mutating func add(_ other: ReplayTally) {
        admitted += other.admitted
        settled += other.settled
        refused.merge(other.refused, uniquingKeysWith: +)
        unsettled.merge(other.unsettled, uniquingKeysWith: +)
        repeated += other.repeated
        cost = cost + other.cost
        reserve.add(other.reserve)
        settle.add(other.settle)
    }
}

/// A whole replay.
struct ReplayReport: Sendable {
    /// What the server's statement says of the time of the replay: calls and cost booked since it began.
    struct Booked: Sendable {
        let calls: Int64
        let cost: Money
    }

    let calls: Int
    let seconds: Double
    let tally: ReplayTally
    /// Nil when no credential was given that may read statements.
    let booked: Booked?

    /// Whether every call was answered, every admitted one settled, and the server booked exactly what it answered.
    var isTied: Bool {
        tally.admitted == tally.settled && tally.unsettled.isEmpty && tally.admitted + tally.refused.values.reduce(0, +) == calls
            && booked.map { $0.cost == tally.cost && $0.calls == Int64(tally.settled) } ?? true
    }

    /// For people.
    var text: String {
        var lines = [
            "calls     \(calls) in \(Self.decimal(seconds)) s, \(Self.decimal(Double(calls) / max(seconds, 1e-9))) a second",
            "admitted  \(tally.admitted), settled \(tally.settled)" + (tally.repeated > 0 ? ", repeated after 503: \(tally.repeated)" : ""),
        ]
        for (code, count) in tally.refused.sorted(by: { $0.key < $1.key }) { lines.append("refused   \(count) \(code)") }
        for (code, count) in tally.unsettled.sorted(by: { $0.key < $1.key }) { lines.append("UNSETTLED \(count) \(code)") }
        lines.append("cost      \(tally.cost) USD, the sum of the settle answers")
        for (name, histogram) in [("reserve", tally.reserve), ("settle", tally.settle)] {
            let values = Self.percentiles(histogram).map { "\($0.name) \(Self.milliseconds($0.value))" }
            lines.append("\(name.padded(to: 9)) \(values.joined(separator: "  "))  ms")
        }
        switch booked {
        case nil: lines.append("statement not compared: give --api-key of a person who may read statements")
        case let booked? where booked.cost == tally.cost && booked.calls == Int64(tally.settled):
            lines.append("statement \(booked.cost) USD in \(booked.calls) calls: equal to the last digit")
        case let booked?: lines.append("statement \(booked.cost) USD in \(booked.calls) calls: DIFFERENT")
        }
        return lines.joined(separator: "\n")
    }

    /// For scripts.
    var json: JSON {
        func latency(_ histogram: Histogram<UInt64>) -> JSON {
            .object(Self.percentiles(histogram).map { ("\($0.name)_us", .number($0.value)) })
        }
        func counts(_ codes: [String: Int]) -> JSON { .object(codes.sorted { $0.key < $1.key }.map { ($0.key, .number($0.value)) }) }
        return .object([
            ("calls", .number(calls)), ("seconds", .number(Self.decimal(seconds))), ("admitted", .number(tally.admitted)),
            ("settled", .number(tally.settled)), ("refused", counts(tally.refused)), ("unsettled", counts(tally.unsettled)),
            ("repeated", .number(tally.repeated)), ("cost", .string(tally.cost.description)), ("reserve", latency(tally.reserve)),
            ("settle", latency(tally.settle)),
            (
                "statement",
                booked.map { .object([("calls", .number($0.calls)), ("cost", .string($0.cost.description))]) } ?? .null
            ), ("tied", .bool(isTied)),
        ])
    }

    private static func percentiles(_ histogram: Histogram<UInt64>) -> [(name: String, value: UInt64)] {
        if histogram.totalCount == 0 { return [] }
        return [50.0, 95, 99].map { ("p\(Int($0))", histogram.valueAtPercentile($0)) } + [("max", histogram.max)]
    }

    private static func milliseconds(_ microseconds: UInt64) -> String { decimal(Double(microseconds) / 1000) }

    /// Two digits behind the point.
    private static func decimal(_ value: Double) -> String {
        let hundredths = Int64((value * 100).rounded())
        let rest = String(hundredths % 100)
        return "\(hundredths / 100).\(rest.utf8.count == 1 ? "0" + rest : rest)"
    }
}

extension String {
    /// Blanks behind, up to a width: columns for a terminal.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
