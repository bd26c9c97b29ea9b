/// Callers of one organization who press against its budgets, repeat what was not answered until it is, and write everything down.
public import Budgets
import Synchronization

/// One organization under load, and the history of it. How a question reaches Bursar is the test's affair.
public final class Traffic: Sendable {
    /// A call: how many input tokens it is held and, if it is not released, settled for.
    public struct Call: Sendable {
        /// Its request id, for those of one traffic.
        public let number: Int
        public let tokens: Int64
        public let spent: Int64
        public let isSettled: Bool
    }

    public enum News: Sendable {
        case answered(caller: Int)
        case unavailable(caller: Int)
    }

    /// Asks one replica and gives its answer, to a reservation also the reservation's id.
    public typealias Send =
        @Sendable (_ ask: Operation.Ask, _ call: Call, _ reservation: String?, _ replica: Int) async -> (Operation.Answer, String?)

    public let callers: Int
    private let amounts: [Amount]
    private let start: [Balance]
    private let tokens: ClosedRange<Int64>
    private let recorder = Recorder()
    private let isOver = Atomic(false)
    private let tell: AsyncStream<News>.Continuation
    public let news: AsyncStream<News>
    private let state: Mutex<(random: SeededGenerator, calls: [Call])>

    /// - Parameters:
    ///   - amounts: Of the blocking budgets in US dollars; every call draws on each. A token costs a millionth of a dollar.
    ///   - start: The budgets' counters before.
    ///   - tokens: What calls hold. They settle for much less, so that room is freed and used again.
    public init(callers: Int, amounts: [Amount], start: [Balance], tokens: ClosedRange<Int64>, seed: UInt64) {
        self.callers = callers
        self.amounts = amounts
        self.start = start
        self.tokens = tokens
        state = Mutex((SeededGenerator(seed: seed), []))
        (news, tell) = AsyncStream.makeStream()
    }

    /// Callers are to make no more calls; those under way are brought to their end.
    public func end() { isOver.store(true, ordering: .relaxed) }

    /// Calls until `end()`. Whatever one replica does not answer is asked of the next.
    public func run(replicas: Int, _ send: @escaping Send) async {
        await withDiscardingTaskGroup { group in
            for caller in 0..<callers {
                group.addTask {
                    while !self.isOver.load(ordering: .relaxed) { await self.call(caller, replicas, send) }
                }
            }
        }
    }

    private func call(_ caller: Int, _ replicas: Int, _ send: @escaping Send) async {
        let call = state.withLock { state in
            let call = Call(
                number: state.calls.count, tokens: .random(in: tokens, using: &state.random),
                spent: .random(in: 1...max(1, tokens.lowerBound / 200), using: &state.random),
                isSettled: .random(using: &state.random))
            state.calls.append(call)
            return call
        }
        guard let id = await answered(.reserve(call: call.number), call, nil, caller, replicas, send) else { return }
        _ = await answered(
            call.isSettled ? .settle(call: call.number) : .release(call: call.number), call, id, caller, replicas, send)
    }

    private func answered(
        _ ask: Operation.Ask, _ call: Call, _ reservation: String?, _ caller: Int, _ replicas: Int, _ send: @escaping Send
    ) async -> String? {
        // Not always the same for the same caller, and the settlement not where the reservation was made.
        var replica = caller + call.number + (reservation == nil ? 0 : 1)
        while true {
            let (isUnknown, id) = await recorder.note(ask) { [replica] in
                let (answer, id) = await send(ask, call, reservation, replica % replicas)
                return (answer, (answer == .unknown, id))
            }
            guard isUnknown else {
                tell.yield(.answered(caller: caller))
                return id
            }
            tell.yield(.unavailable(caller: caller))
            replica += 1
            await Task.yield()
        }
    }

    /// The history, with the counters read when all was quiet as its last word.
    public func history(last: [Balance]) async -> History {
        await recorder.note(.read) { (.balances(last), ()) }
        let calls = state.withLock { $0.calls }
        return History(
            amounts: amounts, start: start,
            calls: calls.map { call in
                History.Call(
                    holds: amounts.map { _ in Traffic.dollars(call.tokens) }, costs: amounts.map { _ in Traffic.dollars(call.spent) })
            }, operations: recorder.operations)
    }

    private static func dollars(_ tokens: Int64) -> Amount { Amount(pico: Int128(tokens) * 1_000_000) }
}

extension History {
    /// What is wrong with it, by arithmetic and, where it is short enough to be searched, because nothing that does one thing at a time
    /// can have answered so. Empty when all is well.
    public func faults(isSearched: Bool) -> [String] {
        var faults: [String] = []
        if isSearched, case let verdict = linearize(), verdict != .linearizable { faults.append("\(verdict)") }
        faults += phantomRefusals().map { "a phantom refusal: \($0)" }
        faults += wrongBalances().map { "counters that cannot be: \($0)" }
        for (used, amount) in zip(leastHighest(), amounts) where used > amount { faults.append("\(used) in use of \(amount)") }
        let expected = acknowledgedBalances()
        if unresolved.isEmpty, let last = operations.last?.answer, last != .balances(expected) {
            faults.append("\(last) in the end instead of \(expected)")
        }
        return faults
    }
}

extension AsyncStream<Traffic.News>.Iterator {
    /// Returns once so many more answers have come.
    public mutating func answers(_ count: Int) async {
        var left = count
        while left > 0, let news = await next() { if case .answered = news { left -= 1 } }
    }

    /// Returns once each of so many callers has been told again that Postgres is away: none of them hangs.
    public mutating func everybodyIsTold(_ callers: Int) async {
        var told: Set<Int> = []
        while told.count < callers, let news = await next() { if case .unavailable(let caller) = news { told.insert(caller) } }
    }
}
