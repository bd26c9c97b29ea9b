/// Compares a price list with the prices in force and says what an import would do. Pure: the dry run and the import are the same
/// comparison, and history is never overwritten (design §6).
public import Budgets

/// What the platform's catalogue says now.
public struct PricesInForce: Sendable {
    public struct Model: Hashable, Sendable {
        public let provider: String
        public let maxInputTokens: Int64?
        public let maxOutputTokens: Int64?

        public init(provider: String, maxInputTokens: Int64?, maxOutputTokens: Int64?) {
            self.provider = provider
            self.maxInputTokens = maxInputTokens
            self.maxOutputTokens = maxOutputTokens
        }
    }

    /// A rate without an end.
    public struct Open: Hashable, Sendable {
        public let id: PriceID
        public let amountPerMillion: Money
        public let validFrom: Instant

        public init(id: PriceID, amountPerMillion: Money, validFrom: Instant) {
            self.id = id
            self.amountPerMillion = amountPerMillion
            self.validFrom = validFrom
        }
    }

    public let models: [String: Model]
    public let rates: [String: [ListedRate.Slot: Open]]

    public init(models: [String: Model], rates: [String: [ListedRate.Slot: Open]]) {
        self.models = models
        self.rates = rates
    }
}

/// What an import does, or would do.
public struct PriceChanges: Sendable {
    public struct RateChange: Hashable, Sendable {
        public let model: String
        public let slot: ListedRate.Slot
        /// The rate that ends; nil when the slot had none.
        public let old: PricesInForce.Open?
        public let amountPerMillion: Money
        public let source: String
    }

    public fileprivate(set) var newModels: [ListedModel] = []
    public fileprivate(set) var changedModels: [ListedModel] = []
    public fileprivate(set) var newRates: [RateChange] = []
    public fileprivate(set) var changedRates: [RateChange] = []
    /// More than three times dearer or cheaper, or from or to free: not written until someone accepts the model by name.
    public fileprivate(set) var heldBack: [RateChange] = []
    public fileprivate(set) var unchangedRates = 0
    /// Rates in force of listed models that the list does not state. They stay: a list's silence is not a price.
    public fileprivate(set) var unlistedRates = 0

    /// Whether there is nothing to write.
    public var isEmpty: Bool { newModels.isEmpty && changedModels.isEmpty && newRates.isEmpty && changedRates.isEmpty }

    /// By how much a price may change without anyone having looked at it.
    public static let plausibleFactor: Int128 = 3

    /// - Parameters:
    ///   - at: when new rates come into force. A slot whose rate began later than that is held back.
    ///   - accepted: models whose changes are written however large they are.
    public init(from current: PricesInForce, to list: PriceList, at instant: Instant, accepting accepted: Set<String> = []) {
        for model in list.models {
            let rates = current.rates[model.name] ?? [:]
            if let known = current.models[model.name] {
                if model.changes(known) { changedModels.append(model) }
            } else {
                newModels.append(model)
            }
            for rate in model.rates {
                let old = rates[rate.slot]
                let change = RateChange(
                    model: model.name, slot: rate.slot, old: old, amountPerMillion: rate.amountPerMillion, source: model.source)
                switch old {
                case nil: newRates.append(change)
                case let old? where old.amountPerMillion == rate.amountPerMillion: unchangedRates += 1
                case let old? where old.validFrom >= instant: heldBack.append(change)
                case let old? where accepted.contains(model.name) || Self.isPlausible(old.amountPerMillion, rate.amountPerMillion):
                    changedRates.append(change)
                default: heldBack.append(change)
                }
            }
            let listed = Set(model.rates.map(\.slot))
            unlistedRates += rates.keys.count { !listed.contains($0) }
        }
    }

    static func isPlausible(_ old: Money, _ new: Money) -> Bool {
        guard old > .zero, new > .zero else { return false }
        return new.pico <= old.pico * plausibleFactor && old.pico <= new.pico * plausibleFactor
    }
}

extension ListedModel {
    /// Whether the list states something else. What it is silent about stays as it is known.
    fileprivate func changes(_ known: PricesInForce.Model) -> Bool {
        provider != known.provider || maxInputTokens.map { $0 != known.maxInputTokens } ?? false
            || maxOutputTokens.map { $0 != known.maxOutputTokens } ?? false
    }
}
