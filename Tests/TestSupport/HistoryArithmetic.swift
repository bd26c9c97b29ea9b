/// What can be said of a history too long to be searched: bounds on what was in use at each moment, from the recorded times alone.
public import Budgets

extension History {
    /// Refusals for which there was no moment, between question and answer, at which the room can have been smaller than the hold
    /// (law 2). Never a false alarm: whatever may have been in use is taken as in use.
    public func phantomRefusals() -> [Operation] {
        let most = amounts.indices.map { timeline(of: $0, atMost: true) }
        return operations.filter { operation in
            guard case .refused(let budget, _) = operation.answer, case .reserve(let call) = operation.ask else { return false }
            let used = most[budget].highest(from: operation.begin, to: operation.end)
            return used + calls[call].holds[budget] <= amounts[budget]
        }
    }

    /// The most that was certainly in use of each budget at once (law 1: never more than its amount, unless a settlement passed it).
    public func leastHighest() -> [Amount] {
        amounts.indices.map { timeline(of: $0, atMost: false).highest(from: 0, to: .max) }
    }

    /// Every counter that an answer showed beyond its amount, or not as told again in the refusal that rests on it.
    public func wrongBalances() -> [Operation] {
        operations.filter { operation in
            switch operation.answer {
            case .held(let balances), .settled(let balances), .balances(let balances):
                return zip(balances, amounts).contains { $0.settled + $0.held > $1 }
            case .refused(let budget, let balance):
                guard case .reserve(let call) = operation.ask else { return true }
                return balance.settled + balance.held + calls[call].holds[budget] <= amounts[budget]
                    || balance.settled + balance.held > amounts[budget]
            case .released, .resolved, .unknown: return false
            }
        }
    }

    /// Where all counters must stand in the end if nothing happened but what was acknowledged: Σ costs of what was settled, Σ holds of what
    /// was neither settled nor released.
    public func acknowledgedBalances() -> [Balance] {
        var balances = start
        var ends: [Int: Bool] = [:]
        var held: Set<Int> = []
        for operation in operations {
            switch (operation.ask, operation.answer) {
            case (.reserve(let call), .held): held.insert(call)
            case (.settle(let call), .settled): ends[call] = true
            case (.release(let call), .released): ends[call] = false
            default: break
            }
        }
        for call in held {
            for index in balances.indices {
                switch ends[call] {
                case true?: balances[index].settled += calls[call].costs[index]
                case false?: break
                case nil: balances[index].held += calls[call].holds[index]
                }
            }
        }
        return balances
    }

    /// Lost ones of which no later answer tells that they happened.
    var unresolved: [Operation] {
        let known = Set(
            operations.filter { operation in
                switch operation.answer {
                case .held, .settled, .released: true
                case .refused, .resolved, .balances, .unknown: false
                }
            }.map(\.ask))
        return operations.filter { $0.answer == .unknown && !known.contains($0.ask) }
    }

    /// What of one budget may have been in use at most, or must have been at least, as time went on.
    private func timeline(of budget: Int, atMost: Bool) -> Timeline {
        var changes: [(Int, Amount)] = []
        for (call, spans) in spans().enumerated() {
            guard let held = spans.held, atMost || held.isCertain else { continue }
            let (hold, cost) = (calls[call].holds[budget], calls[call].costs[budget])
            changes.append((atMost ? held.begin : held.end, hold))
            guard let ended = spans.ended else { continue }
            let (more, less) = ended.isSettled ? (max(.zero, cost - hold), max(.zero, hold - cost)) : (.zero, hold)
            // Ended at the latest, or at the earliest, it can have been.
            changes.append((atMost ? ended.begin : ended.end, more))
            changes.append((atMost ? ended.end : ended.begin, .zero - less))
        }
        return Timeline(start: start[budget].settled + start[budget].held, changes.filter { $0.0 < .max })
    }

    private struct Spans {
        var held: (begin: Int, end: Int, isCertain: Bool)?
        var ended: (begin: Int, end: Int, isSettled: Bool)?
    }

    /// When each call can have been admitted and ended: from the first question to the first answer.
    private func spans() -> [Spans] {
        var spans = Array(repeating: Spans(), count: calls.count)
        for operation in operations.sorted(by: { $0.begin < $1.begin }) {
            switch (operation.ask, operation.answer) {
            case (.reserve(let call), .held), (.reserve(let call), .unknown):
                let known = spans[call].held
                spans[call].held = (
                    min(known?.begin ?? .max, operation.begin), min(known?.end ?? .max, operation.end),
                    known?.isCertain ?? false || operation.answer != .unknown
                )
            case (.settle(let call), .settled), (.settle(let call), .unknown), (.release(let call), .released),
                (.release(let call), .unknown):
                let isSettled = if case .settle = operation.ask { true } else { false }
                let known = spans[call].ended
                spans[call].ended = (min(known?.begin ?? .max, operation.begin), min(known?.end ?? .max, operation.end), isSettled)
            default: break
            }
        }
        return spans
    }
}

/// A quantity that changes at known moments.
private struct Timeline {
    private var times: [Int] = []
    private var values: [Amount]

    init(start: Amount, _ changes: [(Int, Amount)]) {
        values = [start]
        for (time, change) in changes.sorted(by: { $0.0 < $1.0 }) {
            times.append(time)
            values.append(values[values.count - 1] + change)
        }
    }

    /// The highest value from one moment to another.
    func highest(from begin: Int, to end: Int) -> Amount {
        var (low, high) = (0, times.count)
        while low < high {
            let middle = (low + high) / 2
            if times[middle] < begin { low = middle + 1 } else { high = middle }
        }
        var highest = values[low]
        while low < times.count, times[low] <= end {
            low += 1
            highest = max(highest, values[low])
        }
        return highest
    }
}
