/// What an entry of the ledger is: most are calls, some are people's work.

/// The kinds of ledger entries; the raw value is the word in Postgres, JSON and exports.
public enum BookingKind: String, Sendable, CaseIterable {
    /// A call, at what it cost when it was booked.
    case usage
    /// One half of a correction: a call's entry taken back, or the same call booked again at another price.
    case correction
    /// An amount that somebody booked and somebody else approved: what for is its `ChargeKind`.
    case adjustment
    /// The same in somebody's favour: below zero, unless it takes another one back.
    case credit

    /// The provider of entries that no provider billed. Their model is their `ChargeKind`: every report shows them on lines of their own.
    public static let ownProvider = "bursar"
}

/// What people book beside the calls, as finance and FOCUS tell it apart; the raw value is the word in Postgres, JSON and exports.
public enum ChargeKind: String, Sendable, CaseIterable {
    /// Whatever the others are not, either way: a rounding, what a provider billed beside the calls.
    case adjustment
    /// In somebody's favour.
    case credit
    /// A flat fee.
    case fee
    /// A tax, or one that is paid back.
    case tax
    /// What was promised to a provider and nobody used; the feature names the commitment.
    case unusedCommitment = "unused_commitment"

    /// The kind of its entry in the ledger.
    public var booking: BookingKind { self == .credit ? .credit : .adjustment }

    /// Which amounts it may be asked for: above zero only, or both ways.
    public var isAboveZero: Bool {
        switch self {
        case .credit, .fee, .unusedCommitment: true
        case .adjustment, .tax: false
        }
    }
}
