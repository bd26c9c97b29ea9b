/// Bad days: Postgres killed and started again while calls go on. What was acknowledged is there, once; nothing else is; and the
/// engine recovers without hands.
import Budgets
import Postgres
import Store
import Synchronization
import TestSupport
import Testing

@testable import Ledger

/// What callers were told, and how many of them could not be served.
private final class Acknowledged: Sendable {
    private struct State {
        var held: Set<ReservationID> = []
        var settled: [ReservationID: Money] = [:]
        var unavailable = 0
        var waiters: [(isMet: @Sendable (Int, Int) -> Bool, CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())
    /// Set when callers are to make no more calls.
    let isOver = Atomic(false)

    func note(_ outcome: Outcome) {
        let met = state.withLock { state in
            switch outcome {
            case .reserved(let reservation, _, _): state.held.insert(reservation.id)
            case .settled(let reservation, _, _): state.settled[reservation.id] = reservation.entry?.cost ?? .zero
            case .storeUnavailable: state.unavailable += 1
            default: Issue.record("\(outcome.word) is not what a call with room is answered")
            }
            let (answered, unavailable) = (state.settled.count, state.unavailable)
            let met = state.waiters.filter { $0.isMet(answered, unavailable) }
            state.waiters.removeAll { $0.isMet(answered, unavailable) }
            return met
        }
        for (_, waiter) in met { waiter.resume() }
    }

    /// Returns once so many calls were settled and so many turned away.
    func wait(until isMet: @escaping @Sendable (_ settled: Int, _ unavailable: Int) -> Bool) async {
        await withCheckedContinuation { waiter in
            let isMetAlready = state.withLock { state in
                guard !isMet(state.settled.count, state.unavailable) else { return true }
                state.waiters.append((isMet, waiter))
                return false
            }
            if isMetAlready { waiter.resume() }
        }
    }

    var held: Set<ReservationID> { state.withLock { $0.held } }
    var settled: [ReservationID: Money] { state.withLock { $0.settled } }
    var unavailable: Int { state.withLock { $0.unavailable } }
}

@Suite(.serialized) struct BadDayTests {
    @Test("Postgres killed under load, three times: nothing acknowledged is lost, nothing is booked twice, and calls go on by themselves")
    func killedPostgres() async throws {
        try await isolatedPostgres { postgres in
            let world = try await World.create(postgres.configuration)
            let budget = try await world.budget("1000000")
            let told = Acknowledged()
            try await world.withLedger { ledger in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for client in 0..<8 { group.addTask { await call(client, world, ledger, told) } }
                    for round in 1...3 {
                        let (settled, unavailable) = (told.settled.count, told.unavailable)
                        await told.wait { now, _ in now >= settled + 150 }
                        postgres.kill()
                        await told.wait { _, now in now > unavailable }
                        try await postgres.start()
                        let recovered = told.settled.count
                        await told.wait { now, _ in now >= recovered + 150 }
                        #expect(told.unavailable > 0, "round \(round)")
                    }
                    told.isOver.store(true, ordering: .relaxed)
                    try await group.waitForAll()
                }
            }
            let booked = try await costs(world)
            #expect(booked == told.settled)
            let totals = try await world.totals(budget)
            #expect(totals.entries == Int64(told.settled.count))
            #expect(told.held.isSuperset(of: told.settled.keys))
            #expect(totals.open == Int64(told.held.count - told.settled.count))
        }
    }

    /// One caller: reserves and settles, and repeats whatever was not answered until it is.
    private func call(_ client: Int, _ world: World, _ ledger: Ledger, _ told: Acknowledged) async {
        var number = 0
        while !told.isOver.load(ordering: .relaxed) {
            number += 1
            let reserve = world.reserve("\(client)-\(number)", tokens: 1000)
            guard let id = await answered(reserve, world, ledger, told).reservation?.id else { return }
            _ = await answered(world.settle(id, tokens: Int64(number % 900)), world, ledger, told)
        }
    }

    private func answered(_ command: Command, _ world: World, _ ledger: Ledger, _ told: Acknowledged) async -> Outcome {
        while true {
            let outcome = await ledger.submit(command, for: world.organization)
            told.note(outcome)
            guard case .storeUnavailable = outcome else { return outcome }
            await Task.yield()
        }
    }

    /// What the ledger has booked, by reservation.
    private func costs(_ world: World) async throws -> [ReservationID: Money] {
        let result = try await world.sql([
            "SELECT reservation_id, cost FROM ledger_entries WHERE organization_id = \(world.organization)"
        ])
        var costs: [ReservationID: Money] = [:]
        for row in result[0].rows {
            let (id, cost) = try row.decode(as: (ReservationID, Money).self)
            costs[id] = cost
        }
        return costs
    }
}
