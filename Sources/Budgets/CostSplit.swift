/// Shared costs (design §9): what one project spent is moved to those who share it, to the last pico-dollar. Pure: `Store` keeps the rules and
/// says what was spent, `Chargeback` shows what was moved.

/// By what measure a shared cost is split.
public enum SplitMethod: String, Sendable, CaseIterable {
    /// To each the same.
    case even
    /// As each receiver itself spent in the month. Who spent nothing, or was credited more than that, takes no part.
    case spend
    /// As each receiver itself used tokens in the month.
    case tokens
    /// As the rule says.
    case percent
}

/// A rule: the whole cost of a project in a month goes to others.
public struct CostSplit: Hashable, Sendable {
    public struct Receiver: Hashable, Sendable {
        public let project: ProjectID
        /// Its part of 100; nil unless the method is `percent`.
        public let percent: Amount?

        public init(project: ProjectID, percent: Amount? = nil) {
            self.project = project
            self.percent = percent
        }
    }

    public let id: CostSplitID
    public let source: ProjectID
    public let method: SplitMethod
    /// Each once, and never the source.
    public let receivers: [Receiver]

    public init(id: CostSplitID, source: ProjectID, method: SplitMethod, receivers: [Receiver]) {
        self.id = id
        self.source = source
        self.method = method
        self.receivers = receivers.sorted { $0.project < $1.project }
    }
}

/// What a project used in a month by itself, before anything is split.
public struct ProjectUse: Hashable, Sendable {
    public var cost: Money
    public var tokens: Amount

    public init(cost: Money = .zero, tokens: Amount = .zero) {
        self.cost = cost
        self.tokens = tokens
    }
}

/// Part of a shared cost that a project takes on.
public struct CostShare: Hashable, Sendable {
    public let split: CostSplitID
    public let project: ProjectID
    public let cost: Money
    /// Its part of the whole. All of a split sum to exactly 1.
    public let ratio: Amount
}

/// What a rule took from its source beyond the source's own cost: what the source had itself been given.
public struct PassedOn: Hashable, Sendable {
    public let split: CostSplitID
    public let project: ProjectID
    public let cost: Money
}

/// What all rules of a month come to.
public struct CostShares: Hashable, Sendable {
    public private(set) var shares: [CostShare] = []
    public private(set) var passedOn: [PassedOn] = []

    /// Applies each rule once, those first whose source is given nothing by the others.
    /// - Returns: nil when the rules run in a circle.
    public init?(_ splits: [CostSplit], of uses: [ProjectID: ProjectUse]) {
        guard let ordered = CostSplit.ordered(splits) else { return nil }
        var received: [ProjectID: Money] = [:]
        for split in ordered {
            let given = received.removeValue(forKey: split.source) ?? .zero
            let whole = (uses[split.source]?.cost ?? .zero) + given
            guard whole != .zero else { continue }
            if given != .zero { passedOn.append(PassedOn(split: split.id, project: split.source, cost: given)) }
            let weights = split.weights(uses)
            let (parts, ratios) = (whole.split(by: weights), Amount(whole: 1).split(by: weights))
            for (index, receiver) in split.receivers.enumerated() where ratios[index] != .zero || parts[index] != .zero {
                shares.append(CostShare(split: split.id, project: receiver.project, cost: parts[index], ratio: ratios[index]))
                received[receiver.project, default: .zero] += parts[index]
            }
        }
    }
}

extension CostSplit {
    /// The rules so that no source is given anything by a later one; nil when they run in a circle.
    public static func ordered(_ splits: [CostSplit]) -> [CostSplit]? {
        var (rest, ordered) = (splits.sorted { $0.id < $1.id }, [CostSplit]())
        while !rest.isEmpty {
            let receiving = Set(rest.flatMap(\.receivers).map(\.project))
            let free = rest.filter { !receiving.contains($0.source) }
            guard !free.isEmpty else { return nil }
            ordered += free
            rest.removeAll { !receiving.contains($0.source) }
        }
        return ordered
    }

    /// By what the receivers share. Where nobody used anything, evenly: somebody has to take it on.
    fileprivate func weights(_ uses: [ProjectID: ProjectUse]) -> [Amount] {
        let weights = receivers.map { receiver -> Amount in
            switch method {
            case .even: Amount(whole: 1)
            case .spend: max(.zero, uses[receiver.project]?.cost ?? .zero)
            case .tokens: max(.zero, uses[receiver.project]?.tokens ?? .zero)
            case .percent: receiver.percent ?? .zero
            }
        }
        return weights.contains { $0 != .zero } ? weights : weights.map { _ in Amount(whole: 1) }
    }
}

extension Amount {
    /// Parts in proportion to weights, of which none is negative and one is positive; they sum to exactly this. Each is rounded towards
    /// zero, and the units of 10⁻¹² that are left go to the largest remainders, the first of equals first.
    func split(by weights: [Amount]) -> [Amount] {
        let total = weights.reduce(0) { $0 + $1.pico.magnitude }
        var left = pico.magnitude
        var parts: [(floor: UInt128, remainder: UInt128)] = []
        for weight in weights {
            // The product has up to 256 bits; the quotient is no more than the whole.
            let (quotient, remainder) = total.dividingFullWidth(pico.magnitude.multipliedFullWidth(by: weight.pico.magnitude))
            parts.append((quotient, remainder))
            left -= quotient
        }
        let byRemainder = parts.indices.sorted {
            parts[$0].remainder == parts[$1].remainder ? $0 < $1 : parts[$0].remainder > parts[$1].remainder
        }
        for index in byRemainder.prefix(Int(left)) { parts[index].floor += 1 }
        return parts.map { Amount(pico: pico < 0 ? -Int128($0.floor) : Int128($0.floor)) }
    }
}
