/// Prepaid spend (design §9; recipes C to F of the FOCUS notes): money that was paid to a provider in advance, and which usage of its term it
/// pays for. Pure: `Store` keeps commitments and says what was used, `Chargeback` shows what was drawn.

/// Money that was paid in advance, and what for.
public struct Commitment: Hashable, Sendable {
    public let id: CommitmentID
    public let provider: String
    /// Models that it pays for; none: all of the provider's.
    public let models: [Pattern]
    public let amount: Money
    /// The term: from its first instant up to, not including, its end.
    public let start: Instant
    public let end: Instant

    public init(id: CommitmentID, provider: String, models: [Pattern], amount: Money, start: Instant, end: Instant) {
        (self.id, self.provider, self.models, self.amount, self.start, self.end) = (id, provider, models, amount, start, end)
    }

    fileprivate func covers(_ usage: PricedUsage) -> Bool {
        usage.provider == provider && usage.place.day >= start && usage.place.day < end
            && (models.isEmpty || models.contains { $0.matches(usage.model) })
    }
}

/// Units of one kind at one price, as a line of a statement has them.
public struct PricedUsage: Hashable, Sendable {
    /// Usage draws in the order of days, and of the statement's lines within a day.
    public struct Place: Hashable, Sendable, Comparable {
        public let day: Instant
        public let line: Int64

        public init(day: Instant, line: Int64) { (self.day, self.line) = (day, line) }

        public static func < (left: Self, right: Self) -> Bool { (left.day, left.line) < (right.day, right.line) }
    }

    public let place: Place
    public let provider: String
    public let model: String
    /// Below zero where a correction takes usage back.
    public let units: Int64
    /// Above zero, with at most six fractional digits.
    public let pricePerMillion: Money

    public init(place: Place, provider: String, model: String, units: Int64, pricePerMillion: Money) {
        (self.place, self.provider, self.model) = (place, provider, model)
        (self.units, self.pricePerMillion) = (units, pricePerMillion)
    }

    fileprivate func cost(of units: Int64) -> Money { Money(pico: Int128(units) * pricePerMillion.pico / 1_000_000) }

    /// So many whole units can be had for it.
    fileprivate func units(for money: Money) -> Int64 { Int64(clamping: money.pico * 1_000_000 / pricePerMillion.pico) }
}

/// What a commitment pays of a line.
public struct CommitmentDraw: Hashable, Sendable {
    public let commitment: CommitmentID
    /// Whole units of the line; below zero where they are given back.
    public let units: Int64
    public let amount: Money
}

/// What one month draws on one commitment. Units are drawn whole, so that price times quantity stays the cost: with the first line that
/// it cannot pay whole the commitment is drained for the month, and less than the price of one of that line's units is left of it.
public struct Drawdown: Hashable, Sendable {
    /// Where there was nothing left, and how many units of that line there still was something for.
    public struct Border: Hashable, Sendable {
        public let place: PricedUsage.Place
        public let units: Int64

        public init(place: PricedUsage.Place, units: Int64) { (self.place, self.units) = (place, units) }
    }

    public let commitment: Commitment
    /// What earlier months have drawn.
    public let before: Money
    /// What this month draws; below zero where corrections give back more.
    public private(set) var drawn: Money
    /// Where corrections had given back all that was ever drawn.
    public private(set) var returned: Border?
    /// Where it was drained.
    public private(set) var drained: Border?

    public init(
        of commitment: Commitment, before: Money, drawn: Money = .zero, returned: Border? = nil, drained: Border? = nil
    ) {
        (self.commitment, self.before, self.drawn, self.returned, self.drained) = (commitment, before, drawn, returned, drained)
    }

    /// Draws for up to so many units, all below zero or all above, and says for how many.
    fileprivate mutating func draw(_ units: Int64, of usage: PricedUsage) -> Int64 {
        let isReturn = units < 0
        guard (isReturn ? returned : drained) == nil else { return 0 }
        let room = isReturn ? before + drawn : commitment.amount - before - drawn
        let possible = usage.units(for: room)
        let taken = isReturn ? max(units, -possible) : min(units, possible)
        drawn += usage.cost(of: taken)
        if taken != units {
            let border = Border(place: usage.place, units: taken)
            if isReturn { returned = border } else { drained = border }
        }
        return taken
    }

    /// Of so many units that are left of a line, those it pays for.
    fileprivate func share(of units: Int64, _ usage: PricedUsage) -> Int64 {
        guard let border = units < 0 ? returned : drained else { return units }
        return usage.place < border.place ? units : usage.place == border.place ? border.units : 0
    }
}

/// All commitments of a month. What ends first is drawn on first, and of those the oldest.
public struct Drawdowns: Hashable, Sendable {
    public private(set) var all: [Drawdown]

    public init(_ all: [Drawdown]) {
        self.all = all.sorted { ($0.commitment.end, $0.commitment.id) < ($1.commitment.end, $1.commitment.id) }
    }

    /// Draws for a line. They come in their order: first those below zero, which give back what was drawn; then the others; each by place.
    public mutating func draw(_ usage: PricedUsage) {
        var left = usage.units
        for index in all.indices where left != 0 && all[index].commitment.covers(usage) { left -= all[index].draw(left, of: usage) }
    }

    /// What was drawn for a line, once all have been; in any order, as often as anybody likes.
    public func draws(of usage: PricedUsage) -> [CommitmentDraw] {
        var (left, draws) = (usage.units, [CommitmentDraw]())
        for drawdown in all where left != 0 && drawdown.commitment.covers(usage) {
            let units = drawdown.share(of: left, usage)
            guard units != 0 else { continue }
            left -= units
            draws.append(CommitmentDraw(commitment: drawdown.commitment.id, units: units, amount: usage.cost(of: units)))
        }
        return draws
    }
}
