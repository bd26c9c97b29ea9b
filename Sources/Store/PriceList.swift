/// Price lists from outside: a file's models and rates as exact facts, before anything is compared or written. Two formats, told apart
/// by their shape: the project's own and LiteLLM's (`PriceList+LiteLLM.swift`).
public import Budgets
import JSON

/// One rate of a listed model.
public struct ListedRate: Hashable, Sendable {
    /// Which rate of the model this is: what a new amount replaces.
    public struct Slot: Hashable, Sendable, Comparable {
        public let kind: UsageKind
        public let serviceTier: String
        /// The rate applies to calls of at least so many input tokens.
        public let contextFrom: Int64

        public init(kind: UsageKind, serviceTier: String = "standard", contextFrom: Int64 = 0) {
            self.kind = kind
            self.serviceTier = serviceTier
            self.contextFrom = contextFrom
        }

        public static func < (left: Self, right: Self) -> Bool {
            (left.serviceTier, left.contextFrom, left.kind) < (right.serviceTier, right.contextFrom, right.kind)
        }
    }

    public let slot: Slot
    /// US dollars per 1,000,000 units, with six fractional digits at most.
    public let amountPerMillion: Money

    public init(slot: Slot, amountPerMillion: Money) {
        self.slot = slot
        self.amountPerMillion = amountPerMillion
    }
}

/// One model of a price list.
public struct ListedModel: Hashable, Sendable {
    public let name: String
    public let provider: String
    public let maxInputTokens: Int64?
    public let maxOutputTokens: Int64?
    /// When the provider withdraws the model; nil where the list does not say.
    public let deprecatedAt: Instant?
    /// Sorted, each slot once. What is missing here is unknown; a rate of 0 is free (law 9).
    public let rates: [ListedRate]
    /// Where the facts come from: a page, or the file.
    public let source: String

    public init(
        name: String, provider: String, maxInputTokens: Int64?, maxOutputTokens: Int64?, deprecatedAt: Instant? = nil,
        rates: [ListedRate], source: String
    ) {
        self.name = name
        self.provider = provider
        self.maxInputTokens = maxInputTokens
        self.maxOutputTokens = maxOutputTokens
        self.deprecatedAt = deprecatedAt
        self.rates = rates.sorted { $0.slot < $1.slot }
        self.source = source
    }

    /// The amount in a slot; nil when the list does not state it.
    public func amount(_ slot: ListedRate.Slot) -> Money? { rates.first { $0.slot == slot }?.amountPerMillion }
}

/// Something of a price list that was not taken over as it stands, or that a person should look at.
public struct PriceNote: Hashable, Sendable {
    public enum Reason: String, Sendable, CaseIterable {
        /// More than six fractional digits per million units: not representable exactly, therefore not imported.
        case tooFine = "finer than six fractional digits per million units"
        case outOfRange = "negative or impossibly large"
        case unknownField = "a billable field that the importer does not know"
        case notImported = "a known kind of price that is not imported"
        case conflict = "two fields state different amounts for the same thing"
        case malformed = "not of the expected shape"
        case suspicious = "implausible beside the model's other rates"
    }

    public let model: String
    public let field: String
    public let reason: Reason

    public init(model: String, field: String, reason: Reason) {
        self.model = model
        self.field = field
        self.reason = reason
    }
}

/// Why a file is no price list.
public struct PriceListError: Error, CustomStringConvertible {
    public let description: String
}

/// The models of a price list, sorted by name, and what was left out and why.
public struct PriceList: Sendable {
    public let models: [ListedModel]
    public let notes: [PriceNote]
    /// The file's own words on what it is, for people.
    public let title: String

    init(models: [ListedModel], notes: [PriceNote], title: String) {
        self.models = models.sorted { $0.name < $1.name }
        self.notes = notes + models.flatMap(\.suspicions)
        self.title = title
    }

