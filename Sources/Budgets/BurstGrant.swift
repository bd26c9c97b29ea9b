/// Burst grants (design §1): approved extra money on top of one budget, for a while, and what has been drawn on it.
///
/// The rules, all of them arithmetic and none of them a job:
/// - A grant is open to calls made while it is active that it matches. All subjects and periods of its budget share its one amount;
///   whoever wants one subject to have it says so in its match.
/// - A hold is admitted if what the base and the open grants have left covers it. It takes the base's room first, then the grants',
///   the earliest expiry first. A base that is overdrawn, by an overage or a lowered amount, is made up for before anything is given.
/// - A cost fills its hold in the order in which that was taken: base, then grants. So what is not used returns to the grant drawn on
///   last and to the base last of all.
/// - A cost above its hold takes free room in the same order, of grants that were open to the call and are still active. What finds
///   none is overage, and overage is the base's.
/// - When a grant ends, what nobody drew on it is gone; what was drawn stays drawn, held or settled, and is never the base's.
///
/// So the parts of every hold and entry sum to its quantity, the parts of a budget's counters to the counters of its grants (law 5),
/// and law 1 holds of each by itself: base ≤ amount + overage, and drawn ≤ the grant's amount.

public struct BurstGrant: Hashable, Sendable {
    public let id: BurstID
    /// In its budget's unit, for all the time it is active.
    public let amount: Amount
    /// The first instant at which it counts.
    public let startsAt: Instant
    /// The first instant at which it no longer does: its date, or when it was revoked.
    public let endsAt: Instant
    public let match: BudgetMatch

    public init(id: BurstID, amount: Amount, startsAt: Instant, endsAt: Instant, match: BudgetMatch = .any) {
        self.id = id
        self.amount = amount
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.match = match
    }

    public func isActive(at instant: Instant) -> Bool { startsAt <= instant && instant < endsAt }

    /// The order in which grants are drawn on.
    static func isDrawnBefore(_ left: Self, _ right: Self) -> Bool { (left.endsAt, left.id) < (right.endsAt, right.id) }
}

/// What has been drawn on a grant, by all counters of its budget together.
public struct BurstCounter: Hashable, Sendable {
    public let amount: Amount
    public var settled: Amount
    public var held: Amount

    public init(amount: Amount, settled: Amount = .zero, held: Amount = .zero) {
        self.amount = amount
        self.settled = settled
        self.held = held
    }

    var available: Amount { amount - settled - held }
}

/// The part of a hold or an entry that is drawn on a grant. A hold lists every grant that was open to its call, with zero where
/// nothing was needed: a cost above the hold may then draw on it.
public struct BurstShare: Hashable, Sendable {
    public let burst: BurstID
    public var quantity: Amount

    public init(burst: BurstID, quantity: Amount) {
        self.burst = burst
        self.quantity = quantity
    }
}

extension [BurstShare] {
    var total: Amount { reduce(.zero) { $0 + $1.quantity } }

    /// One share a grant, in order, without those of nothing.
    var joined: Self {
        var joined: Self = []
        for share in self where share.quantity > .zero {
            if let known = joined.firstIndex(where: { $0.burst == share.burst }) {
                joined[known].quantity += share.quantity
            } else {
                joined.append(share)
            }
        }
        return joined
    }
}

extension OrganizationState {
    func rememberedBurst(_ id: BurstID) -> BurstCounter {
        guard let counter = bursts[id] else { preconditionFailure("a grant never seen is not untouched") }
        return counter
    }

    /// What a counter and the grants have left; below zero when the base is overdrawn by more than they have.
    func room(_ counter: Counter, of amount: Amount, _ grants: [BurstID]) -> Amount {
        grants.reduce(amount - counter.base) { $0 + rememberedBurst($1).available }
    }

    /// Draws the quantity on the grants, in their order. They must have that much.
    mutating func draw(
        _ quantity: Amount, on grants: [BurstID], _ part: WritableKeyPath<BurstCounter, Amount>, _ changes: inout Changes
    ) -> [BurstShare] {
        var rest = quantity
        let shares = grants.map { id in
            var counter = rememberedBurst(id)
            let share = min(rest, counter.available)
            rest -= share
            if share > .zero {
                counter[keyPath: part] += share
                bursts[id] = counter
                changes.bursts.insert(id)
            }
            return BurstShare(burst: id, quantity: share)
        }
        precondition(rest == .zero, "a grant drawn on beyond its amount")
        return shares
    }

    /// Gives back what was held on grants, and books up to that much of `spent` on them, in the order in which it was held.
    mutating func settle(_ spent: Amount, held: [BurstShare], _ changes: inout Changes) -> [BurstShare] {
        var rest = spent
        return held.map { share in
            guard share.quantity > .zero else { return share }
            let booked = min(rest, share.quantity)
            rest -= booked
            var counter = rememberedBurst(share.burst)
            counter.held -= share.quantity
            counter.settled += booked
            bursts[share.burst] = counter
            changes.bursts.insert(share.burst)
            return BurstShare(burst: share.burst, quantity: booked)
        }
    }
}
