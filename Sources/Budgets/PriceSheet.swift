/// All rates of one model, and the one place that prices with them: holds and settlements alike (design §6).

/// The rates of one model, past and future: list prices, and an organization's contracted ones.
public struct PriceSheet: Sendable {
    /// The list prices among the rates, for another organization's contracted rates to be laid over.
    public let list: [Rate]
    private let tiers: [String: [KindRates]]

    /// Rates in any order. Where a contracted rate applies to a kind, list prices do not, whatever their context band.
    /// Of two rates of the same band and time, the one that came into force later applies.
    public init(rates list: [Rate], contracted: [Rate] = []) {
        self.list = list
        tiers = Dictionary(grouping: list + contracted, by: \.serviceTier).mapValues { rates in
            let tier = rates[0].serviceTier
            return Set(rates.map(\.kind)).sorted().map { kind in
                KindRates(
                    kind: kind, list: list.filter { $0.kind == kind && $0.serviceTier == tier },
                    contracted: contracted.filter { $0.kind == kind && $0.serviceTier == tier })
            }
        }
    }

    /// Prices a usage exactly, all of it in the context band that its input tokens reach.
    ///
    /// A kind without a rate makes the usage unpriced unless its quantity is 0. A call is one request: where `request` has a price
    /// and the usage does not state it, one is charged, as it was held.
    public func cost(of usage: Usage, serviceTier: String, at instant: Instant) -> Result<Cost, UnpricedUsage> {
        let kinds = tiers[serviceTier] ?? []
        var lines: [CostLine] = []
        lines.reserveCapacity(usage.quantities.count + 1)
        var unpriced: [UsageKind] = []
        for (kind, quantity) in usage.quantities where quantity > 0 {
            guard let rate = kinds.first(where: { $0.kind == kind })?.rate(inputTokens: usage.inputTokens, at: instant) else {
                unpriced.append(kind)
                continue
            }
            lines.append(CostLine(rate, quantity))
        }
        if usage[Usage.request] == nil,
            let rate = kinds.first(where: { $0.kind == Usage.request })?.rate(inputTokens: usage.inputTokens, at: instant)
        {
            lines.insert(CostLine(rate, 1), at: lines.firstIndex { $0.kind > Usage.request } ?? lines.endIndex)
        }
        let cost = Cost(lines: lines)
        return unpriced.isEmpty
            ? .success(cost) : .failure(UnpricedUsage(kinds: unpriced, serviceTier: serviceTier, priced: cost))
    }

    /// What to set aside for a call: never less than the cost of any usage with at most so many input and output tokens and one request,
    /// in the same service tier and at the same time.
    ///
    /// Input tokens are taken at the dearest input kind, output tokens at the dearest output kind, and each in the dearest context band
    /// within reach, since a call may use less than announced. Unpriced when `input` (for input tokens) or `output` (for output tokens)
    /// has no rate, whatever other kinds have: such a call would be unpriced when settled. Neither number may be negative.
    public func hold(
        inputTokens: Int64, maxOutputTokens: Int64, serviceTier: String, at instant: Instant
    ) -> Result<Money, UnpricedUsage> {
        precondition(inputTokens >= 0 && maxOutputTokens >= 0, "the edge of the API refuses negative quantities")
        var input: Rate?
        var output: Rate?
        var request: Rate?
        var missing: Set<UsageKind> = []
        if inputTokens > 0 { missing.insert("input") }
        if maxOutputTokens > 0 { missing.insert("output") }
        for kind in tiers[serviceTier] ?? [] {
            if missing.contains(kind.kind), kind.rate(inputTokens: inputTokens, at: instant) != nil { missing.remove(kind.kind) }
            let dearest = kind.dearest(upTo: inputTokens, at: instant)
            switch kind.role {
            case .input: input = dearer(input, dearest)
            case .output: output = dearer(output, dearest)
            case .request: request = dearest
            case .other: break
            }
        }
        guard missing.isEmpty else {
            return .failure(UnpricedUsage(kinds: missing.sorted(), serviceTier: serviceTier, priced: Cost(lines: [])))
        }
        let parts = [input?.cost(of: inputTokens), output?.cost(of: maxOutputTokens), request?.cost(of: 1)]
        return .success(parts.reduce(.zero) { $0 + ($1 ?? .zero) })
    }
}

/// The rates of one usage kind in one service tier.
private struct KindRates: Sendable {
    enum Role { case input, output, request, other }

    let kind: UsageKind
    let role: Role
    /// Highest band first and within it the latest first, so that the first that applies is the right one.
    private let list: [Rate]
    private let contracted: [Rate]
    /// Every number of input tokens at which the rate may change.
    private let bands: [Int64]

    init(kind: UsageKind, list: [Rate], contracted: [Rate]) {
        self.kind = kind
        role = Usage.isInput(kind) ? .input : Usage.isOutput(kind) ? .output : kind == Usage.request ? .request : .other
        func order(_ left: Rate, _ right: Rate) -> Bool {
            (left.contextFrom, left.validFrom, left.priceID) > (right.contextFrom, right.validFrom, right.priceID)
        }
        self.list = list.sorted(by: order)
        self.contracted = contracted.sorted(by: order)
        bands = Set((list + contracted).map(\.contextFrom) + [0]).sorted()
    }

    func rate(inputTokens: Int64, at instant: Instant) -> Rate? {
        func applies(_ rate: Rate) -> Bool { rate.contextFrom <= inputTokens && rate.isValid(at: instant) }
        return contracted.first(where: applies) ?? list.first(where: applies)
    }

    /// The dearest rate of any call with at most so many input tokens.
    func dearest(upTo inputTokens: Int64, at instant: Instant) -> Rate? {
        var dearest: Rate?
        for band in bands where band <= inputTokens { dearest = dearer(dearest, rate(inputTokens: band, at: instant)) }
        return dearest
    }
}

private func dearer(_ one: Rate?, _ other: Rate?) -> Rate? {
    guard let one, let other else { return one ?? other }
    return one.amountPerMillion < other.amountPerMillion ? other : one
}

extension CostLine {
    fileprivate init(_ rate: Rate, _ quantity: Int64) {
        self.init(
            kind: rate.kind, quantity: quantity, priceID: rate.priceID, amountPerMillion: rate.amountPerMillion,
            cost: rate.cost(of: quantity))
    }
}
