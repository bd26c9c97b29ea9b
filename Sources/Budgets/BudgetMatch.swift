/// Which calls a budget counts, beyond its scope in the tree (design §4).

/// What a call is, as far as a budget can ask.
public struct CallFacts: Hashable, Sendable {
    /// The name of the model that will serve the call.
    public let model: String
    public let provider: String
    /// Of the API key: production, staging …
    public let environment: String
    public let feature: String?
    public let endUser: String?
    public let apiKey: APIKeyID

    public init(model: String, provider: String, environment: String, feature: String?, endUser: String?, apiKey: APIKeyID) {
        self.model = model
        self.provider = provider
        self.environment = environment
        self.feature = feature
        self.endUser = endUser
        self.apiKey = apiKey
    }
}

/// Lists of patterns, one list an attribute. An empty list asks nothing; of each other list at least one pattern must match.
public struct BudgetMatch: Hashable, Sendable {
    public let models: [Pattern]
    public let providers: [Pattern]
    public let environments: [Pattern]
    public let features: [Pattern]
    public let endUsers: [Pattern]
    /// Held against the text form of the API key's id.
    public let apiKeys: [Pattern]

    public init(
        models: [Pattern] = [], providers: [Pattern] = [], environments: [Pattern] = [], features: [Pattern] = [], endUsers: [Pattern] = [],
        apiKeys: [Pattern] = []
    ) {
        self.models = models
        self.providers = providers
        self.environments = environments
        self.features = features
        self.endUsers = endUsers
        self.apiKeys = apiKeys
    }

    /// Matches every call.
    public static let any = BudgetMatch()

    /// Whether the budget counts this call. A call without an attribute that a list asks for does not match, whatever the patterns.
    public func matches(_ call: CallFacts) -> Bool {
        allows(models, call.model) && allows(providers, call.provider) && allows(environments, call.environment)
            && allows(features, call.feature) && allows(endUsers, call.endUser)
            && (apiKeys.isEmpty || allows(apiKeys, call.apiKey.description))
    }

    private func allows(_ patterns: [Pattern], _ value: String?) -> Bool {
        patterns.isEmpty || value.map { value in patterns.contains { $0.matches(value) } } ?? false
    }
}
