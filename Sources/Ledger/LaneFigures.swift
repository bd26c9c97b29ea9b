/// What a lane has done, for metrics: monotonic counts only, so that a scraper that misses a round loses nothing.
import Budgets

public struct LaneFigures: Sendable {
    public private(set) var queued = 0
    public private(set) var batches: Int64 = 0
    public private(set) var commands: Int64 = 0
    public private(set) var busy: Duration = .zero
    /// Outcomes by what the caller asked and the word of the answer: `reserve/held`, `reserve/budget_exceeded`, …
    public private(set) var outcomes: [String: Int64] = [:]

    mutating func note(_ batch: Batch, queued: Int, took: Duration) {
        self.queued = queued
        batches += 1
        commands += Int64(batch.items.count)
        busy += took
        for item in batch.items {
            guard let outcome = item.outcome else { continue }
            outcomes["\(item.pending.command.word)/\(outcome.word)", default: 0] += 1
        }
    }
}

extension Command {
    /// The command's word in metrics.
    var word: StaticString {
        switch self {
        case .reserve: "reserve"
        case .settle: "settle"
        case .release: "release"
        case .expire: "expire"
        case .book: "book"
        case .ask: "ask"
        }
    }
}

extension Outcome {
    /// The outcome's word in metrics: the state reached, or the refusal's code.
    var word: StaticString {
        switch self {
        case .reserved: "held"
        case .settled: "settled"
        case .released: "released"
        case .expired: "expired"
        case .allowance: "answered"
        case .refused(let refusal): refusal.code
        case .overloaded: "overloaded"
        case .storeUnavailable: "store_unavailable"
        case .failed: "internal_error"
        }
    }
}
