/// A page in Prometheus' text format 0.0.4, read more strictly than Prometheus does: each family once, with HELP, then TYPE, then its
/// samples together; no series twice; histograms that add up.
import Testing

struct PrometheusPage {
    struct Malformed: Error, CustomStringConvertible {
        let description: String
    }

    struct Sample {
        let name: String
        let labels: [String: String]
        let value: Double
    }

    private var types: [String: String] = [:]
    private var samples: [Sample] = []
    /// Names and labels of all samples.
    private(set) var series: Set<String> = []

    var families: Set<String> { Set(types.keys) }

    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        samples.first { $0.name == name && $0.labels == labels }?.value
    }

    init(_ text: String) throws(Malformed) {
        guard text.last == "\n" else { throw Malformed(description: "the last line does not end") }
        var helped: Set<Substring> = []
        var family: (name: String, type: String)?
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            let fault = Malformed(description: String(line))
            if let match = line.wholeMatch(of: #/# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (?:[^\\]|\\\\|\\n)+/#) {
                guard helped.insert(match.1).inserted else { throw fault }
                family = nil
            } else if let match = line.wholeMatch(of: #/# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)/#) {
                guard helped.contains(match.1), family == nil, types[String(match.1)] == nil else { throw fault }
                family = (String(match.1), String(match.2))
                types[String(match.1)] = String(match.2)
            } else {
                let sample = try Self.sample(line)
                let suffixes = family?.type == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
                guard let family, suffixes.contains(where: { family.name + $0 == sample.name }) else { throw fault }
                guard series.insert("\(sample.name) \(sample.labels.sorted { $0.key < $1.key })").inserted else { throw fault }
                samples.append(sample)
            }
        }
        guard helped.count == types.count else { throw Malformed(description: "HELP without TYPE") }
        try checkHistograms()
    }

    private static func sample(_ line: Substring) throws(Malformed) -> Sample {
        let fault = Malformed(description: String(line))
        guard let match = line.wholeMatch(of: #/([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/#), let value = Double(match.3) else {
            throw fault
        }
        var labels: [String: String] = [:]
        var rest = match.2 ?? ""
        while !rest.isEmpty {
            guard let label = rest.prefixMatch(of: #/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,(?=.)|$)/#),
                labels[String(label.1)] == nil
            else { throw fault }
            var value = ""
            var isEscaped = false
            for character in label.2 {
                if isEscaped { value.append(character == "n" ? "\n" : character) } else if character != "\\" { value.append(character) }
                isEscaped = !isEscaped && character == "\\"
            }
            labels[String(label.1)] = value
            rest = rest[label.range.upperBound...]
        }
        return Sample(name: String(match.1), labels: labels, value: value)
    }

    private func checkHistograms() throws(Malformed) {
        for (name, type) in types where type == "histogram" {
            var all: [[String: String]: [Sample]] = [:]
            for sample in samples where sample.name == name + "_bucket" {
                all[sample.labels.filter { $0.key != "le" }, default: []].append(sample)
            }
            for (labels, buckets) in all {
                let bounds = buckets.compactMap { $0.labels["le"].flatMap { $0 == "+Inf" ? .infinity : Double($0) } }
                guard bounds.count == buckets.count, bounds == bounds.sorted(), bounds.last == .infinity,
                    buckets.map(\.value) == buckets.map(\.value).sorted(), buckets.last?.value == value(name + "_count", labels),
                    value(name + "_sum", labels) != nil
                else { throw Malformed(description: "the histogram \(name) \(labels)") }
            }
        }
    }

    /// Prometheus' naming: a prefix, base units last, `_total` for counters and for nothing else.
    func checkConventions() {
        for (name, type) in types {
            #expect(name.hasPrefix("bursar_") || name.hasPrefix("process_"), "\(name)")
            #expect(name.hasSuffix("_total") == (type == "counter"), "\(name)")
            #expect(!["_ms", "_milliseconds", "_minutes", "_kilobytes", "_percent"].contains { name.hasSuffix($0) }, "\(name)")
        }
        for sample in samples where types[sample.name] == "counter" { #expect(sample.value >= 0, "\(sample)") }
    }
}
