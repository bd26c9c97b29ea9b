/// What the engine answers. A refusal is a value, in the order of precedence of design §7; faults are thrown elsewhere.

/// A budget as a call finds it: what the answer shows of it.
public struct Standing: Sendable {
    public let budget: Budget
    public let subject: String
    /// The budget's amount at that moment.
    public let amount: Amount
    /// What bursts add to it: what is drawn on them here, and what they still have for the call.
    public let burst: Amount
    public let settled: Amount
    public let held: Amount
    public let span: PeriodSpan

    public init(
        budget: Budget, subject: String, amount: Amount, burst: Amount = .zero, settled: Amount, held: Amount, span: PeriodSpan
    ) {
        self.budget = budget
        self.subject = subject
        self.amount = amount
        self.burst = burst
        self.settled = settled
        self.held = held
        self.span = span
    }

    /// What a hold may still take; never negative.
    public var remaining: Amount { max(.zero, amount + burst - settled - held) }
}

/// Why a call is refused or a command not carried out.
public enum Refusal: Sendable {
    /// The key is revoked, expired or gone: seen in fenced configuration, so now means now (law 10).
    case unauthenticated
    case projectUnknown
    case modelUnknown(String)
    case modelUnpriced(model: String, kinds: [UsageKind])
    /// With the lowest tier that has the model, if any has.
    case modelNotAllowed(model: String, tier: Tier?, project: ProjectID)
    /// The API key was made for other models.
    case modelNotOnKey(String)
    case projectSuspended
    /// The organization's tag policy refuses calls with such tags, or without them.
    case tagsRefused([TagFault])
    /// The call's input is above the tier's cap.
    case inputAboveCap(Tier)
    /// A blocking budget with a period of an hour or less has no room for `needed`.
    case rateLimited(Standing, needed: Amount)
    case budgetExceeded(Standing, needed: Amount)
    /// The budget that keeps the tier's cap on requests a minute has no room.
    case requestsAboveCap(Standing)
    /// The id was used before, with other content (law 4).
    case requestConflict
    case reservationUnknown
    /// The reservation ended otherwise, or was settled with other content.
    case reservationResolved(Reservation.State)
}

/// The answer to `Ask`.
public struct Allowance: Sendable {
    /// Nil when the call would be admitted, be it on another model.
    public let refusal: Refusal?
    /// The model that would serve the call, and why if it is not the one asked for.
    public let model: String
    public let substitutions: [Substitution]
    public let standings: [Standing]
    /// The blocking budget with the least room in its unit's terms for this call.
    public let binding: Standing?
    /// Models of the catalogue that the project's tier allows.
    public let models: [String]
}

public enum Outcome: Sendable {
    /// `isReplay`: the first answer to a repeated request.
    case reserved(Reservation, [Standing], isReplay: Bool)
    /// The reservation carries its entry.
    case settled(Reservation, [Standing], isReplay: Bool)
    case released(Reservation, isReplay: Bool)
    case expired
    case allowance(Allowance)
    case refused(Refusal)
    /// The engine's queue is full (law 11): try again in a second.
    case overloaded
    /// Postgres is away or did not confirm in time; nothing is known to be booked. Repeat with the same id.
    case storeUnavailable
    /// The command cannot be carried out, however often it is repeated: a fault of ours, logged where it was found. Nothing is booked.
    case failed
}

/// The stable word of a refusal in problems, metrics and documents (design §7).
public enum RefusalCode: String, CaseIterable, CustomStringConvertible, Sendable {
    case unauthenticated
    case projectUnknown = "project_unknown"
    case modelUnknown = "model_unknown"
    case modelUnpriced = "model_unpriced"
    case modelNotAllowed = "model_not_allowed"
    case projectSuspended = "project_suspended"
    case tagsRefused = "tags_refused"
    case inputAboveCap = "max_input_tokens_exceeded"
    case requestsAboveCap = "max_requests_per_minute_exceeded"
    case rateLimited = "rate_limited"
    case budgetExceeded = "budget_exceeded"
    case requestConflict = "request_conflict"
    case reservationUnknown = "reservation_unknown"
    case reservationResolved = "reservation_resolved"

    public var description: String { rawValue }
}

extension Refusal {
    public var code: RefusalCode {
        switch self {
        case .unauthenticated: .unauthenticated
        case .projectUnknown: .projectUnknown
        case .modelUnknown: .modelUnknown
        case .modelUnpriced: .modelUnpriced
        case .modelNotAllowed, .modelNotOnKey: .modelNotAllowed
        case .projectSuspended: .projectSuspended
        case .tagsRefused: .tagsRefused
        case .inputAboveCap: .inputAboveCap
        case .requestsAboveCap: .requestsAboveCap
        case .rateLimited: .rateLimited
        case .budgetExceeded: .budgetExceeded
        case .requestConflict: .requestConflict
        case .reservationUnknown: .reservationUnknown
        case .reservationResolved: .reservationResolved
        }
    }
}
