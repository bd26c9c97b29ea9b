/// Guard rails on burst requests: what an organization lets be asked for, and for a budget of its own, what instead.

/// A limit that is nil is left to the next in line: a budget's rails go before its organization's, and those before the usual ones.
public struct BurstRails: Hashable, Sendable {
    /// Of the budget's amount, in percent.
    public var largestPercent: Int64?
    /// Requested, to come or active at once on one budget.
    public var largestOpen: Int64?
    /// Asked for on one budget in one calendar quarter of the organization, without those denied or withdrawn.
    public var largestPerQuarter: Int64?
    /// From the request to the start.
    public var shortestNoticeSeconds: Int64?
    /// Above it an administrator of the organization must approve, and above the other an owner. In the budget's unit; in an
    /// organization's rails dollars, which say nothing of budgets in other units.
    public var adminAbove: Amount?
    public var ownerAbove: Amount?
    /// Whether a budget with an overdue review gets no new burst.
    public var blocksWhileReviewOverdue: Bool?
    /// How long after its end a burst's review is due.
    public var reviewDays: Int64?

    public init() {}

    /// Many more open at once than people can look after would also make every decision slower (law 11).
    public static let usual: BurstRails = {
        var rails = BurstRails()
        rails.largestOpen = 20
        rails.reviewDays = 7
        return rails
    }()

    /// What holds for a budget in that unit.
    public static func effective(of budget: BurstRails, in organization: BurstRails, unit: BudgetUnit) -> BurstRails {
        var rails = usual.overridden(by: organization)
        if unit != .usd { (rails.adminAbove, rails.ownerAbove) = (nil, nil) }
        return rails.overridden(by: budget)
    }

    private func overridden(by other: BurstRails) -> BurstRails {
        var rails = self
        rails.largestPercent = other.largestPercent ?? largestPercent
        rails.largestOpen = other.largestOpen ?? largestOpen
        rails.largestPerQuarter = other.largestPerQuarter ?? largestPerQuarter
        rails.shortestNoticeSeconds = other.shortestNoticeSeconds ?? shortestNoticeSeconds
        rails.adminAbove = other.adminAbove ?? adminAbove
        rails.ownerAbove = other.ownerAbove ?? ownerAbove
        rails.blocksWhileReviewOverdue = other.blocksWhileReviewOverdue ?? blocksWhileReviewOverdue
        rails.reviewDays = other.reviewDays ?? reviewDays
        return rails
    }
}

/// What has been asked for on the budget so far.
public struct BurstHistory: Hashable, Sendable {
    public var open: Int64
    public var inQuarter: Int64
    public var overdueReviews: Int64

    public init(open: Int64, inQuarter: Int64, overdueReviews: Int64) {
        self.open = open
        self.inQuarter = inQuarter
        self.overdueReviews = overdueReviews
    }
}

/// Which rail a request or an approval runs into, with what it allows.
public enum BurstRefusal: Hashable, Sendable {
    case tooLarge(Amount)
    case noticeTooShort(seconds: Int64)
    case tooManyOpen(Int64)
    case tooManyInQuarter(Int64)
    case reviewOverdue
    /// Only an `owner` or an `admin` may approve so much.
    case approverTooLow(role: String)
    /// The budget lets everything through anyway.
    case budgetDoesNotBlock
    /// It has been decided, or is over: the state it is in.
    case notOpen(state: String)
    /// It is not over yet, or there is nothing to review.
    case nothingToReview
}

extension BurstRails {
    /// The first rail that a request runs into; nil for none.
    public func refusal(
        of amount: Amount, on budget: Amount, startsAt: Instant, after history: BurstHistory, at now: Instant
    ) -> BurstRefusal? {
        if blocksWhileReviewOverdue == true, history.overdueReviews > 0 { return .reviewOverdue }
        if let largestPercent {
            // Both are at most 10¹⁵ units and a thousand percent: no overflow.
            let largest = Amount(pico: budget.pico * Int128(largestPercent) / 100)
            if amount > largest { return .tooLarge(largest) }
        }
        if let shortestNoticeSeconds, startsAt < now.adding(seconds: shortestNoticeSeconds) {
            return .noticeTooShort(seconds: shortestNoticeSeconds)
        }
        if let largestOpen, history.open >= largestOpen { return .tooManyOpen(largestOpen) }
        if let largestPerQuarter, history.inQuarter >= largestPerQuarter { return .tooManyInQuarter(largestPerQuarter) }
        return nil
    }

    /// Whether somebody of that rank (3 for an administrator, 4 for an owner) may approve so much.
    public func refusal(approving amount: Amount, rank: Int64) -> BurstRefusal? {
        if let ownerAbove, amount > ownerAbove, rank < 4 { return .approverTooLow(role: "owner") }
        if let adminAbove, amount > adminAbove, rank < 3 { return .approverTooLow(role: "admin") }
        return nil
    }
}
