/// Whether a history could have come from a ledger that does one thing at a time (Herlihy and Wing 1990; the search is Wing and Gong's
/// with Lowe's memory of what has been tried). The model below knows nothing of lanes, fences, batches or replicas: only the laws.
import Budgets

extension History {
    public enum Verdict: Equatable, Sendable {
        case linearizable
        /// No order explains it; the furthest one ended before these.
        case impossible(String)
        /// Given up at `bound`.
        case undecided
    }

    /// States visited before giving up: a right history of hundreds of operations of sixteen callers needs hardly more than it has
    /// operations.
    static let bound = 20_000

    /// Looks for an order of the operations that keeps to their times and in which every answer is the model's.
    public func linearize() -> Verdict {
        var search = Search(self)
        if search.extend(Done(count: operations.count), Model(self)) { return .linearizable }
        return search.visited >= History.bound ? .undecided : .impossible(search.stuck)
    }
}

/// The laws, one operation after another: holds only where there is room (law 1), refusals only where there is none (law 2), each id
/// once and the first answer again (law 4), sums exact (law 5). Small, because the search makes many.
private struct Model: Hashable {
    enum State: UInt8 { case absent, held, settled, released }

    var balances: [Balance]
    private var states: [State]
    /// The first answers to what is asked more than once.
    private var first: [Operation.Ask: [Balance]] = [:]

    init(_ history: History) {
        balances = history.start
        states = Array(repeating: .absent, count: history.calls.count)
    }

    /// Carries the operation out and gives the answers that would be right; none where nobody can ask.
    mutating func perform(_ ask: Operation.Ask, _ history: History, isRepeated: Bool) -> [Operation.Answer] {
        let before = states
        defer { if isRepeated, states != before { first[ask] = balances } }
        switch ask {
        case .read: return [.balances(balances)]
        case .reserve(let call):
            guard states[call] == .absent else { return [.held(first[ask] ?? [])] }
            let holds = history.calls[call].holds
            let full = balances.indices.filter { balances[$0].settled + balances[$0].held + holds[$0] > history.amounts[$0] }
            // Any of the budgets without room may be named.
            guard full.isEmpty else { return full.map { .refused(budget: $0, balances[$0]) } }
            for index in balances.indices { balances[index].held += holds[index] }
            states[call] = .held
            return [.held(balances)]
        case .settle(let call):
            switch states[call] {
            case .absent: return []
            case .released: return [.resolved]
            case .settled: return [.settled(first[ask] ?? [])]
            case .held:
                end(call, as: .settled, history)
                return [.settled(balances)]
            }
        case .release(let call):
            switch states[call] {
            case .absent: return []
            case .settled: return [.resolved]
            case .released: return [.released]
            case .held:
                end(call, as: .released, history)
                return [.released]
            }
        }
    }

    private mutating func end(_ call: Int, as state: State, _ history: History) {
        states[call] = state
        for index in balances.indices {
            balances[index].held -= history.calls[call].holds[index]
            if state == .settled { balances[index].settled += history.calls[call].costs[index] }
        }
    }
}

/// Which operations have their place already.
private struct Done: Hashable {
    private var words: [UInt64]

    init(count: Int) { words = Array(repeating: 0, count: count / 64 + 1) }

    subscript(_ index: Int) -> Bool { words[index / 64] >> UInt64(index % 64) & 1 == 1 }
    mutating func insert(_ index: Int) { words[index / 64] |= 1 << UInt64(index % 64) }
}

private struct Search {
    private struct Place: Hashable {
        let done: Done
        let model: Model
    }

    private let history: History
    /// By their beginnings.
    private let operations: [Operation]
    private let repeated: Set<Operation.Ask>
    private var seen: Set<Place> = []
    var visited: Int { seen.count }
    private var furthest = -1
    private(set) var stuck = ""

    init(_ history: History) {
        self.history = history
        var operations = Search.joined(history.operations)
        // A hold that nobody heard of is never ended: when the last word has room for none, none of the lost ones happened before it.
        if history.unresolved.allSatisfy({ if case .reserve = $0.ask { true } else { false } }),
            history.operations.last?.answer == .balances(history.acknowledgedBalances())
        {
            operations.removeAll { $0.answer == .unknown }
        }
        self.operations = operations.sorted { $0.begin < $1.begin }
        repeated = Set(Dictionary(grouping: operations, by: \.ask).filter { $0.value.count > 1 }.keys)
    }

    /// What was asked again because the reply was lost, and then answered with what it did, was done once: at some time between the first
    /// question and the answer. A refusal says nothing of what became of the lost one.
    private static func joined(_ operations: [Operation]) -> [Operation] {
        var lost = Dictionary(grouping: operations.filter { $0.answer == .unknown }, by: \.ask).compactMapValues { $0.map(\.begin).min() }
        var joined: [Operation] = []
        for var operation in operations.sorted(by: { $0.begin < $1.begin }) where operation.answer != .unknown {
            switch operation.answer {
            case .held, .settled, .released: operation.begin = min(operation.begin, lost.removeValue(forKey: operation.ask) ?? .max)
            case .refused, .resolved, .balances, .unknown: break
            }
            joined.append(operation)
        }
        return joined + operations.filter { $0.answer == .unknown && lost[$0.ask] != nil }
    }

    /// Whether the rest can be put in order after these.
    mutating func extend(_ before: Done, _ model: Model) -> Bool {
        var (done, open) = (before, candidates(before))
        // What is right now and changes nothing can be put here at once: it could only be harder later.
        while let index = open.first(where: { isRead($0, model) }) {
            done.insert(index)
            open = candidates(done)
        }
        guard seen.count < History.bound, seen.insert(Place(done: done, model: model)).inserted else { return false }
        let unexplained = operations.indices.filter { !done[$0] && operations[$0].answer != .unknown }
        if unexplained.isEmpty { return true }
        if operations.count - unexplained.count > furthest {
            furthest = operations.count - unexplained.count
            stuck = "after \(furthest) of \(operations.count), balances \(model.balances): \(open.map { operations[$0] })"
        }
        // Those that were answered first: they say what they did.
        for isKnown in [true, false] {
            for index in open where (operations[index].answer != .unknown) == isKnown {
                var next = model
                let answers = perform(index, &next)
                guard next != model, !isKnown || answers.contains(operations[index].answer) else { continue }
                var placed = done
                placed.insert(index)
                if extend(placed, next) { return true }
            }
        }
        return false
    }

    /// Those that may come next: nothing that is not placed yet had ended before they began.
    private func candidates(_ done: Done) -> [Int] {
        var (found, earliestEnd) = ([Int](), Int.max)
        for index in operations.indices where !done[index] {
            if operations[index].begin > earliestEnd { break }
            found.append(index)
            earliestEnd = min(earliestEnd, operations[index].end)
        }
        return found
    }

    private func isRead(_ index: Int, _ model: Model) -> Bool {
        guard operations[index].answer != .unknown else { return false }
        var next = model
        return perform(index, &next).contains(operations[index].answer) && next == model
    }

    private func perform(_ index: Int, _ model: inout Model) -> [Operation.Answer] {
        model.perform(operations[index].ask, history, isRepeated: repeated.contains(operations[index].ask))
    }
}
