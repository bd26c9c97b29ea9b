/// Compares a price list with the prices in force and says what an import would do. Pure: the dry run and the import are the same
/// comparison, and history is never overwritten (design §6).
public import Budgets

/// What a catalogue says now: the platform's, or what an organization agreed beside it.
public struct PricesInForce: Sendable {
    public struct Model: Hashable, Sendable {
        public let provider: String
        public let maxInputTokens: Int64?
        public let maxOutputTokens: Int64?
        public let deprecatedAt: Instant?

        public init(provider: String, maxInputTokens: Int64?, maxOutputTokens: Int64?, deprecatedAt: Instant? = nil) {
            self.provider = provider
            self.maxInputTokens = maxInputTokens
            self.maxOutputTokens = maxOutputTokens
            self.deprecatedAt = deprecatedAt
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
    /// What a new rate is held against where `rates` has none: for a contract the list price.
    public let list: [String: [ListedRate.Slot: Money]]

    public init(
        models: [String: Model], rates: [String: [ListedRate.Slot: Open]], list: [String: [ListedRate.Slot: Money]] = [:]
    ) {
        self.models = models
        self.rates = rates
        self.list = list
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

    /// Why a change waits for a person.
    public enum HoldReason: String, Sendable, CaseIterable {
        /// More than three times dearer or cheaper, or from or to free.
        case tooLarge = "too_large"
        /// The rate in force, or announced, begins later than this one would.
        case laterRate = "later_rate"
        /// It does not fit the model's other rates (`ListedModel.suspiciousSlots`).
        case suspicious
    }

    /// A change that is not written until somebody approves it.
    public struct HeldChange: Hashable, Sendable {
        public let change: RateChange
        public let reason: HoldReason
        /// What the amount was held against; nil when nothing is in force.
        public let current: Money?
    }

    public fileprivate(set) var newModels: [ListedModel] = []
    public fileprivate(set) var changedModels: [ListedModel] = []
    public fileprivate(set) var newRates: [RateChange] = []
    public fileprivate(set) var changedRates: [RateChange] = []
    public fileprivate(set) var heldBack: [HeldChange] = []
    public fileprivate(set) var unchangedRates = 0
    /// Rates in force of listed models that the list does not state. They stay: a list's silence is not a price.
    public fileprivate(set) var unlistedRates = 0

    /// Whether no price and no model changes; proposals may still be made.
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
            let suspicious = model.suspiciousSlots
            for rate in model.rates {
                let old = rates[rate.slot]
                let basis = old?.amountPerMillion ?? current.list[model.name]?[rate.slot]
                let change = RateChange(
                    model: model.name, slot: rate.slot, old: old, amountPerMillion: rate.amountPerMillion, source: model.source)
                func hold(_ reason: HoldReason) { heldBack.append(HeldChange(change: change, reason: reason, current: basis)) }
                if let old, old.amountPerMillion == rate.amountPerMillion {
                    unchangedRates += 1
                } else if let old, old.validFrom >= instant {
                    hold(.laterRate)
                } else if !accepted.contains(model.name), suspicious.contains(rate.slot) {
                    hold(.suspicious)
                } else if !accepted.contains(model.name), let basis, !Self.isPlausible(basis, rate.amountPerMillion) {
                    hold(.tooLarge)
                } else if old == nil {
                    newRates.append(change)
                } else {
                    changedRates.append(change)
                }
            }
            let listed = Set(model.rates.map(\.slot))
            unlistedRates += rates.keys.count { !listed.contains($0) }
        }
    }

    static func isPlausible(_ old: Money, _ new: Money) -> Bool {
        guard old != new else { return true }
        guard old > .zero, new > .zero else { return false }
        return new.pico <= old.pico * plausibleFactor && old.pico <= new.pico * plausibleFactor
    }
}

extension ListedModel {
    /// Whether the list states something else. What it is silent about stays as it is known.
    fileprivate func changes(_ known: PricesInForce.Model) -> Bool {
        provider != known.provider || maxInputTokens.map { $0 != known.maxInputTokens } ?? false
            || maxOutputTokens.map { $0 != known.maxOutputTokens } ?? false || deprecatedAt.map { $0 != known.deprecatedAt } ?? false
    }
}