    /// Reads a price list, exactly: amounts come from the numbers' text and never pass through a binary float.
    ///
    /// - Parameter name: how to call the file where it names no source of its own.
    /// - Throws: `PriceListError` when the bytes are not JSON or of neither shape. A single faulty model or rate is a note instead.
    public init(json bytes: [UInt8], name: String) throws(PriceListError) {
        let document: JSON
        do {
            document = try JSON.parse(bytes)
        } catch {
            throw PriceListError(description: "\(name) is not JSON: \(error)")
        }
        guard let object = document.object else { throw PriceListError(description: "\(name) is not a JSON object") }
        if let format = object["format"]?.string {
            guard format == Self.format else {
                throw PriceListError(description: "\(name) has the format '\(format)', expected '\(Self.format)'")
            }
            try self.init(own: object, name: name)
        } else if object.contains(where: { $0.value["litellm_provider"] != nil }) {
            self.init(liteLLM: object, name: name)
        } else {
            throw PriceListError(description: "\(name) is neither Bursar's price list nor LiteLLM's")
        }
    }

    /// How many models have no standard price of a kind: unknown, which a blocking budget does not let pass (law 9). Of what builds on
    /// input, only models with a price of input are counted.
    public func modelsLacking(_ kind: UsageKind) -> Int {
        models.count { model in
            model.amount(.init(kind: kind)) == nil && (!kind.hasPrefix("cache") || model.amount(.init(kind: "input")) != nil)
        }
    }

    /// The value of `format` in the project's own lists.
    public static let format = "bursar-prices-1"
    /// More per million units than any real price; beyond it a number is a mistake.
    static let largestAmount = Money(whole: 1_000_000_000)

    private init(own object: JSON.Object, name: String) throws(PriceListError) {
        guard object["currency"]?.string == "USD" else { throw PriceListError(description: "\(name): `currency` is not \"USD\"") }
        guard let asOf = object["as_of"]?.string else { throw PriceListError(description: "\(name): `as_of` is missing") }
        guard let listed = object["models"]?.array else { throw PriceListError(description: "\(name): `models` is not an array") }
        var models: [ListedModel] = []
        var names: Set<String> = []
        for (index, model) in listed.enumerated() {
            guard let parsed = Self.ownModel(model, sources: object["sources"], asOf: asOf), names.insert(parsed.name).inserted else {
                throw PriceListError(description: "\(name): /models/\(index) is malformed or named twice")
            }
            models.append(parsed)
        }
        self.init(models: models, notes: [], title: "\(name), as of \(asOf)")
    }

    private static func ownModel(_ model: JSON, sources: JSON?, asOf: String) -> ListedModel? {
        guard let name = model["name"]?.string, let provider = model["provider"]?.string, let bands = model["rates"]?.array else {
            return nil
        }
        var rates: [ListedRate] = []
        var slots: Set<ListedRate.Slot> = []
        for band in bands {
            guard let members = band.object else { return nil }
            let tier = members["service_tier"].map(\.string) ?? Rate.standardTier
            let from = members["context_from"].map(\.int64) ?? 0
            guard let tier, let from else { return nil }
            for member in members where member.name != "service_tier" && member.name != "context_from" {
                let slot = ListedRate.Slot(kind: member.name, serviceTier: tier, contextFrom: from)
                guard Usage.isKind(member.name), let amount = member.value.string.flatMap({ Amount($0) }), Self.isRepresentable(amount),
                    slots.insert(slot).inserted
                else { return nil }
                rates.append(ListedRate(slot: slot, amountPerMillion: amount))
            }
        }
        let source = (sources?[provider]?.string).map { "\($0) (as of \(asOf))" } ?? "as of \(asOf)"
        return ListedModel(
            name: name, provider: provider, maxInputTokens: model["max_input_tokens"]?.int64,
            maxOutputTokens: model["max_output_tokens"]?.int64, rates: rates, source: source)
    }

    static func isRepresentable(_ amount: Money) -> Bool {
        amount >= .zero && amount <= largestAmount && amount.pico % 1_000_000 == 0
    }
}
