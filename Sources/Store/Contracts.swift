/// Contracted prices: what an organization agreed with a provider, as a list of its own. A percentage off becomes explicit rates, so that
/// every entry names the very price it was booked at.
public import Budgets

/// One line of a contract. A later line goes before an earlier one.
public enum ContractLine: Hashable, Sendable {
    /// So many percent off the list prices of a provider, or of those of its models that match.
    case discount(provider: String, models: Pattern?, percent: Amount)
    case rate(model: String, slot: ListedRate.Slot, amountPerMillion: Money)
}

/// Why a line cannot be taken.
public struct ContractFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// Counted from 0.
    public let line: Int
    public let description: String

    public init(line: Int, _ description: String) {
        self.line = line
        self.description = description
    }
}

/// The platform's list as a contract is held against it.
public struct ListInForce: Sendable {
    /// The provider of each model.
    public let providers: [String: String]
    public let rates: [String: [ListedRate.Slot: Money]]

    public init(providers: [String: String], rates: [String: [ListedRate.Slot: Money]]) {
        self.providers = providers
        self.rates = rates
    }
}

extension PriceList {
    /// The rates that the lines come to. A discount is of the list prices now in force; later changes of the list do not move it.
    ///
    /// What is left after a discount is rounded to six fractional digits a million units, half to even: finer rates could not be billed
    /// exactly.
    /// - Throws: `ContractFault` for a line that names nothing on the list: it would be agreed and never applied.
    public init(contract lines: [ContractLine], over list: ListInForce, source: String) throws(ContractFault) {
        var amounts: [String: [ListedRate.Slot: Money]] = [:]
        for (index, line) in lines.enumerated() {
            switch line {
            case .discount(let provider, let pattern, let percent):
                let covered = list.rates.filter { name, rates in
                    list.providers[name] == provider && pattern.map { $0.matches(name) } ?? true && !rates.isEmpty
                }
                guard !covered.isEmpty else { throw ContractFault(line: index, "no listed model of «\(provider)» has a price") }
                for (name, rates) in covered {
                    for (slot, amount) in rates { amounts[name, default: [:]][slot] = amount.less(percent: percent) }
                }
            case .rate(let model, let slot, let amount):
                guard list.providers[model] != nil else { throw ContractFault(line: index, "the catalogue has no model «\(model)»") }
                amounts[model, default: [:]][slot] = amount
            }
        }
        let models = amounts.map { name, rates in
            ListedModel(
                name: name, provider: list.providers[name] ?? "", maxInputTokens: nil, maxOutputTokens: nil,
                rates: rates.map { ListedRate(slot: $0.key, amountPerMillion: $0.value) }, source: source)
        }
        self.init(models: models, notes: [], title: source)
    }
}

extension Amount {
    /// So many percent less, rounded to six fractional digits, half to even. Exact in between: a rate times a percentage is far below
    /// 128 bits.
    func less(percent: Amount) -> Amount {
        let unit: Int128 = 1_000_000
        let whole = 100 * unit
        // Percentages have four fractional digits at most, so nothing is cut off here.
        let (quotient, remainder) = (pico * (whole - percent.pico / unit)).quotientAndRemainder(dividingBy: whole * unit)
        let doubled = 2 * remainder
        let isUp = doubled > whole * unit || (doubled == whole * unit && quotient % 2 == 1)
        return Amount(pico: (quotient + (isUp ? 1 : 0)) * unit)
    }
}
