/// Re-pricing a call that was booked (design §6): the entry is taken back to the last digit and booked again at the prices that hold now for the
/// time of the call. Pure; `Store` reads and writes.

/// The two entries of a correction.
public struct Correction: Sendable {
    public struct Half: Sendable {
        public let lines: [EntryLine]
        public let cost: Money
        public let overage: Money
        public let draws: [Draw]
    }

    public let reversal: Half
    public let replacement: Half

    /// What the money budgets' counters gain.
    public var difference: Money { replacement.cost + reversal.cost }
}

/// What re-pricing an entry comes to.
public enum Repriced: Sendable {
    case unchanged
    /// Some kind still has no price: the entry stays as it is, visible.
    case unpriced
    case corrected(Correction)
}

/// An entry as it was booked, as far as its price goes.
public struct BookedCall: Sendable {
    public let model: String
    public let serviceTier: String
    public let occurredAt: Instant
    public let lines: [EntryLine]
    public let cost: Money
    public let overage: Money
    public let draws: [Draw]

    public init(
        model: String, serviceTier: String, occurredAt: Instant, lines: [EntryLine], cost: Money, overage: Money, draws: [Draw]
    ) {
        self.model = model
        self.serviceTier = serviceTier
        self.occurredAt = occurredAt
        self.lines = lines
        self.cost = cost
        self.overage = overage
        self.draws = draws
    }

    /// Prices the same usage again. Budgets in dollars count the new cost, bursts keep what was drawn on them, and what other budgets
    /// count was not in doubt.
    /// - Parameter money: the budgets that count dollars.
    public func repriced(with sheet: PriceSheet, money: Set<BudgetID>) -> Repriced {
        guard let usage = Usage(lines.map { ($0.kind, $0.quantity) }),
            case .success(let priced) = sheet.cost(of: usage, serviceTier: serviceTier, at: occurredAt)
        else { return .unpriced }
        let right = priced.lines.map(EntryLine.init)
        let isSame =
            right.count == lines.count
            && zip(right, lines.sorted { $0.kind < $1.kind }).allSatisfy { new, old in
                new.kind == old.kind && new.cost == old.cost && old.price != nil
            }
        guard !isSame else { return .unchanged }
        let reversal = Correction.Half(
            lines: lines.map { EntryLine(kind: $0.kind, quantity: -$0.quantity, price: $0.price, cost: -$0.cost) }, cost: -cost,
            overage: -overage, draws: draws.map { $0.correcting(to: -$0.quantity, bursts: $0.bursts.map { $0.taken(-1) }) })
        let replacement = Correction.Half(
            lines: right, cost: priced.total, overage: overage,
            draws: draws.map { $0.correcting(to: money.contains($0.counter.budget) ? priced.total : $0.quantity, bursts: $0.bursts) })
        return .corrected(Correction(reversal: reversal, replacement: replacement))
    }
}

extension Draw {
    fileprivate func correcting(to quantity: Amount, bursts: [BurstShare]) -> Draw {
        Draw(counter: counter, quantity: quantity, bursts: bursts, amount: amount, burst: burst, settled: settled, held: held)
    }
}

extension BurstShare {
    fileprivate func taken(_ sign: Int64) -> BurstShare { BurstShare(burst: burst, quantity: sign < 0 ? -quantity : quantity) }
}
