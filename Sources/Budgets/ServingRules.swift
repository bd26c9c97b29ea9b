/// Rules by which a call is served otherwise than it was asked (design §4): a cheaper model from a percentage of a budget on, and a
/// few last calls after a block. `Serving.swift` says how several of them work together.

/// A soft limit: from `fromPercent` of its budget on, models are replaced by cheaper ones.
///
/// Reached when settled × 100 ≥ fromPercent × amount of the counter that the call draws on: the very figure of thresholds and alerts.
/// What is only held does not count, so that a call's model does not depend on what else is under way.
public struct Degrade: Hashable, Sendable {
    public let fromPercent: Int
    /// From the name of a model to the name of its replacement; neither is a pattern.
    public let models: [String: String]

    public init(fromPercent: Int, models: [String: String]) {
        self.fromPercent = fromPercent
        self.models = models
    }
}

/// A grace: so many calls per subject and period on a named cheap model after the budget has refused one, so that an assistant can say
/// why it stops. Means nothing on a rate limit, which is over in moments anyway, and on a budget that does not block.
public struct FinalCall: Hashable, Sendable {
    public let calls: Int64
    public let model: String
    public let maxOutputTokens: Int64

    public init(calls: Int64, model: String, maxOutputTokens: Int64) {
        self.calls = calls
        self.model = model
        self.maxOutputTokens = maxOutputTokens
    }
}

/// One rule that had its say in which model serves a call: kept with the reservation and the ledger entry, and shown in the answer.
public struct Substitution: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// The rule's model took the place of the one before it.
        case degraded
        /// The rule applied, but a call of its model would be refused before any budget is asked: `reason` is that refusal's code.
        case skipped
        /// A budget had no room, and granted one of its final calls.
        case finalCall = "final_call"
    }

    public let kind: Kind
    public let budget: BudgetID
    /// The model that the rule names.
    public let model: String
    /// Of a degrade rule: the percentage from which on it applies.
    public let fromPercent: Int?
    public let reason: String?

    public init(kind: Kind, budget: BudgetID, model: String, fromPercent: Int? = nil, reason: String? = nil) {
        self.kind = kind
        self.budget = budget
        self.model = model
        self.fromPercent = fromPercent
        self.reason = reason
    }
}
