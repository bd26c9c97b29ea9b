/// What a usage cost, line by line, and what could not be priced.

/// What one usage kind cost, with the rate it was priced at: a line of a ledger entry.
public struct CostLine: Hashable, Sendable {
    public let kind: UsageKind
    public let quantity: Int64
    public let priceID: PriceID
    public let amountPerMillion: Money
    public let cost: Money
}

/// What a usage cost. The lines sum to the total, exactly; a kind of which nothing was used has no line.
public struct Cost: Hashable, Sendable {
    /// Sorted by kind.
    public let lines: [CostLine]
    public let total: Money

    init(lines: [CostLine]) {
        self.lines = lines
        total = lines.reduce(.zero) { $0 + $1.cost }
    }
}

/// There is no price for some kinds in this service tier at this time: unknown, which is never zero (law 9).
public struct UnpricedUsage: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds without a price, sorted.
    public let kinds: [UsageKind]
    public let serviceTier: String
    /// The cost of the other kinds; nothing for a hold.
    public let priced: Cost

    public var description: String { "no price for \(kinds.joined(separator: ", ")) in service tier \(serviceTier)" }
}
