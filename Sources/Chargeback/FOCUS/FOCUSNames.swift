/// What FOCUS calls meters, units and providers.
import Budgets

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
