// What a month's review says of a team: where it leads, against the month before, and the advice.

import Testing

@testable import Budgets

struct BudgetReviewTests {
    /// Thirty days.
    private let span = PeriodRule(.month).span(containing: Instant(seconds: 1_793_836_800), in: .utc)

    private func review(
        _ allocated: String?, spent: String, held: String = "0", previous: String = "0", overdue: Int64 = 0
    ) -> BudgetReview {
        BudgetReview(
            allocated: allocated.map { Amount($0)! }, spent: Amount(spent)!, held: allocated == nil ? nil : Amount(held)!,
            previous: Amount(previous)!, overdueReviews: overdue)
    }

    private func day(_ days: Int64) -> Instant { span.start.adding(seconds: days * 86_400) }

    /// Day of the month, allocated, spent, held, overdue reviews, and what is advised.
    static let advice: [(Int64, String?, String, String, Int64, ReviewAdvice)] = [
        (15, "100", "10", "0", 1, .reviewBurst), (15, nil, "10", "0", 0, .setBudget), (15, nil, "0", "0", 0, .none),
        (15, "100", "100", "0", 0, .raiseOrReallocate), (15, "100", "40", "60", 0, .raiseOrReallocate),
        (15, "100", "50.01", "0", 0, .raiseOrReallocate), (15, "100", "50", "0", 0, .watch), (15, "100", "45", "0", 0, .watch),
        (15, "100", "44.99", "0", 0, .none), (15, "100", "1", "0", 0, .none), (24, "100", "10", "0", 0, .giveBack),
        (24, "100", "39", "0", 0, .giveBack), (24, "100", "40", "0", 0, .none), (31, "100", "49.99", "0", 0, .giveBack),
        (31, "100", "90", "0", 0, .watch), (31, "100", "100", "0", 0, .raiseOrReallocate), (31, "0", "0", "0", 0, .none),
        (31, "0", "0.01", "0", 0, .raiseOrReallocate),
    ]

    @Test("the advice for a month of thirty days, on some of them", arguments: advice)
    func advises(day: Int64, allocated: String?, spent: String, held: String, overdue: Int64, expected: ReviewAdvice) {
        let review = review(allocated, spent: spent, held: held, overdue: overdue)
        #expect(review.advice(in: span, at: self.day(day)) == expected)
    }

    @Test(
        "the trend compares where the month leads with what the one before came to",
        arguments: [
            (15, "50", "50", "100.00"), (15, "50", "100", "0.00"), (15, "25", "200", "-75.00"), (31, "50", "100", "-50.00"),
            (31, "100.001", "100", "0.00"), (15, "50", "0", nil), (15, "0", "50", nil),
        ] as [(Int64, String, String, String?)])
    func trend(day: Int64, spent: String, previous: String, expected: String?) {
        #expect(review("100", spent: spent, previous: previous).trendPercent(in: span, at: self.day(day)) == expected)
    }

    @Test("a month that is over leads to what it came to; one that has hardly begun, nowhere yet")
    func projected() {
        #expect(review("100", spent: "7").projected(in: span, at: day(31)) == Amount("7"))
        #expect(review("100", spent: "7").projected(in: span, at: day(15)) == Amount("14"))
        #expect(review("100", spent: "7").projected(in: span, at: span.start) == nil)
    }
}
