/// All rates of one model, and the one place that prices with them: holds and settlements alike (design §6).

/// The rates of one model, past and future: list prices, and an organization's contracted ones.
public struct PriceSheet: Sendable {
    /// The list prices among the rates, for another organization's contracted rates to be laid over.
    public let list: [Rate]
    private let tiers: [String: TierRates]

    /// Rates in any order. Where a contracted rate applies to a kind, list prices do not, whatever their context band.
    /// Of two rates of the same band and time, the one that came into force later applies.
    public init(rates list: [Rate], contracted: [Rate] = []) {
        self.list = list
        tiers = Dictionary(grouping: list + contracted, by: \.serviceTier).mapValues { rates in
            let tier = rates[0].serviceTier
            return TierRates(
                Set(rates.map(\.kind)).sorted().map { kind in
                    KindRates(
                        kind: kind, list: list.filter { $0.kind == kind && $0.serviceTier == tier },
                        contracted: contracted.filter { $0.kind == kind && $0.serviceTier == tier })
                })
        }
    }

    /// Prices a usage exactly, all of it in the context band that its input tokens reach.
    ///
    /// A kind without a rate, its own or that of what it is a part of, makes the usage unpriced unless its quantity is 0. A call is one request: where `request` has a price
    /// and the usage does not state it, one is charged, as it was held.
    public func cost(of usage: Usage, serviceTier: String, at instant: Instant) -> Result<Cost, UnpricedUsage> {
        let tier = tiers[serviceTier] ?? .none
        var lines: [CostLine] = []
        lines.reserveCapacity(usage.quantities.count + 1)
        var unpriced: [UsageKind] = []
        var statesRequest = false
        for (kind, quantity) in usage.quantities {
            if kind == Usage.request { statesRequest = true }
            guard quantity > 0 else { continue }
            if let rate = tier.rate(of: kind, inputTokens: usage.inputTokens, at: instant) {
                lines.append(CostLine(kind, rate, quantity))
            } else {
                unpriced.append(kind)
            }
        }
        if !statesRequest, let rate = tier.rate(of: Usage.request, inputTokens: usage.inputTokens, at: instant) {
            lines.insert(CostLine(Usage.request, rate, 1), at: lines.firstIndex { $0.kind > Usage.request } ?? lines.endIndex)
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
        let tier = tiers[serviceTier] ?? .none
        var unpriced: [UsageKind] = []
        if inputTokens > 0, tier.rate(of: "input", inputTokens: inputTokens, at: instant) == nil { unpriced.append("input") }
        if maxOutputTokens > 0, tier.rate(of: "output", inputTokens: inputTokens, at: instant) == nil { unpriced.append("output") }
        guard unpriced.isEmpty else {
            return .failure(UnpricedUsage(kinds: unpriced, serviceTier: serviceTier, priced: Cost(lines: [])))
        }
        var (input, output, request) = (Money.zero, Money.zero, Money.zero)
        for kind in tier.kinds where kind.role != .other {
            let dearest = kind.dearestUnit(upTo: inputTokens, at: instant)
            switch kind.role {
            case .input: input = max(input, dearest)
            case .output: output = max(output, dearest)
            case .request: request = dearest
            case .other: break
            }
        }
        return .success(Money(pico: input.pico * Int128(inputTokens) + output.pico * Int128(maxOutputTokens)) + request)
    }
}

/// The rates of one service tier, by usage kind.
private final class TierRates: Sendable {
    let kinds: [KindRates]

    static let none = TierRates([])

    init(_ kinds: [KindRates]) { self.kinds = kinds }

    /// The rate of the kind, or else of what it is a part of (`Usage.whole(of:)`).
    func rate(of kind: UsageKind, inputTokens: Int64, at instant: Instant) -> Rate? {
        for index in kinds.indices where kinds[index].kind == kind {
            if let rate = kinds[index].rate(inputTokens: inputTokens, at: instant) { return rate }
        }
        return Usage.whole(of: kind).flatMap { rate(of: $0, inputTokens: inputTokens, at: instant) }
    }
}

/// The rates of one usage kind in one service tier.
private final class KindRates: Sendable {
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

    /// What a unit costs at most in a call with up to so many input tokens; zero where nothing has a rate.
    func dearestUnit(upTo inputTokens: Int64, at instant: Instant) -> Money {
        var dearest = Money.zero
        for band in bands where band <= inputTokens {
            guard let rate = rate(inputTokens: band, at: instant) else { continue }
            dearest = max(dearest, rate.cost(of: 1))
        }
        return dearest
    }
}

extension CostLine {
    fileprivate init(_ kind: UsageKind, _ rate: Rate, _ quantity: Int64) {
        self.init(
            kind: kind, quantity: quantity, priceID: rate.priceID, amountPerMillion: rate.amountPerMillion,
            cost: rate.cost(of: quantity))
    }
}
