/// What callers ask of the engine: reserve before a call, settle or release after it, book one that was made without asking.
/// Commands carry their own instant and ids, because the decision knows no clock and no randomness (design §5).

/// A model call as its caller describes it.
public struct Call: Sendable {
    public let project: ProjectID
    public let apiKey: APIKeyID
    public let model: String
    public let serviceTier: String
    public let endUser: String?
    public let feature: String?
    /// Free attribution, carried to the ledger untouched; an organization may say what must be in it (`TagPolicy`).
    public let tags: Tags?

    public init(
        project: ProjectID, apiKey: APIKeyID, model: String, serviceTier: String = "standard", endUser: String? = nil,
        feature: String? = nil, tags: Tags? = nil
    ) {
        self.project = project
        self.apiKey = apiKey
        self.model = model
        self.serviceTier = serviceTier
        self.endUser = endUser
        self.feature = feature
        self.tags = tags
    }
}

/// 32 bytes that tell whether a repeated id comes with the same content (law 4).
public typealias ContentHash = [UInt8]

/// A caller's own id for a request, unique in its project.
public struct RequestID: Hashable, Sendable {
    public let project: ProjectID
    public let text: String

    public init(project: ProjectID, text: String) {
        self.project = project
        self.text = text
    }

    // By bytes, like `CounterID`.
    public static func == (left: Self, right: Self) -> Bool {
        left.project == right.project && left.text.hasSameBytes(as: right.text)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(project)
        hasher.combine(bytesOf: text)
    }
}

public struct Reserve: Sendable {
    public let id: ReservationID
    public let request: RequestID
    public let content: ContentHash
    public let call: Call
    public let inputTokens: Int64
    /// Nil: the tier's cap.
    public let maxOutputTokens: Int64?
    public let timeToLive: Int64
    public let at: Instant

    public init(
        id: ReservationID, request: RequestID, content: ContentHash, call: Call, inputTokens: Int64, maxOutputTokens: Int64?,
        timeToLive seconds: Int64, at: Instant
    ) {
        self.id = id
        self.request = request
        self.content = content
        self.call = call
        self.inputTokens = inputTokens
        self.maxOutputTokens = maxOutputTokens
        self.timeToLive = seconds
        self.at = at
    }
}

/// What a provider said of a call that was made.
public struct Report: Sendable {
    public let usage: Usage
    public let providerRequestID: String?
    public let latencyMilliseconds: Int64?
    public let outcome: String
    /// The tier that the provider served the call in, where it said so; nil: the one asked for.
    public let serviceTier: String?
    /// The provider's own usage object as JSON text, where the usage was read from one: kept with the entry.
    public let providerUsage: String?
    /// What of it may be billable and is in no price (`ProviderUsage.unmapped`).
    public let unmapped: [String]

    public init(
        usage: Usage, providerRequestID: String? = nil, latencyMilliseconds: Int64? = nil, outcome: String = "ok",
        serviceTier: String? = nil, providerUsage: String? = nil, unmapped: [String] = []
    ) {
        self.usage = usage
        self.providerRequestID = providerRequestID
        self.latencyMilliseconds = latencyMilliseconds
        self.outcome = outcome
        self.serviceTier = serviceTier
        self.providerUsage = providerUsage
        self.unmapped = unmapped
    }
}

public struct Settle: Sendable {
    public let reservation: ReservationID
    /// The caller's project; nil for one whose role reaches all projects of the organization.
    public let project: ProjectID?
    public let apiKey: APIKeyID
    public let content: ContentHash
    public let report: Report
    public let at: Instant

    public init(reservation: ReservationID, project: ProjectID?, apiKey: APIKeyID, content: ContentHash, report: Report, at: Instant) {
        self.reservation = reservation
        self.project = project
        self.apiKey = apiKey
        self.content = content
        self.report = report
        self.at = at
    }
}

public struct Release: Sendable {
    public let reservation: ReservationID
    public let project: ProjectID?
    public let apiKey: APIKeyID
    public let at: Instant

    public init(reservation: ReservationID, project: ProjectID?, apiKey: APIKeyID, at: Instant) {
        self.reservation = reservation
        self.project = project
        self.apiKey = apiKey
        self.at = at
    }
}

/// A call that was made without a reservation and is only told about.
public struct Book: Sendable {
    public let id: ReservationID
    public let request: RequestID
    public let content: ContentHash
    public let call: Call
    public let report: Report
    public let occurredAt: Instant
    public let at: Instant

    public init(
        id: ReservationID, request: RequestID, content: ContentHash, call: Call, report: Report, occurredAt: Instant, at: Instant
    ) {
        self.id = id
        self.request = request
        self.content = content
        self.call = call
        self.report = report
        self.occurredAt = occurredAt
        self.at = at
    }
}

/// A question: would a call of this model be admitted now? Books nothing.
public struct Ask: Sendable {
    public let call: Call
    public let inputTokens: Int64
    public let maxOutputTokens: Int64?
    public let at: Instant

    public init(call: Call, inputTokens: Int64, maxOutputTokens: Int64?, at: Instant) {
        self.call = call
        self.inputTokens = inputTokens
        self.maxOutputTokens = maxOutputTokens
        self.at = at
    }
}

public enum Command: Sendable {
    case reserve(Reserve)
    case settle(Settle)
    case release(Release)
    case expire(ReservationID, at: Instant)
    case book(Book)
    case ask(Ask)
}
