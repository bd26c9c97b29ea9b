/// Counts of a quantity in buckets, as Prometheus has them: percentiles over many processes can be made of them, of percentiles not.

/// How often a quantity was how large. Its size is fixed when it is made (law 11).
public struct Histogram: Sendable {
    /// Microseconds from half a millisecond, where a lone call should be, to ten seconds, where clients give up.
    public static let durationBounds = [
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000,
    ]

    /// The buckets' upper bounds, ascending and inclusive. What is above the last has a bucket of its own.
    public let bounds: [Int]
    /// One more than there are bounds; not cumulative.
    public private(set) var counts: [Int]
    public private(set) var sum = 0

    public init(bounds: [Int]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    public mutating func record(_ quantity: Int) {
        sum += quantity
        counts[bounds.firstIndex { quantity <= $0 } ?? bounds.count] += 1
    }

    /// Records a time in microseconds.
    public mutating func record(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        record(Int(seconds) * 1_000_000 + Int(attoseconds / 1_000_000_000_000))
    }
}
