/// A hold taken before a call and what became of it, with the counters it draws on (design §1, §5).

/// Which counter: a budget, the subject it counts, and the period.
public struct CounterID: Hashable, Sendable {
    public let budget: BudgetID
    /// Empty unless the budget counts per something.
    public let subject: String
    public let periodStart: Instant

    public init(budget: BudgetID, subject: String, periodStart: Instant) {
        self.budget = budget
        self.subject = subject
        self.periodStart = periodStart
    }

    // Swift holds canonically equivalent texts to be equal, Postgres compares bytes. One counter must be the same row to both.
    public static func == (left: Self, right: Self) -> Bool {
        left.budget == right.budget && left.periodStart == right.periodStart && left.subject.hasSameBytes(as: right.subject)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(budget)
        hasher.combine(periodStart)
        hasher.combine(bytesOf: subject)
    }
}

extension Hasher {
    /// Hashes a text by its bytes, as Postgres compares it.
    mutating func combine(bytesOf text: String) {
        let isContiguous: Void? = text.utf8.withContiguousStorageIfAvailable { combine(bytes: UnsafeRawBufferPointer($0)) }
        if isContiguous == nil { Array(text.utf8).withUnsafeBytes { combine(bytes: $0) } }
    }
}

/// One row of `budget_periods`.
public struct Counter: Hashable, Sendable {
    public var settled: Amount
    public var held: Amount
    /// How much of settled and held is drawn on bursts.
    public var burst: Amount
    /// What the budget by itself allowed when it last admitted something; nil while it does not block.
    public var ceiling: Amount?
    /// By how much settlements have passed the ceiling: those above their own holds, and those of final calls.
    public var overage: Amount
    /// How many final calls have been let through, and what those still open hold beyond the ceiling. Law 1 in full is
    /// base ≤ ceiling + overage + finalHeld.
    public var finalCalls: Int64
    public var finalHeld: Amount
    /// The highest threshold that people have been told of and the limit version it belongs to; 0 for none, under the limit that last
    /// admitted something.
    public var alertedVersion: Int64
    public var alertedThreshold: Int64
    /// The highest of the thresholds that are amounts that people have been told of; 0 for none.
    public var alertedAmount: Amount

    public init(
        settled: Amount = .zero, held: Amount = .zero, burst: Amount = .zero, ceiling: Amount? = nil, overage: Amount = .zero,
        finalCalls: Int64 = 0, finalHeld: Amount = .zero, alertedVersion: Int64 = 0, alertedThreshold: Int64 = 0,
        alertedAmount: Amount = .zero
    ) {
        self.settled = settled
        self.held = held
        self.burst = burst
        self.ceiling = ceiling
        self.overage = overage
        self.finalCalls = finalCalls
        self.finalHeld = finalHeld
        self.alertedVersion = alertedVersion
        self.alertedThreshold = alertedThreshold
        self.alertedAmount = alertedAmount
    }

    /// What counts against the budget's own amount.
    var base: Amount { settled + held - burst }
}

/// One budget's part in a reservation or an entry: what is held or booked there, and how the counter stood right after.
public struct Draw: Hashable, Sendable {
    public let counter: CounterID
    /// Held by the reservation, or booked by the entry, in the budget's unit.
    public let quantity: Amount
    /// How much of the quantity is drawn on which burst; the rest is on the budget itself.
    public var bursts: [BurstShare]
    /// The budget's amount at that moment.
    public var amount: Amount
    /// What bursts added to the amount: what was drawn on them here, and what they still had for the call.
    public var burst: Amount
    public var settled: Amount
    public var held: Amount
    /// Whether this budget granted one of its final calls.
    public let isFinalCall: Bool
    /// How much of a hold's quantity found no room and is held by grace of a final call.
    public let beyond: Amount

    public init(
        counter: CounterID, quantity: Amount, bursts: [BurstShare] = [], amount: Amount, burst: Amount = .zero, settled: Amount = .zero,
        held: Amount = .zero, isFinalCall: Bool = false, beyond: Amount = .zero
    ) {
        self.counter = counter
        self.quantity = quantity
        self.bursts = bursts
        self.amount = amount
        self.burst = burst
        self.settled = settled
        self.held = held
        self.isFinalCall = isFinalCall
        self.beyond = beyond
    }
}

/// Names the immutable row that says what a call is charged to (law 6).
public enum AttributionKind: IDKind { public static let prefix = "att" }
public typealias AttributionID = ID<AttributionKind>

