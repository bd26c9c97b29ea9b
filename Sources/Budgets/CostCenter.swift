/// A cost centre with its date: calls are charged to the one in force when they are made (law 6), and nothing has to happen at that moment.

public struct CostCenter: Hashable, Sendable {
    /// In force until the next one is; nil: none.
    public private(set) var present: String?
    /// In its place from `nextFrom` on; nil: none from then on.
    public private(set) var next: String?
    /// Nil when no change is ahead. It may have passed.
    public private(set) var nextFrom: Instant?

    public init(_ present: String?, next: String? = nil, from nextFrom: Instant? = nil) {
        self.present = present
        self.next = next
        self.nextFrom = nextFrom
    }

    /// The one in force.
    public func name(at instant: Instant) -> String? {
        if let nextFrom, instant >= nextFrom { return next }
        return present
    }

    /// Sets another one, at once or from an instant to come. Whatever was set for a later date is forgotten.
    public mutating func set(_ name: String?, from instant: Instant?, at now: Instant) {
        self = instant.map { CostCenter(self.name(at: now), next: name, from: $0) } ?? CostCenter(name)
    }
}
