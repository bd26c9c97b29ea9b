/// The pool's decisions, apart from threads and clocks: who gets which connection, who waits, who may open a new one.

/// What happens to callers, connections and slots. Pure: told what happened and when, it says what to do.
struct PoolState<Connection, Waiter> {
    typealias Idle = PoolIdle<Connection>
    typealias Grant = PoolGrant<Connection>

    enum Demand {
        case granted(Grant)
        case refused(PostgresError)
        /// Nothing free now; wait under this number.
        case wait
    }

    /// What is left to do once the state is settled.
    struct Consequences {
        var granted: [(waiter: Waiter, grant: Grant)] = []
        var refused: [(waiter: Waiter, error: PostgresError)] = []
        var close: [Connection] = []
    }

    /// Callers that may wait at once. Beyond it, waiting would outlast any deadline: refusing at once is the honest answer.
    static var maximumWaiters: Int { 4096 }
    /// The pauses between attempts to reach a server that is away: from the first to the last, doubling. Callers in a pause
    /// are told of the last failure at once, so that a returning server is not met by a stampede.
    static var firstPause: Duration { .milliseconds(50) }
    static var lastPause: Duration { .seconds(1) }

    let size: Int
    let maximumAge: Duration
    private(set) var idle: [Idle] = []
    /// Slots in use by callers: lent, or being opened.
    private(set) var lent = 0
    /// Those of them whose connection is only being opened.
    private var opening = 0
    private(set) var isShutDown = false
    private var waiting: [UInt64: Waiter] = [:]
    /// Numbers in order of arrival, some of whom may have left.
    private var order: [UInt64] = []
    private var orderStart = 0
    private var failure: PostgresError?
    private var pause: Duration = .zero
    private var pauseEnd: ContinuousClock.Instant?

    init(size: Int, maximumAge: Duration) {
        precondition(size > 0)
        self.size = size
        self.maximumAge = maximumAge
    }

    var waiterCount: Int { waiting.count }

    /// Takes out the idle connections that are too old to be lent again; the caller closes them.
    mutating func dropAged(at now: ContinuousClock.Instant) -> [Connection] {
        let oldest = now - maximumAge
        guard idle.contains(where: { $0.openedAt < oldest }) else { return [] }
        defer { idle.removeAll { $0.openedAt < oldest } }
        return idle.filter { $0.openedAt < oldest }.map(\.connection)
    }

    /// A caller wants a connection. Those who wait already come first, and while any wait, some connection is lent.
    mutating func demand(at now: ContinuousClock.Instant) -> Demand {
        guard !isShutDown else { return .refused(.poolIsShutDown) }
        if waiting.isEmpty {
            if let grant = takeGrant(at: now) { return .granted(grant) }
            if lent == opening, let failure { return .refused(failure) }
        }
        guard waiting.count < Self.maximumWaiters else {
            return .refused(PostgresError(.poolExhausted, "\(waiting.count) callers wait already"))
        }
        return .wait
    }

    /// Queues a caller that was told to wait.
    mutating func enqueue(_ waiter: Waiter, number: UInt64) {
        waiting[number] = waiter
        order.append(number)
        compact()
    }

    /// A caller gives up; nil when it has been served in the meantime.
    mutating func leave(number: UInt64) -> Waiter? { waiting.removeValue(forKey: number) }

    /// A lent connection comes back, nil when it is closed or unfit.
    mutating func giveBack(_ connection: Idle?, at now: ContinuousClock.Instant) -> Consequences {
        var consequences = Consequences()
        lent -= 1
        if let connection {
            if isShutDown || now - connection.openedAt > maximumAge {
                consequences.close.append(connection.connection)
            } else {
                idle.append(connection)
            }
        }
        // Even in a pause somebody who waits must try, or all would wait for nothing.
        if lent == 0, idle.isEmpty { pauseEnd = nil }
        serve(&consequences, at: now)
        return consequences
    }

    /// A caller could open a connection, and keeps it: the server is there.
    mutating func opened(at now: ContinuousClock.Instant) -> Consequences {
        var consequences = Consequences()
        opening -= 1
        failure = nil
        pauseEnd = nil
        pause = .zero
        serve(&consequences, at: now)
        return consequences
    }

    /// A caller found its connection dead and opens another one in its slot.
    mutating func reopening() { opening += 1 }

    /// A caller could not open a connection. When no other connection may come back, those who wait hear of it at once.
    mutating func failedToOpen(_ error: PostgresError, at now: ContinuousClock.Instant) -> Consequences {
        var consequences = Consequences()
        lent -= 1
        opening -= 1
        failure = error
        pause = min(max(pause * 2, Self.firstPause), Self.lastPause)
        pauseEnd = now + pause
        if lent == opening, idle.isEmpty { refuseAll(error, &consequences) }
        return consequences
    }

    /// No more connections for anyone: closes the idle ones and refuses those who wait.
    mutating func shutDown() -> Consequences {
        var consequences = Consequences()
        isShutDown = true
        consequences.close = idle.map(\.connection)
        idle = []
        refuseAll(.poolIsShutDown, &consequences)
        return consequences
    }

    private mutating func takeGrant(at now: ContinuousClock.Instant) -> Grant? {
        // The most recently used is the least likely to have gone stale.
        if let connection = idle.popLast() {
            lent += 1
            return .connection(connection)
        }
        // After a failure one caller at a time tries the server; the others need not wait for its silence.
        if failure != nil, opening > 0 { return nil }
        if let pauseEnd, now < pauseEnd { return nil }
        guard lent < size else { return nil }
        lent += 1
        opening += 1
        return .slot
    }

    private mutating func serve(_ consequences: inout Consequences, at now: ContinuousClock.Instant) {
        while !waiting.isEmpty, let grant = takeGrant(at: now), let waiter = nextWaiter() {
            consequences.granted.append((waiter, grant))
        }
    }

    private mutating func refuseAll(_ error: PostgresError, _ consequences: inout Consequences) {
        while let waiter = nextWaiter() { consequences.refused.append((waiter, error)) }
    }

    private mutating func nextWaiter() -> Waiter? {
        while orderStart < order.count {
            let number = order[orderStart]
            orderStart += 1
            if orderStart == order.count {
                order.removeAll(keepingCapacity: true)
                orderStart = 0
            }
            if let waiter = waiting.removeValue(forKey: number) { return waiter }
        }
        return nil
    }

    /// Drops numbers of callers that have left, so that giving up again and again cannot grow the queue.
    private mutating func compact() {
        guard order.count > 2 * Self.maximumWaiters else { return }
        order = order[orderStart...].filter { waiting[$0] != nil }
        orderStart = 0
    }
}

/// A connection at rest.
struct PoolIdle<Connection> {
    let connection: Connection
    let openedAt: ContinuousClock.Instant
}

/// What a caller gets.
enum PoolGrant<Connection> {
    case connection(PoolIdle<Connection>)
    /// A free slot: the caller opens a connection itself.
    case slot
}

extension PoolIdle: Sendable where Connection: Sendable {}
extension PoolGrant: Sendable where Connection: Sendable {}
extension PoolState: Sendable where Connection: Sendable, Waiter: Sendable {}
extension PoolState.Demand: Sendable where Connection: Sendable {}
extension PoolState.Consequences: Sendable where Connection: Sendable, Waiter: Sendable {}

extension PostgresError {
    static let poolIsShutDown = PostgresError(.connection, "the pool is shut down")
}
