/// What an entry of the ledger is: most are calls, some are people's work.

/// The kinds of ledger entries; the raw value is the word in Postgres, JSON and exports.
public enum BookingKind: String, Sendable, CaseIterable {
    /// A call, at what it cost when it was booked.
    case usage
    /// One half of a correction: a call's entry taken back, or the same call booked again at another price.
    case correction
    /// An amount that somebody booked and somebody else approved: a fee, a rounding, what a provider billed beside the calls.
    case adjustment
    /// The same in somebody's favour: below zero, unless it takes another one back.
    case credit

    /// The provider of entries that no provider billed. Their model is their kind, so that every report shows them on a line of their own.
    public static let ownProvider = "bursar"
}
