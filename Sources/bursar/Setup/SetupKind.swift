/// What a set-up file may hold: the kinds of things, where they stand in it, and the fields of each. One table for `apply` and `dump`.

/// A kind of thing, in the order in which they are made: each needs only those before it.
enum SetupKind: String, CaseIterable, Comparable {
    case model, tier, organization, team, project, budget, endpoint

    /// Where the API has them.
    var path: String { self == .organization ? "/v1/organization" : "/v1/\(rawValue)s" }

    /// What a list of them is called in the file.
    var section: String { rawValue + "s" }

    /// The lists below one of them.
    var children: [SetupKind] {
        switch self {
        case .organization: [.model, .tier, .team, .budget, .endpoint]
        case .team: [.project, .budget]
        case .project: [.budget]
        case .model, .tier, .budget, .endpoint: []
        }
    }

    var fields: [SetupField] { Self.tables[self] ?? [] }

    static func < (left: Self, right: Self) -> Bool { left.place < right.place }

    private var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    private static let tables: [SetupKind: [SetupField]] = [
        .organization: [SetupField("name", .text), SetupField("time_zone", .text), SetupField("default_tier", .tier)],
        .model: [
            SetupField("provider", .text, isRequired: true), SetupField("max_input_tokens", .whole),
            SetupField("max_output_tokens", .whole), SetupField("aliases", .list(.text)), SetupField("deprecated_at", .instant),
        ],
        .tier: [
            SetupField("rank", .whole, isRequired: true), SetupField("models", .list(.text), isRequired: true),
            SetupField("approval", .text), SetupField("max_output_tokens", .whole, isRequired: true),
            SetupField("max_input_tokens", .whole), SetupField("max_requests_per_minute", .whole),
        ],
        .team: [SetupField("cost_center", .costCenter)],
        .project: [
            SetupField("tier", .tier), SetupField("cost_center", .costCenter), SetupField("suspended", .flag, .afterwards),
            SetupField("settings", .free),
        ],
        .budget: [
            SetupField("match", .object(matchFields)), SetupField("per", .text, .fixed),
            SetupField("unit", .text, .fixed, isRequired: true), SetupField("period", .text, .fixed, isRequired: true),
            SetupField("anchor_day", .whole, .fixed), SetupField("anchor_month", .whole, .fixed),
            SetupField("amount", .amount, isRequired: true), SetupField("thresholds", .list(.whole)),
            SetupField("threshold_amounts", .list(.amount)), SetupField("enforcement", .text), SetupField("active_from", .instant),
            SetupField("active_to", .instant),
            SetupField("degrade", .object([SetupField("from_percent", .whole), SetupField("models", .map(.text))])),
            SetupField(
                "final_call",
                .object([SetupField("calls", .whole), SetupField("model", .text), SetupField("max_output_tokens", .whole)])),
        ],
        .endpoint: [
            SetupField("kind", .text, .fixed, isRequired: true), SetupField("url", .secret, .sealed),
            SetupField("routing_key", .secret, .sealed), SetupField("signing", .text, .sealed), SetupField("secret", .secret, .sealed),
            SetupField("to", .list(.secret), .sealed), SetupField("events", .list(.text)), SetupField("about", .list(.concern)),
            SetupField("min_percent", .whole), SetupField("min_severity", .text), SetupField("rate_per_minute", .whole),
            SetupField("paused", .flag, .afterwards), SetupField("enabled", .flag, .afterwards),
        ],
    ]

    private static let matchFields = ["models", "providers", "environments", "features", "end_users", "api_keys"].map {
        SetupField($0, .list(.text))
    }
}

/// One field of a kind.
struct SetupField: Sendable {
    enum Rule: Sendable {
        /// May be changed at any time.
        case changeable
        /// Changed too, but not said when the thing is made.
        case afterwards
        /// Said when the thing is made, and never changed.
        case fixed
        /// Said when the thing is made, and never shown again: neither compared nor dumped.
        case sealed
    }

    let name: String
    let form: SetupForm
    let rule: Rule
    /// Of a thing that is yet to be made.
    let isRequired: Bool

    init(_ name: String, _ form: SetupForm, _ rule: Rule = .changeable, isRequired: Bool = false) {
        self.name = name
        self.form = form
        self.rule = rule
        self.isRequired = isRequired
    }
}

/// Names a thing by its kind and the names of what it stands in, its own last: names are unique in their parent.
struct SetupKey: Hashable, Comparable, CustomStringConvertible {
    let kind: SetupKind
    let path: [String]

    static let organization = SetupKey(kind: .organization, path: [])

    /// The team or project that it belongs to, or the organization.
    var parent: SetupKey {
        switch path.count {
        case 0, 1: .organization
        case 2: SetupKey(kind: .team, path: [path[0]])
        default: SetupKey(kind: .project, path: Array(path.dropLast()))
        }
    }

    func child(_ kind: SetupKind, _ name: String) -> SetupKey { SetupKey(kind: kind, path: path + [name]) }

    var description: String { path.isEmpty ? kind.rawValue : "\(kind.rawValue) \(path.joined(separator: "/"))" }

    /// In the order of making.
    static func < (left: Self, right: Self) -> Bool { left.kind < right.kind }
}

/// A list that a file has, or has not: what is missing from a list that is not there at all is none of the file's business.
struct SetupSection: Hashable {
    let parent: SetupKey
    let kind: SetupKind
}
