/// One charge as the FOCUS specification sees it (FinOps Open Cost and Usage Specification, 1.2 and 1.4): what a line of a statement
/// becomes before it is written in one version's columns.
import Budgets
import Store

struct FOCUSRow: Sendable {
    enum Category: String, Sendable {
        case usage = "Usage"
        case credit = "Credit"
        case adjustment = "Adjustment"
    }

    /// The statement's line; nil for the rounding.
    let line: StatementLine?
    let category: Category
    let isCorrection: Bool
    let description: String
    /// The local day of the calls, as UTC instants.
    let period: StatementSpan
    let cost: Money
    let listCost: Money
    let provider: FOCUSProvider

    /// What the specification calls split cost allocation (recipe L): how much of a shared cost the receiver takes on.
    var allocation: (method: String, ratio: Amount)? {
        guard let line, line.split != nil, let ratio = line.splitRatio else { return nil }
        return (line.usageKind.uppercased().replacing("_", with: "-") + "-1", ratio)
    }

    /// Whether no provider billed it: an adjustment, a credit, a shared cost, or the rounding.
    var isOwn: Bool { line == nil || line?.provider == BookingKind.ownProvider }

    /// Usage that has a price (recipes A, B, J, K), and credits (G). Usage without a price cannot be a row of usage, which needs a unit
    /// price: it is an adjustment that says so, with its quantity in a column of ours (law 9).
    init(_ line: StatementLine, of head: StatementHead, day: StatementSpan) {
        self.line = line
        isCorrection = line.consumedAt < head.span.start
        // What is shared is shared for the whole month.
        period = line.split == nil ? day : head.span
        cost = line.cost
        let isOwn = line.provider == BookingKind.ownProvider
        provider = isOwn ? .bursar : FOCUSProvider(line.provider, model: line.model)
        let meter = FOCUSMeter(line.usageKind)
        if let list = line.listPrice, line.unitPrice != nil {
            category = .usage
            description = "\(meter.name), \(line.model), \(line.serviceTier ?? "standard")"
            listCost = FOCUSRow.cost(of: line.quantity, at: list)
        } else if line.split != nil {
            category = .adjustment
            description = "\(line.splitRatio == nil ? "Shared cost taken" : "Shared cost given"), \(line.feature)"
            listCost = line.cost
        } else if isOwn {
            category = line.model == BookingKind.credit.rawValue ? .credit : .adjustment
            description = category.rawValue
            listCost = line.cost
        } else {
            category = .adjustment
            description =
                line.usageKind.isEmpty ? "Calls without usage, \(line.model)" : "\(meter.name) without a known price, \(line.model)"
            listCost = line.cost
        }
    }

    /// The one adjustment that rounds a statement to the cent (recipe H).
    init(rounding: Money, of head: StatementHead) {
        line = nil
        category = .adjustment
        isCorrection = false
        description = "Rounding"
        period = head.span
        cost = rounding
        listCost = rounding
        provider = .bursar
    }

    /// Dollars for whole units at a price per million: exact, as prices have at most six fractional digits.
    static func cost(of quantity: Amount, at price: Amount) -> Money {
        Money(pico: quantity.pico / 1_000_000 * price.pico / Amount.picoPerWhole)
    }
}

/// What a usage kind is called.
struct FOCUSMeter: Sendable {
    /// Such as `Cache Read Input Tokens`; stable for a kind.
    let name: String
    /// Such as `Tokens`.
    let unit: String

    private static let known: [UsageKind: String] = [
        "input": "Input Tokens", "output": "Output Tokens", "cached_input": "Cache Read Input Tokens",
        "cache_write_5m": "Cache Write Input Tokens (5 Minutes)", "cache_write_1h": "Cache Write Input Tokens (1 Hour)",
        "request": "Requests",
    ]
    private static let units = [
        "request": "Requests", "query": "Queries", "character": "Characters", "image": "Images", "pixel": "Pixels", "second": "Seconds",
        "page": "Pages", "session": "Sessions",
    ]

    init(_ kind: UsageKind) {
        let words = kind.split(separator: "_").map(String.init)
        unit = Usage.countsTokens(kind) ? "Tokens" : words.lazy.compactMap { Self.units[$0] }.first ?? "Units"
        let title = words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined(separator: " ")
        name = Self.known[kind] ?? (Usage.countsTokens(kind) ? "\(title) Tokens" : title)
    }
}

/// Who makes a model available, and who made it.
struct FOCUSProvider: Sendable {
    let name: String
    let service: String
    let publisher: String

    static let bursar = FOCUSProvider(name: "Bursar", service: "Bursar Chargeback", publisher: "Bursar")

    private static let services: [String: (name: String, service: String)] = [
        "openai": ("OpenAI", "OpenAI API"), "anthropic": ("Anthropic", "Claude API"),
        "bedrock": ("Amazon Web Services", "Amazon Bedrock"), "azure": ("Microsoft", "Azure OpenAI"),
        "vertex_ai": ("Google", "Vertex AI"), "gemini": ("Google", "Gemini API"), "mistral": ("Mistral AI", "Mistral API"),
        "cohere": ("Cohere", "Cohere API"), "deepseek": ("DeepSeek", "DeepSeek API"), "xai": ("xAI", "xAI API"),
    ]
    private static let publishers = [
        ("gpt", "OpenAI"), ("claude", "Anthropic"), ("gemini", "Google"), ("llama", "Meta"), ("mistral", "Mistral AI"),
        ("mixtral", "Mistral AI"),
        ("command", "Cohere"), ("deepseek", "DeepSeek"), ("grok", "xAI"), ("nova", "Amazon"), ("titan", "Amazon"),
    ]

    init(_ provider: String, model: String) {
        let known = Self.services[provider]
        name = known?.name ?? provider
        service = known?.service ?? "\(provider) API"
        publisher = Self.publishers.first { model.contains($0.0) }?.1 ?? name
    }

    private init(name: String, service: String, publisher: String) {
        (self.name, self.service, self.publisher) = (name, service, publisher)
    }
}
