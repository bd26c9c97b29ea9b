/// Prometheus' text format (0.0.4), written in one place so that every family has its type, its help and sound labels.
import Ledger

struct MetricsText {
    enum Kind: String { case counter, gauge, histogram }

    private(set) var text = ""

    /// A family and its samples. Prometheus takes it without samples, too: then the name is known and has no value.
    mutating func family(_ name: String, _ kind: Kind, _ help: String, _ samples: (inout Samples) -> Void) {
        text += "# HELP \(name) \(escaped(help))\n# TYPE \(name) \(kind.rawValue)\n"
        var family = Samples(name: name)
        samples(&family)
        text += family.text
    }

    /// A family of one number, if it is known.
    mutating func family(_ name: String, _ kind: Kind, _ help: String, _ value: (some CustomStringConvertible)?) {
        family(name, kind, help) { family in if let value { family.sample([:], value) } }
    }

    /// The samples of one family.
    struct Samples {
        fileprivate let name: String
        fileprivate var text = ""

        mutating func sample(_ labels: KeyValuePairs<String, String>, _ value: some CustomStringConvertible) {
            line(labels.map { ($0.key, $0.value) }, "\(value)")
        }

        /// A histogram of a quantity, its numbers written by `number`.
        mutating func histogram(_ labels: [(String, String)], _ histogram: Histogram, _ number: (Int) -> String = { String($0) }) {
            var total = 0
            for (index, count) in histogram.counts.enumerated() {
                total += count
                let bound = index < histogram.bounds.count ? number(histogram.bounds[index]) : "+Inf"
                line(labels + [("le", bound)], "\(total)", "_bucket")
            }
            line(labels, number(histogram.sum), "_sum")
            line(labels, "\(total)", "_count")
        }

        private mutating func line(_ labels: [(String, String)], _ value: String, _ suffix: String = "") {
            let written = labels.map { name, value in "\(name)=\"\(escaped(value).replacing("\"", with: "\\\""))\"" }
            text += name + suffix + (written.isEmpty ? "" : "{\(written.joined(separator: ","))}") + " \(value)\n"
        }
    }
}

/// Microseconds as seconds, exactly.
func seconds(_ microseconds: Int) -> String {
    let fraction = String(microseconds % 1_000_000)
    return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
}

private func escaped(_ text: String) -> String { text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n") }
