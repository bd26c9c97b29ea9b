// The pool's decisions alone: numbers for connections, names for callers, and time as we say.
import Testing

@testable import Postgres

@Suite struct PoolStateTests {
    typealias State = PoolState<Int, String>
    static let start = ContinuousClock.now
    static let away = PostgresError(.connection, "nobody there")

    var state = State(size: 2, maximumAge: .seconds(100))

    /// What a caller hears: a connection's number, `slot`, `wait`, or why not.
    mutating func ask(at seconds: Double = 0) -> String {
        switch state.demand(at: Self.start + .seconds(seconds)) {
        case .granted(.connection(let idle)): "\(idle.connection)"
        case .granted(.slot): "slot"
        case .wait: "wait"
        case .refused(let error): error.reason
        }
    }

    mutating func giveBack(_ connection: Int?, openedAt: Double = 0, at seconds: Double = 0) -> State.Consequences {
        state.giveBack(
            connection.map { PoolIdle(connection: $0, openedAt: Self.start + .seconds(openedAt)) }, at: Self.start + .seconds(seconds))
    }

    func told(_ consequences: State.Consequences) -> [String] {
        consequences.granted.map { waiter, grant in
            switch grant {
            case .connection(let idle): "\(waiter) gets \(idle.connection)"
            case .slot: "\(waiter) gets slot"
            }
        } + consequences.refused.map { "\($0.waiter) hears \($0.error.reason)" } + consequences.close.map { "close \($0)" }
    }

    @Test("As many slots as the size, then waiting; the last returned is lent first")
    mutating func order() {
        #expect([ask(), ask(), ask()] == ["slot", "slot", "wait"])
        #expect(told(giveBack(1)) == [])
        #expect(told(giveBack(2)) == [])
        #expect([ask(), ask(), ask()] == ["2", "1", "wait"])
    }

    @Test("Who waits is served in the order of arrival, and nobody overtakes")
    mutating func fifo() {
        _ = (ask(), ask())
        for (number, name) in [(1, "a"), (2, "b"), (3, "c")] as [(UInt64, String)] {
            #expect(ask() == "wait")
            state.enqueue(name, number: number)
        }
        #expect(state.leave(number: 2) == "b")
        #expect(state.leave(number: 2) == nil)
        #expect(told(giveBack(7)) == ["a gets 7"])
        #expect(ask() == "wait")
        #expect(told(giveBack(nil)) == ["c gets slot"])
        #expect(state.leave(number: 3) == nil)
    }

    @Test("When the server is away all who wait hear so at once, and newcomers during a pause that doubles to its bound")
    mutating func away() {
        #expect(ask() == "slot")
        #expect(told(state.failedToOpen(Self.away, at: Self.start)) == [])
        #expect(ask(at: 0.04) == "nobody there")
        #expect(ask(at: 0.06) == "slot")
        _ = state.failedToOpen(Self.away, at: Self.start + .seconds(0.06))
        #expect(ask(at: 0.15) == "nobody there")
        #expect(ask(at: 0.17) == "slot")
        for _ in 0..<20 {
            _ = state.failedToOpen(Self.away, at: Self.start + .seconds(1))
            #expect(ask(at: 10) == "slot")
        }
        _ = state.failedToOpen(Self.away, at: Self.start + .seconds(20))
        #expect(ask(at: 20.99) == "nobody there")
        #expect(ask(at: 21.01) == "slot")
        #expect(told(state.opened(at: Self.start + .seconds(21.01))) == [])
        #expect(ask(at: 21.01) == "slot")
    }

    @Test("While other connections live, callers wait for those instead; the last failure refuses everyone")
    mutating func partlyAway() {
        #expect([ask(), ask()] == ["slot", "slot"])
        _ = state.opened(at: Self.start)
        #expect(told(state.failedToOpen(Self.away, at: Self.start)) == [])
        #expect(ask() == "wait")
        state.enqueue("a", number: 1)
        #expect(ask() == "wait")
        state.enqueue("b", number: 2)
        #expect(told(giveBack(nil)) == ["a gets slot"])
        #expect(told(state.failedToOpen(Self.away, at: Self.start)) == ["b hears nobody there"])
        #expect(state.lent == 0)
    }

    @Test("Whoever gets through again lets the others try at once")
    mutating func recovery() {
        #expect([ask(), ask()] == ["slot", "slot"])
        _ = state.opened(at: Self.start)
        _ = state.failedToOpen(Self.away, at: Self.start)
        #expect(ask() == "wait")
        state.enqueue("a", number: 1)
        state.reopening()
        #expect(told(state.opened(at: Self.start)) == ["a gets slot"])
    }

    @Test("While one caller tries a silent server, the others hear of the last failure")
    mutating func oneTries() {
        #expect(ask() == "slot")
        _ = state.failedToOpen(Self.away, at: Self.start)
        #expect([ask(at: 1), ask(at: 1), ask(at: 5)] == ["slot", "nobody there", "nobody there"])
        _ = state.opened(at: Self.start + .seconds(6))
        #expect([ask(at: 6), ask(at: 6)] == ["slot", "wait"])
    }

    @Test("The old are closed, idle or returned")
    mutating func age() {
        _ = (ask(), ask())
        #expect(told(giveBack(1, openedAt: 0, at: 101)) == ["close 1"])
        #expect(told(giveBack(2, openedAt: 50, at: 101)) == [])
        #expect(state.dropAged(at: Self.start + .seconds(149)) == [])
        #expect(state.dropAged(at: Self.start + .seconds(151)) == [2])
        #expect([ask(), ask(), ask()] == ["slot", "slot", "wait"])
    }

    @Test("The queue is bounded, and giving up makes room")
    mutating func bound() {
        _ = (ask(), ask())
        for number in 0..<UInt64(State.maximumWaiters) { state.enqueue("x", number: number) }
        #expect(ask() == "\(State.maximumWaiters) callers wait already")
        _ = state.leave(number: 5)
        #expect(ask() == "wait")
        // Coming and going for long leaves the queue in order.
        for number in UInt64(10_000)..<40_000 {
            state.enqueue("y", number: number)
            _ = state.leave(number: number)
        }
        #expect(told(giveBack(1)) == ["x gets 1"])
        #expect(state.waiterCount == State.maximumWaiters - 2)
    }

    @Test("After shutdown nobody gets anything and what comes back is closed")
    mutating func shutdown() {
        _ = (ask(), ask())
        state.enqueue("a", number: 1)
        #expect(told(state.shutDown()) == ["a hears the pool is shut down"])
        #expect(ask() == "the pool is shut down")
        #expect(told(giveBack(2)) == ["close 2"])
        #expect(told(giveBack(nil)) == [])
        #expect(state.lent == 0)

        state = State(size: 2, maximumAge: .seconds(100))
        _ = ask()
        _ = giveBack(1)
        #expect(told(state.shutDown()) == ["close 1"])
    }
}
