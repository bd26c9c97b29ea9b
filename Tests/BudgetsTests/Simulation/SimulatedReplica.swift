/// A replica's lane around the real decision: what `Lane` and `Batch` do with it, one step at a time, so that anything may come between
/// any two of them.
import Budgets
import TestSupport

struct SimulatedReplica {
    /// An ask on its way, with the command it became when it arrived.
    struct Arrival {
        let ask: Errand
        let at: Int
        let command: Command
    }

    private struct Item {
        let arrival: Arrival
        var pending: Pending
        var outcome: Outcome?
        var decided: Outcome?

        init(_ arrival: Arrival) {
            self.arrival = arrival
            pending = Pending(arrival.command)
        }
    }

    private enum Phase { case recall, read, commit, answer }

    /// What was decided for good by a step, in order.
    typealias Decided = [(arrival: Arrival, outcome: Outcome)]

    let number: Int
    private(set) var memory: OrganizationState?
    private(set) var isCurrent = false
    private var queue: [Arrival] = []
    private var items: [Item] = []
    private var phase = Phase.recall
    private var isLocked = false
    private var absent: Set<ReservationID> = []
    private var read: [ReservationID] = []
    private var changes = Changes()

    init(number: Int) { self.number = number }

    var isIdle: Bool { queue.isEmpty && items.isEmpty }

    mutating func submit(_ arrival: Arrival) { queue.append(arrival) }

    /// `kill -9`: nothing is left.
    mutating func crash(_ database: inout SimulatedDatabase) {
        if database.lockedBy == number { database.lockedBy = nil }
        self = SimulatedReplica(number: number)
    }

    /// The connection is lost: memory goes with it, the batch in hand is run again, and each command finds its own traces.
    mutating func reconnect(_ database: inout SimulatedDatabase) {
        if database.lockedBy == number { database.lockedBy = nil }
        var next = SimulatedReplica(number: number)
        next.queue = queue
        next.items = items.map { Item($0.arrival) }
        self = next
    }

    /// One step. A replica that waits for the fence's lock, or has nothing to do, does nothing.
    mutating func advance(_ database: inout SimulatedDatabase) throws(Violation) -> Decided {
        if items.isEmpty {
            guard !queue.isEmpty else { return [] }
            // As many as wait, but not always all of them.
            let count = min(queue.count, 1 + Int(database.version % 5))
            items = queue.prefix(count).map(Item.init)
            queue.removeFirst(count)
            (phase, isLocked) = (.recall, false)
            return []
        }
        switch phase {
        case .recall:
            recall(&database)
            return []
        case .read:
            readOrDecide(database)
            return []
        case .commit: return try commit(&database)
        case .answer:
            items = []
            return []
        }
    }

    private mutating func recall(_ database: inout SimulatedDatabase) {
        if isLocked {
            guard database.lockedBy == nil || database.lockedBy == number else { return }
            database.lockedBy = number
        }
        let fence = database.version
        if isLocked || !isCurrent { refresh(database, fence) }
        for index in items.indices where items[index].outcome == nil { items[index].pending.forget() }
        (absent, read) = ([], [])
        phase = .read
    }

    private mutating func refresh(_ database: SimulatedDatabase, _ fence: Int64) {
        let isSame = memory?.configuration.version == database.configuration.version || database.off == .reloadConfiguration
        if memory != nil, isSame {
            if !isCurrent || memory?.version != fence {
                if database.off == .reloadAfterStale { memory?.version = fence } else { memory?.forgetLedger(version: fence) }
            }
        } else {
            memory = OrganizationState(configuration: database.configuration, version: fence)
        }
        isCurrent = true
    }

    /// Reads once what is missing; when nothing is, decides.
    private mutating func readOrDecide(_ database: SimulatedDatabase) {
        guard var state = memory else { return }
        defer { memory = state }
        var missing = Missing()
        for index in items.indices where items[index].outcome == nil {
            state.prepare(&items[index].pending, absent: absent, missing: &missing)
        }
        if !missing.isEmpty {
            for id in missing.counters {
                state.remember(id, (database.off == .readBeforeUse ? nil : database.counters[id]) ?? Counter())
            }
            for id in missing.bursts { if let burst = database.bursts[id] { state.remember(id, burst) } }
            for id in missing.reservations {
                absent.insert(id)
                guard let reservation = database.read(id) else { continue }
                state.remember(reservation)
                read.append(id)
            }
            return
        }
        changes = Changes()
        for index in items.indices where items[index].outcome == nil {
            if let (source, attribution) = items[index].pending.attribution {
                state.remember(source, AttributionID(high: 9, low: source.apiKey.low), attribution)
            }
            items[index].decided = state.decide(items[index].pending, &changes)
        }
        phase = .commit
    }

    private mutating func commit(_ database: inout SimulatedDatabase) throws(Violation) -> Decided {
        guard let state = memory, database.lockedBy == nil || database.lockedBy == number else { return [] }
        defer { if database.lockedBy == number { database.lockedBy = nil } }
        if changes.isEmpty {
            guard state.version == database.version || database.off == .confirmedRefusal else { return again() }
        } else {
            switch try database.commit(changes, of: state) {
            case .done: memory?.version += 1
            case .stale: return again()
            case .requestUsed:
                (isCurrent, phase, isLocked) = (false, .recall, false)
                return answerRepeats(database)
            }
        }
        var decided: Decided = []
        // Refused requests are looked up behind the batch's own writes: they come after all others.
        var repeats: Decided = []
        for index in items.indices where items[index].outcome == nil {
            let arrival = items[index].arrival
            items[index].outcome = items[index].decided
            if case .refused(let refusal) = items[index].decided, refusal.code.description != "unauthenticated",
                database.off != .repeatOfRefused, let first = first(items[index], database)
            {
                items[index].outcome = state.repeated(arrival.command, first)
                repeats.append((arrival, state.repeated(arrival.command, first)))
            } else if let outcome = items[index].decided {
                decided.append((arrival, outcome))
            }
        }
        memory?.forgetResolved(changes.resolutions.map(\.reservation))
        memory?.forgetResolved(read)
        phase = .answer
        return decided + repeats
    }

    /// Another transaction was first: nothing was written.
    private mutating func again() -> Decided {
        (isCurrent, isLocked, phase) = (false, true, .recall)
        return []
    }

    /// The unique index found a request that was used before: it gets its first answer, and the rest starts anew.
    private mutating func answerRepeats(_ database: SimulatedDatabase) -> Decided {
        var decided: Decided = []
        for index in items.indices where items[index].outcome == nil {
            guard let first = first(items[index], database), let outcome = memory?.repeated(items[index].arrival.command, first) else {
                continue
            }
            items[index].outcome = outcome
            decided.append((items[index].arrival, outcome))
        }
        if items.allSatisfy({ $0.outcome != nil }) { phase = .answer }
        return decided
    }

    /// What answered the same request before.
    private func first(_ item: Item, _ database: SimulatedDatabase) -> Reservation? {
        let request: RequestID
        switch item.arrival.command {
        case .reserve(let reserve): request = reserve.request
        case .book(let book): request = book.request
        default: return nil
        }
        return database.requests[request].flatMap { database.reservations[$0] }
    }
}
