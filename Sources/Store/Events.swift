/// The one way in which anything becomes news (design §8): an immutable event and a delivery for each endpoint that subscribes, written
/// in the Postgres transaction of the change they tell of.
public import Budgets
public import JSON
public import Postgres

/// Every type of event there is. `docs/webhooks.md` has an example of each; a test holds them against each other.
public enum EventType: String, Sendable, CaseIterable {
    case thresholdReached = "budget.threshold_reached"
    case exceeded = "budget.exceeded"
    case recovered = "budget.recovered"
    case burstRequested = "burst.requested"
    case burstApproved = "burst.approved"
    case burstDenied = "burst.denied"
    case burstExhausted = "burst.exhausted"
    case burstExpired = "burst.expired"
    case burstReviewDue = "burst.review_due"
    case accessRequested = "access.requested"
    case accessDecided = "access.decided"
    case reallocationRequested = "reallocation.requested"
    case reallocationDecided = "reallocation.decided"
    case statementClosed = "statement.closed"
    case endpointDisabled = "endpoint.disabled"
    case endpointTest = "endpoint.test"

    /// What endpoints can subscribe to: everything (`*`), all types with one beginning (`budget.*`), and each type. A word that names none
    /// is a slip of the pen, and nobody would miss the alerts until they are needed.
    public static let patterns: [String] = {
        let families = Set(allCases.map { $0.rawValue.prefix { $0 != "." } + ".*" }.map(String.init))
        return ["*"] + families.sorted() + allCases.map(\.rawValue)
    }()
}

/// News about to be told. What every event has (id, time, organization) is added by `Store.append`.
///
///     try Store.append(
///         NewEvent(
///             .burstRequested, severity: .info, title: "Burst requested: Search monthly",
///             summary: "Kim asks for $500.00 more until 2026-12-01: launch week.", about: .init(team: team, budget: budget),
///             details: ["burst": ["id": …, "amount": …]], at: now), of: organization, connection)
public struct NewEvent: Sendable {
    /// What an event concerns; endpoints may subscribe to some teams, projects and budgets only. Name all that apply: a project's event
    /// concerns its team too.
    public struct Subject: Sendable {
        public var team: TeamID?
        public var project: ProjectID?
        public var budget: BudgetID?

        public init(team: TeamID? = nil, project: ProjectID? = nil, budget: BudgetID? = nil) {
            self.team = team
            self.project = project
            self.budget = budget
        }
    }

    public let id: EventID
    public let type: EventType
    public let severity: Severity
    public let title: String
    public let summary: String
    public let about: Subject
    public let topic: String?
    public let percent: Int64?
    public let details: JSON.Object
    public let at: Instant

    /// - Parameters:
    ///   - title: A headline for people, without markup.
    ///   - summary: One or two sentences for people, without markup: every channel escapes it. Names may stand in it as they are.
    ///   - topic: Of events with the same topic, the newest replaces those that have not arrived yet. Nil: replaces nothing.
    ///   - percent: For events about a percentage; endpoints may ask for a least one.
    ///   - details: Further members of the body, for programs. Dropped when the body would pass 20 kB.
    public init(
        _ type: EventType, severity: Severity, title: String, summary: String, about: Subject = Subject(), topic: String? = nil,
        percent: Int64? = nil, details: JSON.Object = JSON.Object(), id: EventID? = nil, at: Instant
    ) {
        self.id = id ?? EventID(at: at)
        self.type = type
        self.severity = severity
        self.title = title
        self.summary = summary
        self.about = about
        self.topic = topic
        self.percent = percent
        self.details = details
        self.at = at
    }

    /// The version of the body's shape: raised when a member changes its meaning or goes, not when one is added.
    public static let bodyVersion: Int64 = 1
    /// The largest body (Standard Webhooks 1.0.0 asks for less than 20 kB).
    static let longestBody = 19_000

    func row(of organization: OrganizationRecord) -> EventRow {
        var body: JSON.Object = JSON.Object([
            ("version", .number(NewEvent.bodyVersion)), ("id", .string(id.description)), ("type", .string(type.rawValue)),
            ("occurred_at", .string(at.rfc3339)), ("severity", .string(severity.rawValue)),
            (
                "organization",
                [
                    "id": .string(organization.id.description), "name": .string(organization.name),
                    "time_zone": .string(organization.timeZone),
                ]
            ), ("title", .string(title)), ("summary", .string(summary)),
        ])
        let brief = JSON.object(body)
        for member in details { body[member.name] = member.value }
        let whole = JSON.object(body).bytes
        return EventRow(
            organization: organization.id, id: id, type: type, severity: severity, percent: percent, about: about, topic: topic,
            body: JSONB(bytes: whole.count <= NewEvent.longestBody ? whole : brief.bytes), at: at)
    }
}

/// One thing that an event concerns and an endpoint may ask for, by its id.
public enum Concern: Hashable, Sendable, LosslessStringConvertible {
    case team(TeamID)
    case project(ProjectID)
    case budget(BudgetID)

    public init?(_ text: String) {
        if let id = TeamID(text) {
            self = .team(id)
        } else if let id = ProjectID(text) {
            self = .project(id)
        } else if let id = BudgetID(text) {
            self = .budget(id)
        } else {
            return nil
        }
    }

    public var description: String {
        switch self {
        case .team(let id): id.description
        case .project(let id): id.description
        case .budget(let id): id.description
        }
    }
}

extension Store {
    /// Writes an event and its deliveries in the Postgres transaction that the connection is in. They go out after its COMMIT: within
    /// a second, or at once when the dispatcher is woken (`API.wakeDispatcher`).
    public static func append(
        _ event: NewEvent, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        let row = event.row(of: try Store.organization(organization, connection))
        try connection.pipeline([AlertWrites.events([row]), AlertWrites.deliveries(of: [(organization, row.id)])])
    }
}
