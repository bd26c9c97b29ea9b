/// What a feature will cost, before it is launched: the same prices that a call would be settled at, by the same function (design §6).

/// What calls like the one described would cost on one model.
public struct Estimate: Sendable {
    public let model: Model
    /// Whether the project may call the model, by its tier or a grant, and the input fits in it.
    public let isAllowed: Bool
    /// One call; nil when it has no price, or a price that no amount holds.
    public let perCall: Money?
    /// All calls; nil like `perCall`.
    public let total: Money?
    /// The kinds without a price, sorted.
    public let unpriced: [UsageKind]
}

extension Configuration {
    /// The estimates for every model whose name matches, the cheapest that may be called first; then those that may not be called, and
    /// last those without a price. Equal ones are in the order of their names.
    /// - Parameters:
    ///   - calls: how many calls in all.
    ///   - project: whose tier and grants decide what is allowed; nil: everything is. One that does not exist may call nothing.
    public func estimates(
        of usage: Usage, calls: Int64, serviceTier: String, project: ProjectID?, models patterns: [Pattern], at instant: Instant
    ) -> [Estimate] {
        var state = OrganizationState(configuration: self, version: version)
        let asking = project.flatMap { projects[$0] }
        let own = asking.flatMap { tiers[$0.tier] }
        let names = modelNames.filter { name in patterns.isEmpty || patterns.contains { $0.matches(name) } }
        return names.compactMap { model($0, at: instant) }.map { model in
            var isAllowed = usage.inputTokens <= model.maxInputTokens ?? .max
            if project != nil {
                let tier = asking.flatMap { project in own.flatMap { state.admitting(model.name, for: project, $0, at: instant) } }
                isAllowed = isAllowed && tier.map { usage.inputTokens <= $0.maxInputTokens ?? .max } ?? false
            }
            switch model.prices.cost(of: usage, serviceTier: serviceTier, at: instant) {
            case .success(let cost):
                let total = cost.total.multiplied(by: calls)
                return Estimate(model: model, isAllowed: isAllowed, perCall: total == nil ? nil : cost.total, total: total, unpriced: [])
            case .failure(let unpriced):
                return Estimate(model: model, isAllowed: isAllowed, perCall: nil, total: nil, unpriced: unpriced.kinds)
            }
        }.sorted { $0.comesBefore($1) }
    }
}

extension Estimate {
    private var group: Int { total == nil ? 2 : isAllowed ? 0 : 1 }

    fileprivate func comesBefore(_ other: Estimate) -> Bool {
        (group, total ?? .zero, model.name) < (other.group, other.total ?? .zero, other.model.name)
    }
}
