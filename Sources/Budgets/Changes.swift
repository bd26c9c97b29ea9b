/// What a batch of decisions must write, all in one Postgres transaction (design §5). Gathered while deciding, written by `Ledger`.

/// The end of a reservation.
public struct Resolution: Sendable {
    public let reservation: ReservationID
    public let state: Reservation.State
    public let at: Instant
    /// Of the settlement, so that a repeat can be told from a contradiction.
    public let content: ContentHash?
}

/// Spend reached a percentage of a budget (law 7). The highest threshold newly reached is told to people; lower ones, reached by
/// the same posting or told of under an earlier limit, are recorded as superseded.
public struct Alert: Sendable {
    public let budget: Budget
    public let counter: CounterID
    public let span: PeriodSpan
    /// Nil when nothing is news: all that was reached had been told of before the limit changed.
    public let threshold: Int?
    public let superseded: [Int]
    /// The same for thresholds that are amounts.
    public let thresholdAmount: Amount?
    public let supersededAmounts: [Amount]
    public let settled: Amount
    public let at: Instant

    /// What the budget has in the counter's period.
    public var amount: Amount { budget.amount(from: counter.periodStart) }
}

public struct Changes: Sendable {
    /// Counters to write as they now stand.
    public internal(set) var counters: Set<CounterID> = []
    /// Grants of which something was drawn or given back, to write as they now stand.
    public internal(set) var bursts: Set<BurstID> = []
    public internal(set) var attributions: [(AttributionID, Attribution)] = []
    public internal(set) var reservations: [Reservation] = []
    public internal(set) var resolutions: [Resolution] = []
    /// Settled reservations whose entries are new.
    public internal(set) var entries: [Reservation] = []
    public internal(set) var alerts: [Alert] = []

    public init() {}

    /// Nothing to write: the batch only refused or answered repeats.
    public var isEmpty: Bool { counters.isEmpty && reservations.isEmpty && resolutions.isEmpty && entries.isEmpty && alerts.isEmpty }
}
