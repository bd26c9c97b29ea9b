/// What a provider reports of a call, mapped onto disjoint usage kinds (design §6): the one place that knows whose cached tokens are part
/// of the input and whose are not. Nothing is dropped: what is not understood, or contradicts itself, is named.

/// The numbers and words of a provider's usage object, by the path of their names: `prompt_tokens_details.cached_tokens`. Elements of
/// an array that name their modality have it in the path (`promptTokensDetails.AUDIO`), others an empty index (`iterations[].input_tokens`).
public struct ProviderFields: Sendable {
    /// The text of each number, as it was written.
    public var numbers: [(path: String, text: String)]
    public var words: [(path: String, text: String)]

    public init(numbers: [(path: String, text: String)] = [], words: [(path: String, text: String)] = []) {
        self.numbers = numbers
        self.words = words
    }
}

/// Why an object is no provider's usage.
public struct ProviderUsageFault: Error, Hashable, Sendable {
    /// Of the faulty field; empty: the object as a whole.
    public let path: String
    public let detail: String
}

/// A provider's usage, understood.
public struct ProviderUsage: Sendable {
    public let usage: Usage
    /// The tier that the provider says it served the call in; nil when it says nothing.
    public let serviceTier: String?
    /// What may be billable and is in no price: fields that nobody has told us about, words that stand for a surcharge, and sums that do
    /// not come out. Sorted.
    public let unmapped: [String]

    /// The largest object that is read and kept: ten times what providers send (law 11).
    public static let maximumBytes = 8_192

    /// Maps OpenAI's chat completions and responses, Anthropic's messages and Gemini's `usageMetadata`, told apart by their names.
    ///
    /// Where the parts of a whole are more than it, each part counts in full: of two readings, the dearer. What a total states beyond the
    /// parts counts as output, the dearest kind.
    public static func map(_ fields: ProviderFields) -> Result<ProviderUsage, ProviderUsageFault> {
        var reader = ProviderReader(fields)
        if reader.has("promptTokenCount") || reader.has("totalTokenCount") || reader.has("candidatesTokenCount") {
            reader.readGemini()
        } else if reader.has("prompt_tokens") {
            reader.readOpenAI(.chat)
        } else if reader.has("input_tokens") {
            // Anthropic states no total, OpenAI always does. An object with neither sign has no cached tokens: then both agree.
            reader.isOpenAIResponse ? reader.readOpenAI(.responses) : reader.readAnthropic()
        } else {
            return .failure(
                ProviderUsageFault(path: "", detail: "is not a usage object of OpenAI, Anthropic or Gemini; send `usage` instead"))
        }
        return reader.finish()
    }
}

/// Takes the fields of a usage object one by one, and knows in the end which nobody asked for.
struct ProviderReader {
    private let fields: ProviderFields
    private var known: Set<String> = []
    private var quantities: [UsageKind: Int64] = [:]
    private var fault: ProviderUsageFault?
    private var unmapped: Set<String> = []
    private(set) var serviceTier: String?

    init(_ fields: ProviderFields) { self.fields = fields }

    func has(_ path: String) -> Bool { fields.numbers.contains { $0.path == path } }

    func hasAny(below path: String) -> Bool { fields.numbers.contains { $0.path.hasPrefix(path + ".") } }

    /// The count at a path; 0 when it is not there.
    mutating func count(_ path: String) -> Int64 {
        known.insert(path)
        guard let text = fields.numbers.first(where: { $0.path == path })?.text else { return 0 }
        guard let value = Int64(text), (0...Usage.maximumQuantity).contains(value) else {
            fault = fault ?? ProviderUsageFault(path: path, detail: "must be a whole number from 0 to \(Usage.maximumQuantity)")
            return 0
        }
        return value
    }

    /// Numbers that bill nothing of their own: parts of what is counted elsewhere at the same price, or free.
    mutating func ignore(_ paths: String...) { known.formUnion(paths) }

    func word(_ path: String) -> String? { fields.words.first { $0.path == path }?.text }

    mutating func add(_ quantity: Int64, _ kind: UsageKind) {
        if quantity > 0 { quantities[kind, default: 0] += quantity }
    }

    /// What is left of a whole without its parts; 0 when they are more than it, which is remarked upon.
    mutating func rest(of whole: Int64, _ path: String, without parts: Int64...) -> Int64 {
        let rest = whole - parts.reduce(0, +)
        if rest < 0 { remark(path) }
        return max(0, rest)
    }

    /// Compares the total that the provider states with the sum of its parts.
    mutating func check(total path: String, against sum: Int64) {
        guard has(path) else { return }
        let excess = count(path) - sum
        if excess != 0 { remark(path) }
        add(excess, "output")
    }

    mutating func remark(_ what: String) { unmapped.insert(what) }

    mutating func serve(in tier: String?) { serviceTier = tier ?? serviceTier }

    mutating func finish() -> Result<ProviderUsage, ProviderUsageFault> {
        if let fault { return .failure(fault) }
        for (path, text) in fields.numbers where !known.contains(path) && !ProviderReader.isZero(text) { remark(path) }
        guard let usage = Usage(quantities.map { ($0.key, $0.value) }) else {
            return .failure(ProviderUsageFault(path: "", detail: "counts more than one call can use"))
        }
        return .success(ProviderUsage(usage: usage, serviceTier: serviceTier, unmapped: unmapped.sorted()))
    }

    /// Of nothing used there is nothing to bill.
    private static func isZero(_ text: String) -> Bool { Amount(number: text) == .zero }
}
