/// When spend has reached a percentage of a budget (law 7), decided without a division and so without rounding.

/// How loud an event is.
public enum Severity: String, Sendable, CaseIterable {
    case info, warning, error, critical

    /// Of a threshold in percent: below 80 info, below 90 warning, below 100 error, from 100 on critical.
    public init(threshold: Int) {
        switch threshold {
        case ..<80: self = .info
        case ..<90: self = .warning
        case ..<100: self = .error
        default: self = .critical
        }
    }
}

/// Those of the thresholds (whole percentages above 0) that `settled` has reached, ascending.
///
/// Exact for all amounts: 70 is reached when settled × 100 ≥ 70 × amount, computed in 256 bits. An amount of zero is used up by the
/// first spend: then every threshold up to 100 is reached, and before it none.
public func reached(settled: Amount, amount: Amount, thresholds: [Int]) -> [Int] {
    guard settled > .zero else { return [] }
    let spent = settled.pico.magnitude.multipliedFullWidth(by: 100)
    let hits = thresholds.filter { threshold in
        guard amount > .zero else { return threshold <= 100 }
        let mark = amount.pico.magnitude.multipliedFullWidth(by: UInt128(clamping: threshold))
        return (spent.high, spent.low) >= (mark.high, mark.low)
    }
    return hits.count > 1 ? Set(hits).sorted() : hits
}

/// Whether spend has fallen away from a threshold that it had reached (by a raised limit: spend itself never falls): from a warning by
/// five points, so that a limit raised a little does not warn of the same again; from 100 % on by anything, because calls are admitted.
public func isCleared(_ threshold: Int, settled: Amount, amount: Amount) -> Bool {
    reached(settled: settled, amount: amount, thresholds: [threshold < 100 ? max(1, threshold - 5) : threshold]).isEmpty
}

/// What share of the amount is settled, in percent with two digits, rounded down: 100.00 is never shown before it is reached.
///
/// An amount of zero is used up by the first spend. Settled amounts above 10²² units read as 10²².
public func usedPercent(settled: Amount, amount: Amount) -> String {
    let spent = min(max(settled, .zero).pico, Amount.picoPerWhole * 10_000_000_000_000_000_000_000)
    let hundredths = amount > .zero ? spent * 10_000 / amount.pico : spent > 0 ? 10_000 : 0
    let (whole, fraction) = hundredths.quotientAndRemainder(dividingBy: 100)
    return "\(whole).\(fraction < 10 ? "0" : "")\(fraction)"
}
