/// Where spend leads when it goes on as it did since the period began: a straight line, said to people as what it is.

public struct Projection: Hashable, Sendable {
    /// What will have been settled when the period ends.
    public let total: Amount
    /// When the amount will be used up; nil when it will not before the period ends, or is already.
    public let exhaustsAt: Instant?

    /// Nil when there is nothing to draw a line through: a period without an end, one that has hardly begun (its first hundredth) or is
    /// over, or nothing settled.
    public init?(settled: Amount, amount: Amount, span: PeriodSpan, at now: Instant) {
        guard let end = span.end, settled > .zero, span.contains(now) else { return nil }
        let (elapsed, length) = (Int128(now.seconds - span.start.seconds), Int128(end.seconds - span.start.seconds))
        guard elapsed > 0, elapsed * 100 >= length else { return nil }
        let (product, overflow) = settled.pico.multipliedReportingOverflow(by: length)
        guard !overflow else { return nil }
        total = Amount(pico: product / elapsed)
        let (share, tooMuch) = amount.pico.multipliedReportingOverflow(by: elapsed)
        exhaustsAt =
            settled < amount && total > amount && !tooMuch ? span.start.adding(seconds: Int64(clamping: share / settled.pico)) : nil
    }
}
