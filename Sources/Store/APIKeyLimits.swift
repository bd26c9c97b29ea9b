/// What an API key may be used for, beside what its holder may.

/// What a key may be used for and from where; nil: no limit. It never changes, so that replicas may remember it: another limit is
/// another key.
public struct APIKeyLimits: Hashable, Sendable {
    /// Permissions, of those that its roles have.
    public var scopes: [String]?
    /// CIDR blocks that it may be used from.
    public var networks: [String]?
    /// Patterns, within what the project may call.
    public var models: [String]?

    public init(scopes: [String]? = nil, networks: [String]? = nil, models: [String]? = nil) {
        self.scopes = scopes
        self.networks = networks
        self.models = models
    }
}
