/// What callers of the ledger saw, written down so that it can be judged afterwards: who asked what, when, and what was answered.
public import Budgets
import Synchronization

/// One budget's counters as an answer shows them, or as they must be.
public struct Balance: Hashable, Sendable {
    public var settled: Amount
    public var held: Amount

    public init(settled: Amount = .zero, held: Amount = .zero) {
        self.settled = settled
        self.held = held
    }
}

/// One command on its way from caller to answer.
public struct Operation: Sendable {
    public enum Ask: Hashable, Sendable {
        case reserve(call: Int)
        case settle(call: Int)
        case release(call: Int)
        /// All counters, read while nobody calls.
        case read
    }

    public enum Answer: Hashable, Sendable {
        /// To a reservation: every budget's counters just after the hold was made.
        case held([Balance])
        /// No room in this budget, whose counters were these.
        case refused(budget: Int, Balance)
        /// To a settlement: every budget's counters just after it.
        case settled([Balance])
        case released
        /// The reservation had ended otherwise.
        case resolved
        case balances([Balance])
        /// No answer, or one that says that nothing is known: it may have happened, or may happen yet.
        case unknown
    }

    public let ask: Ask
    public var answer: Answer
    /// When it was asked and answered, on a clock that never gives the same time twice; an unknown one never ends.
    public var begin: Int
    public var end: Int

    public init(_ ask: Ask, _ answer: Answer, begin: Int, end: Int) {
        self.ask = ask
        self.answer = answer
        self.begin = begin
        self.end = answer == .unknown ? .max : end
    }
}

/// Everything that happened to some blocking budgets, all of which every call draws on.
public struct History: Sendable {
    /// What one call holds on each budget, and what its settlement books there.
    public struct Call: Sendable {
        public let holds: [Amount]
        public let costs: [Amount]

        public init(holds: [Amount], costs: [Amount]) {
            self.holds = holds
            self.costs = costs
        }
    }

    public let amounts: [Amount]
    /// The counters before the first operation.
    public let start: [Balance]
    /// Calls by their number; each has a request id of its own.
    public let calls: [Call]
    public var operations: [Operation]

    public init(amounts: [Amount], start: [Balance], calls: [Call], operations: [Operation]) {
        self.amounts = amounts
        self.start = start
        self.calls = calls
        self.operations = operations
    }
}

/// Writes operations down as they happen.
public final class Recorder: Sendable {
    private let clock = Atomic(0)
    private let noted = Mutex<[Operation]>([])

    public init() {}

    public var operations: [Operation] { noted.withLock { $0 } }

    /// Asks, and keeps question and answer. `body` gives both the answer as it is to be judged and whatever the caller wants.
    public func note<Value>(_ ask: Operation.Ask, _ body: () async -> (Operation.Answer, Value)) async -> Value {
        let begin = clock.add(1, ordering: .sequentiallyConsistent).newValue
        let (answer, value) = await body()
        let end = clock.add(1, ordering: .sequentiallyConsistent).newValue
        noted.withLock { noted in
            // An unknown one that is asked again and again is one that began with the first: it takes effect once, at any time.
            if answer == .unknown, noted.contains(where: { $0.ask == ask && $0.answer == .unknown }) { return }
            noted.append(Operation(ask, answer, begin: begin, end: end))
        }
        return value
    }
}
