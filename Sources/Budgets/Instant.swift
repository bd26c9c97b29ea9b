/// Points in time as Postgres keeps them: whole microseconds, never a binary float (law 5).

/// Microseconds since 1970-01-01T00:00:00Z.
public struct Instant: Hashable, Sendable, Comparable {
    public let microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }
    public init(seconds: Int64) { microseconds = seconds * 1_000_000 }

    /// Whole seconds since 1970, rounded down.
    public var seconds: Int64 {
        let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// The last second that RFC 3339 can write.
    public static let distantFuture = Instant(seconds: 253_402_300_799)

    public func adding(seconds: Int64) -> Instant { Instant(microseconds: microseconds + seconds * 1_000_000) }
    public static func < (left: Self, right: Self) -> Bool { left.microseconds < right.microseconds }
}
