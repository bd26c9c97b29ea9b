/// What a lane has done, for metrics: it only grows, so that a scraper that misses a round loses nothing.

public struct LaneFigures: Sendable {
    /// Commands in each batch.
    public private(set) var batchSizes = Histogram(bounds: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
    /// From taking a batch to its end: reading what was not remembered, deciding, committing; in microseconds.
    public private(set) var batchDurations = Histogram(bounds: Histogram.durationBounds)

    /// When Postgres last could not write; nil as soon as a batch went well again.
    public private(set) var unfitAt: ContinuousClock.Instant?

    mutating func note(batchOf count: Int, from start: ContinuousClock.Instant, isServerUnfit: Bool) {
        let end = ContinuousClock.now
        batchSizes.record(count)
        batchDurations.record(end - start)
        unfitAt = isServerUnfit ? end : nil
    }
}
