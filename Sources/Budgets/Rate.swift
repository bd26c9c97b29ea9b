/// One dated fact of a price list: what a million units of one usage kind cost (design §6).

/// The price of one usage kind of one model.
public struct Rate: Hashable, Sendable {
    /// The dearest rate there can be, per million units: a million dollars for one unit. Keeps every cost within 128 bits.
    public static let maximumPerMillion = Amount(whole: 1_000_000_000_000)
    /// The service tier of a call that asks for none.
    public static let standardTier = "standard"

    public let priceID: PriceID
    public let kind: UsageKind
    public let serviceTier: String
    /// Applies to calls with at least so many input tokens in all, to the whole of their usage, up to the next band of the kind.
    public let contextFrom: Int64
    /// For 1,000,000 units. 0 is free; an unknown price has no rate (law 9).
    public let amountPerMillion: Money
    /// The first instant at which the rate applies.
    public let validFrom: Instant
    /// The first instant at which it no longer applies; nil while no end is known.
    public let validTo: Instant?

    /// Nil when the amount is negative, above `maximumPerMillion` or has more than six fraction digits (one unit would then not be
    /// exact to a pico-dollar, law 5), the band is negative, the time is empty, or the kind is not a name.
    public init?(
        priceID: PriceID, kind: UsageKind, serviceTier: String = Rate.standardTier, contextFrom: Int64 = 0, amountPerMillion: Money,
        validFrom: Instant, validTo: Instant? = nil
    ) {
        guard amountPerMillion >= .zero, amountPerMillion <= Rate.maximumPerMillion, amountPerMillion.pico % Rate.units == 0,
            contextFrom >= 0, validTo.map({ $0 > validFrom }) ?? true, Usage.isKind(kind)
        else { return nil }
        self.priceID = priceID
        self.kind = kind
        self.serviceTier = serviceTier
        self.contextFrom = contextFrom
        self.amountPerMillion = amountPerMillion
        self.validFrom = validFrom
        self.validTo = validTo
    }

    private static let units: Int128 = 1_000_000

    /// What so many units cost, exactly.
    public func cost(of quantity: Int64) -> Money { Money(pico: amountPerMillion.pico / Rate.units * Int128(quantity)) }

    /// Whether the rate applies at an instant.
    public func isValid(at instant: Instant) -> Bool { instant >= validFrom && validTo.map { instant < $0 } ?? true }
}
