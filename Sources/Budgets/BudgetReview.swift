/// The monthly review of one team or project: how it stands, where it leads, and what one might do about it. Arithmetic, and one table of
/// advice; the people in the meeting decide.

/// What a review suggests. The order is that of urgency: the first that applies is said.
public enum ReviewAdvice: String, Sendable, CaseIterable {
    /// A burst is over and nobody has said what came of it.
    case reviewBurst = "review_burst"
    /// Money is spent and no budget of its own counts it.
    case setBudget = "set_budget"
    /// The budget is used up, or will be before the period ends.
    case raiseOrReallocate = "raise_or_reallocate"
    /// It leads to nine tenths of the budget or more.
    case watch
    /// Most of the period is over, and it leads to less than half of the budget.
    case giveBack = "give_back"
    case none
}

/// What is known of one team or project in one month.
public struct BudgetReview: Hashable, Sendable {
    /// Of its budget of dollars by the month: the tightest that counts all it does. Nil without one.
    public let allocated: Money?
    /// Of all its calls, by the ledger.
    public let spent: Money
    /// By the budget's counter; nil without one.
    public let held: Money?
    /// Spent in the month before.
    public let previous: Money
    /// Bursts approved and not over on any of its budgets, and what those in dollars come to.
    public let openBursts: Int64
    public let openBurstAmount: Money
    /// Bursts that are over, were drawn on, and whose review is overdue.
    public let overdueReviews: Int64

    public init(
        allocated: Money?, spent: Money, held: Money?, previous: Money, openBursts: Int64 = 0, openBurstAmount: Money = .zero,
        overdueReviews: Int64 = 0
    ) {
        self.allocated = allocated
        self.spent = spent
        self.held = held
        self.previous = previous
        self.openBursts = openBursts
        self.openBurstAmount = openBurstAmount
        self.overdueReviews = overdueReviews
    }

    /// What will have been spent when the period ends; what was spent when it is over. Nil before there is anything to go by.
    public func projected(in span: PeriodSpan, at now: Instant) -> Money? {
        if span.end.map({ $0 <= now }) ?? false { return spent }
        return Projection(settled: spent, amount: allocated ?? .zero, span: span, at: now)?.total
    }

    /// By how much it leads beyond the month before, in percent of that and cut to two digits; negative when it leads below. Nil without
    /// anything to compare.
    public func trendPercent(in span: PeriodSpan, at now: Instant) -> String? {
        guard previous > .zero, let projected = projected(in: span, at: now) else { return nil }
        let change = projected - previous
        let text = usedPercent(settled: change < .zero ? -change : change, amount: previous)
        return change < .zero && text != "0.00" ? "-" + text : text
    }

    public func advice(in span: PeriodSpan, at now: Instant) -> ReviewAdvice {
        if overdueReviews > 0 { return .reviewBurst }
        guard let allocated else { return spent > .zero ? .setBudget : .none }
        let outlook = max(spent, projected(in: span, at: now) ?? .zero)
        if spent + (held ?? .zero) >= allocated || outlook > allocated { return spent > .zero ? .raiseOrReallocate : .none }
        if !reached(settled: outlook, amount: allocated, thresholds: [90]).isEmpty { return .watch }
        let isLate = span.end.map { ($0.seconds - now.seconds) * 4 <= $0.seconds - span.start.seconds } ?? false
        return isLate && reached(settled: outlook, amount: allocated, thresholds: [50]).isEmpty ? .giveBack : .none
    }
}