/// What a call is charged to, as it stood when the call was made.
public struct Attribution: Hashable, Sendable {
    public let team: TeamID
    public let teamName: String
    public let project: ProjectID
    public let projectName: String
    public let costCenter: String?
    public let tier: TierID
    public let tierName: String
    public let apiKey: APIKeyID
    public let apiKeyName: String
    public let environment: String
    /// Whether the call broke the organization's tag policy.
    public let lacksTags: Bool
}

/// A class because it is immutable and remembered, answered and written at once: one object serves all three.
public final class Reservation: Sendable {
    public enum State: String, Sendable { case held, settled, released, expired }

    public let id: ReservationID
    public let request: RequestID
    public let content: ContentHash
    public let attribution: AttributionID
    public let state: State
    public let model: String
    public let requestedModel: String
    /// Why another model than the one asked for serves the call, or would have; empty for nearly all.
    public let substitutions: [Substitution]
    public let provider: String
    public let serviceTier: String
    public let endUser: String?
    public let feature: String?
    public let tags: String?
    public let held: Money
    /// The output that the hold assumes: asked, capped by tier and model.
    public let maxOutputTokens: Int64
    /// With the counters as they stood right after this hold was taken: the first answer.
    public let draws: [Draw]
    public let createdAt: Instant
    public let expiresAt: Instant
    public let settleContent: ContentHash?
    /// Present once settled.
    public let entry: Entry?

    public init(
        id: ReservationID, request: RequestID, content: ContentHash, attribution: AttributionID, state: State, model: String,
        requestedModel: String, substitutions: [Substitution] = [], provider: String, serviceTier: String, endUser: String?,
        feature: String?, tags: String?, held: Money,
        maxOutputTokens: Int64, draws: [Draw], createdAt: Instant, expiresAt: Instant, settleContent: ContentHash? = nil,
        entry: Entry? = nil
    ) {
        self.id = id
        self.request = request
        self.content = content
        self.attribution = attribution
        self.state = state
        self.model = model
        self.requestedModel = requestedModel
        self.substitutions = substitutions
        self.provider = provider
        self.serviceTier = serviceTier
        self.endUser = endUser
        self.feature = feature
        self.tags = tags
        self.held = held
        self.maxOutputTokens = maxOutputTokens
        self.draws = draws
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.settleContent = settleContent
        self.entry = entry
    }

    /// The same reservation, ended.
    func ended(_ state: State, settleContent: ContentHash? = nil, entry: Entry? = nil) -> Reservation {
        Reservation(
            id: id, request: request, content: content, attribution: attribution, state: state, model: model,
            requestedModel: requestedModel, substitutions: substitutions, provider: provider, serviceTier: serviceTier, endUser: endUser,
            feature: feature, tags: tags,
            held: held, maxOutputTokens: maxOutputTokens, draws: draws, createdAt: createdAt, expiresAt: expiresAt,
            settleContent: settleContent, entry: entry)
    }
}

/// One immutable booked cost. The entry of a settlement has its reservation's 128 bits, so the primary key itself says that a
/// reservation is settled once (law 4).
public struct Entry: Sendable {
    public let id: EntryID
    /// The time whose month it counts in: when the call was made, or, where the month of that was closed already, when it was booked.
    /// Then it is a correction.
    public let occurredAt: Instant
    public let bookedAt: Instant
    public let lines: [EntryLine]
    public let cost: Money
    /// How much of the cost found no room in some blocking budget (law 1), in dollars; zero for budgets of another unit.
    public let overage: Money
    public let draws: [Draw]
    public let isLate: Bool
    /// Nil when read back only to answer a repeat, which does not show it.
    public let report: Report?

    public init(
        id: EntryID, occurredAt: Instant, bookedAt: Instant, lines: [EntryLine], cost: Money, overage: Money, draws: [Draw],
        isLate: Bool, report: Report?
    ) {
        self.id = id
        self.occurredAt = occurredAt
        self.bookedAt = bookedAt
        self.lines = lines
        self.cost = cost
        self.overage = overage
        self.draws = draws
        self.isLate = isLate
        self.report = report
    }
}

/// What one usage kind of an entry cost. `price` is nil where no price was known: visible, never silently zero (law 9).
public struct EntryLine: Hashable, Sendable {
    public let kind: UsageKind
    public let quantity: Int64
    public let price: PriceID?
    public let cost: Money

    public init(kind: UsageKind, quantity: Int64, price: PriceID?, cost: Money) {
        self.kind = kind
        self.quantity = quantity
        self.price = price
        self.cost = cost
    }
}
