/// Contracts as people write them: a table with a header, from any spreadsheet.
import Budgets

extension [ContractLine] {
    /// The columns that a file may have, in any order.
    public static var columns: [String] {
        ["provider", "model", "usage_kind", "service_tier", "context_from", "amount_per_million", "percent_off"]
    }

    /// Reads lines such as
    ///
    ///     provider,model,usage_kind,amount_per_million,percent_off
    ///     openai,,,,12.5
    ///     ,gpt-4o,input,2.1,
    ///
    /// A line with `percent_off` is a discount on a provider, `model` then a pattern; all others are explicit rates.
    /// - Throws: `ContractFault`, its line counted from the one after the header.
    public init(csv text: String) throws(ContractFault) {
        let records = CSVReader.records(text)
        guard let header = records.first else { throw ContractFault(line: 0, "the file is empty") }
        for name in header where !Self.columns.contains(name) { throw ContractFault(line: 0, "unknown column «\(name)»") }
        self = []
        for (index, record) in records.dropFirst().enumerated() {
            guard record.count == header.count else { throw ContractFault(line: index, "has \(record.count) cells, not \(header.count)") }
            func cell(_ name: String) -> String? {
                header.firstIndex(of: name).flatMap { record[$0].isEmpty ? nil : record[$0] }
            }
            let read = ContractLine.read(
                provider: cell("provider"), model: cell("model"), kind: cell("usage_kind"), serviceTier: cell("service_tier"),
                contextFrom: cell("context_from"), amount: cell("amount_per_million"), percentOff: cell("percent_off"))
            switch read {
            case .success(let line): append(line)
            case .failure(let fault): throw ContractFault(line: index, fault.description)
            }
        }
    }
}

extension ContractLine {
    /// What is wrong with a line, for people.
    public struct Fault: Error { public let description: String }

    /// A line from its cells; those that are empty are nil.
    public static func read(
        provider: String?, model: String?, kind: String?, serviceTier: String?, contextFrom: String?, amount: String?, percentOff: String?
    ) -> Result<ContractLine, Fault> {
        func fault(_ text: String) -> Result<ContractLine, Fault> { .failure(Fault(description: text)) }
        if let percentOff {
            guard let percent = Amount(percentOff), percent > .zero, percent <= Amount(whole: 100), percent.pico % 100_000_000 == 0 else {
                return fault("percent_off must be above 0, 100 at most, with four fractional digits at most")
            }
            guard let provider, kind == nil, amount == nil, serviceTier == nil, contextFrom == nil else {
                return fault("a discount names a provider, perhaps a pattern of models, and nothing else")
            }
            guard model == nil || model.flatMap({ Pattern($0) }) != nil else { return fault("model must be a pattern") }
            return .success(.discount(provider: provider, models: model.flatMap { Pattern($0) }, percent: percent))
        }
        guard let model, let kind, let amount else { return fault("a rate needs model, usage_kind and amount_per_million") }
        guard Usage.isKind(kind) else { return fault("«\(kind)» is no usage kind") }
        guard let rate = Amount(amount), PriceList.isRepresentable(rate) else {
            return fault("amount_per_million must be a decimal from 0 to 1000000000 with six fractional digits at most")
        }
        guard let from = Int64(contextFrom ?? "0"), (0...1_000_000_000).contains(from) else {
            return fault("context_from must be a whole number")
        }
        let slot = ListedRate.Slot(kind: kind, serviceTier: serviceTier ?? Rate.standardTier, contextFrom: from)
        return .success(.rate(model: model, slot: slot, amountPerMillion: rate))
    }
}

/// RFC 4180, with either line end; blank lines are skipped, a byte order mark is ignored.
enum CSVReader {
    static func records(_ text: String) -> [[String]] {
        var records: [[String]] = []
        var record: [String] = []
        var cell = ""
        var isQuoted = false
        var previous: Character?
        func endRecord() {
            record.append(cell)
            if record != [""] { records.append(record) }
            (record, cell) = ([], "")
        }
        for character in text.drop(while: { $0 == "\u{FEFF}" }) {
            if isQuoted {
                if character == "\"" { isQuoted = false } else { cell.append(character) }
            } else if character == "\"" {
                // A doubled quote within a quoted cell opens it again.
                if previous == "\"" { cell.append("\"") }
                isQuoted = true
            } else if character == "," {
                record.append(cell)
                cell = ""
            } else if character.isNewline {
                endRecord()
            } else {
                cell.append(character)
            }
            previous = character
        }
        if !cell.isEmpty || !record.isEmpty { endRecord() }
        return records.map { $0.map { $0.trimmed } }
    }
}

extension String {
    fileprivate var trimmed: String {
        var rest = self[...]
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
