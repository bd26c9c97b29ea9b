/// Which tags calls must carry, so that finance knows whose they are. Part of the configuration: a change binds the next decision (law 10).

/// A call's tags, and the JSON text that is kept of them.
public struct Tags: Hashable, Sendable {
    /// Sorted by name, each once.
    public let pairs: [(name: String, value: String)]
    public let text: String

    public init(pairs: [(name: String, value: String)], text: String) {
        self.pairs = pairs
        self.text = text
    }

    public static func == (left: Self, right: Self) -> Bool { left.text.hasSameBytes(as: right.text) }
    public func hash(into hasher: inout Hasher) { hasher.combine(bytesOf: text) }
}

/// An organization's rules for tags.
public struct TagPolicy: Sendable {
    public struct Rule: Sendable {
        public let tag: String
        public let isRequired: Bool
        /// What the value may be; empty: anything.
        public let values: [Pattern]
        /// Whether the value must be the id or the name of one of the organization's projects.
        public let isProject: Bool

        public init(tag: String, isRequired: Bool, values: [Pattern], isProject: Bool) {
            self.tag = tag
            self.isRequired = isRequired
            self.values = values
            self.isProject = isProject
        }
    }

    public let rules: [Rule]
    /// Whether reservations that break a rule are refused. Calls that were made already are booked in any case.
    public let isBlocking: Bool

    public init(rules: [Rule] = [], isBlocking: Bool = false) {
        self.rules = rules
        self.isBlocking = isBlocking
    }
}

/// A rule that a call breaks.
public struct TagFault: Hashable, Sendable {
    public enum Reason: Sendable { case missing, notAllowed, noProject }

    public let tag: String
    public let reason: Reason
}

extension Configuration {
    /// The rules that tags break, in the order of the policy.
    func faults(in tags: Tags?) -> [TagFault] {
        tagPolicy.rules.compactMap { rule in
            guard let value = tags?.pairs.first(where: { $0.name.hasSameBytes(as: rule.tag) })?.value else {
                return rule.isRequired ? TagFault(tag: rule.tag, reason: .missing) : nil
            }
            if !rule.values.isEmpty, !rule.values.contains(where: { $0.matches(value) }) {
                return TagFault(tag: rule.tag, reason: .notAllowed)
            }
            if rule.isProject, !isProject(value) { return TagFault(tag: rule.tag, reason: .noProject) }
            return nil
        }
    }

    private func isProject(_ value: String) -> Bool {
        if let id = ProjectID(value) { return projects[id] != nil }
        return projects.values.contains { $0.name.hasSameBytes(as: value) }
    }
}
