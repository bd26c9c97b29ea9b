/// What the bench prints: one row a measurement, then the ratios, which hold where absolute times of a shared machine do not.
import Histogram
import JSON

/// One measurement.
struct BenchRow: Sendable {
    enum Way: String, Sendable {
        case bare = "bare JSON route"
        case text = "bare text route, without a body"
        case oneTransaction = "one transaction a call, cycles"
        case oneTransactionReserve = "one transaction a call, reservations"
        case reserve = "reservations"
        case cycle = "reserve+settle cycles"
        case paced = "reservations at a fixed rate"
    }

    let way: Way
    let isSpread: Bool
    let connections: Int
    /// Calls, or whole cycles.
    let perSecond: Double
    let latency: Histogram<UInt64>
    let unexpected: [Int: Int]

    func milliseconds(_ percentile: Double) -> Double { Double(latency.valueAtPercentile(percentile)) / 1000 }
}

struct BenchReport: Sendable {
    var rows: [BenchRow] = []

    /// The ratios that the project holds itself to, each within this run.
    var ratios: [(name: String, value: Double)] {
        func rate(_ way: BenchRow.Way, _ connections: Int) -> Double? {
            rows.first { $0.way == way && !$0.isSpread && $0.connections == connections }?.perSecond
        }
        var ratios: [(String, Double)] = []
        for connections in [1, 8, 64] {
            guard let bare = rate(.bare, connections), let reserve = rate(.reserve, connections), let cycle = rate(.cycle, connections),
                let baseline = rate(.oneTransaction, connections)
            else { continue }
            ratios.append(("reservations / bare JSON route, \(connections) connections", reserve / bare))
            ratios.append(("cycles / bare JSON route, \(connections) connections", cycle / bare))
            if let text = rate(.text, connections) {
                ratios.append(("reservations / bare text route, \(connections) connections", reserve / text))
            }
            ratios.append(("cycles / one transaction a call, \(connections) connections", cycle / baseline))
        }
        return ratios
    }

    var table: String {
        var lines = [line("what", "on", "conns", "per second", "p50 ms", "p99 ms", "p99.9 ms")]
        for row in rows {
            lines.append(
                line(
                    row.way.rawValue, row.isSpread ? "spread" : "hot", "\(row.connections)", fixed(row.perSecond, 0),
                    fixed(row.milliseconds(50), 2), fixed(row.milliseconds(99), 2), fixed(row.milliseconds(99.9), 2)))
            for (status, count) in row.unexpected { lines.append("    \(count) answers with status \(status) that were not expected") }
        }
        lines.append("")
        for (name, value) in ratios { lines.append("\(pad(name, 56)) \(fixed(value, 2))") }
        return lines.joined(separator: "\n")
    }

    var json: JSON {
        .object([
            (
                "measurements",
                .array(
                    rows.map { row in
                        .object([
                            ("what", .string(row.way.rawValue)), ("spread", .bool(row.isSpread)), ("connections", .number(row.connections)),
                            ("per_second", .number(fixed(row.perSecond, 1))), ("p50_ms", .number(fixed(row.milliseconds(50), 3))),
                            ("p99_ms", .number(fixed(row.milliseconds(99), 3))), ("p999_ms", .number(fixed(row.milliseconds(99.9), 3))),
                            ("max_ms", .number(fixed(row.milliseconds(100), 3))),
                            ("unexpected", .number(row.unexpected.values.reduce(0, +))),
                        ])
                    })
            ),
            ("ratios", .object(ratios.map { ($0.name, .number(fixed($0.value, 3))) })),
        ])
    }

    private func line(_ columns: String...) -> String {
        zip(columns, [38, 7, 6, 12, 9, 9, 9]).enumerated().map { index, column in
            index < 2 ? pad(column.0, column.1) : String(repeating: " ", count: max(0, column.1 - column.0.count)) + column.0
        }.joined(separator: " ")
    }

    private func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
}

/// A measured figure with so many decimals; figures are not money, so binary floats do.
func fixed(_ value: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = Int64((value * scale).rounded())
    guard decimals > 0 else { return "\(scaled)" }
    let (whole, fraction) = (scaled / Int64(scale), abs(scaled % Int64(scale)))
    return "\(whole)." + String(repeating: "0", count: decimals - "\(fraction)".count) + "\(fraction)"
}
