/// A bad road between Bursar and Postgres: slow, cut, silent. Callers are answered in bounded time while it is bad, never wrongly, never
/// with a budget's refusal that is none; what was acknowledged is there once, the rest is settled by asking again; and when the road is
/// good again so is the service, by itself.
///
/// The engine's patience is short here, so that a hang shows: a fault ends only after every caller was told of it.
import Budgets
import Foundation
import Postgres
import TestSupport
import Testing

@testable import Ledger

@Suite(.serialized, .timeLimit(.minutes(20))) struct FaultTests {
    /// Rounds of each test; more of them by `make faults ROUNDS=…`.
    static let rounds = ProcessInfo.processInfo.environment["BURSAR_ROUNDS"].flatMap(Int.init) ?? 2
    static let seed = ProcessInfo.processInfo.environment["BURSAR_TEST_SEED"].flatMap(UInt64.init) ?? .random(in: 0...999_999)
    static let callers = 8
    static let patience = Duration.milliseconds(300)

    @Test(
        "a fault that lasts: nobody hangs, everybody is told, nothing is wrong, and it goes on by itself",
        arguments: ["half-open", "black hole"], [1, 2])
    func lasting(name: String, engines: Int) async throws {
        let fault = name == "half-open" ? FaultyProxy.Fault.halfOpen : .blackHole
        try await rounds(engines: engines) { proxy, news, _ in
            await news.answers(30)
            proxy.inflict(fault)
            if case .halfOpen = fault {
                // New connections are served, so a second chance succeeds, and callers may hear nothing of it.
                await news.answers(3 * FaultTests.callers)
            } else {
                await news.everybodyIsTold(FaultTests.callers)
            }
            proxy.heal()
            await news.answers(30)
        }
    }

    @Test(
        "cut after a random number of bytes, before or after the server has committed", arguments: FaultyProxy.Direction.allCases, [1, 2])
    func cut(direction: FaultyProxy.Direction, engines: Int) async throws {
        try await rounds(engines: engines) { proxy, news, random in
            for _ in 0..<5 {
                await news.answers(10)
                // A batch of one sends some two kB and is answered with some tens of bytes.
                let longest = direction == .toServer ? 6000 : 400
                proxy.inflict(.cut(direction, after: Int.random(in: 0..<longest, using: &random)))
                await proxy.cutWasMade()
            }
            await news.answers(10)
        }
    }

    @Test(
        "delays, within patience and beyond it: what arrives when nobody waits for it any more does no harm", arguments: [0.1, 3], [1, 2])
    func delay(ofPatience: Double, engines: Int) async throws {
        try await rounds(engines: engines) { proxy, news, _ in
            await news.answers(10)
            proxy.inflict(.delay(FaultTests.patience * ofPatience))
            if ofPatience > 1 { await news.everybodyIsTold(FaultTests.callers) } else { await news.answers(30) }
            proxy.heal()
            await news.answers(30)
        }
    }

    @Test("answers that trickle: slower than patience allows", arguments: [1, 2])
    func slowReads(engines: Int) async throws {
        try await rounds(engines: engines) { proxy, news, _ in
            await news.answers(20)
            proxy.inflict(.slowReads(bytes: 1, pause: .milliseconds(20)))
            await news.everybodyIsTold(FaultTests.callers)
            proxy.heal()
            await news.answers(20)
        }
    }

    /// Some rounds, each with an organization of its own. The first engine is behind the bad road, another one is not.
    private func rounds(
        engines count: Int,
        _ script: @escaping @Sendable (FaultyProxy, inout AsyncStream<Traffic.News>.Iterator, inout SeededGenerator) async -> Void
    ) async throws {
        print("faults: seed \(FaultTests.seed)")
        try await withDatabase { direct in
            for round in 0..<FaultTests.rounds {
                let seed = FaultTests.seed &+ UInt64(round)
                let proxy = FaultyProxy(to: direct, seed: seed)
                defer { proxy.stop() }
                let world = try await World.create(direct)
                // Room for five holds, and for six.
                let amounts = [Amount("5.5")!, Amount("6.2")!]
                let budgets = [try await world.budget(amounts[0].plain), try await world.budget(amounts[1].plain)]
                let traffic = Traffic(
                    callers: FaultTests.callers, amounts: amounts, start: [Balance(), Balance()], tokens: 800_000...1_100_000, seed: seed)
                var behind = world
                behind.configuration = proxy.configuration(direct, patience: FaultTests.patience)
                try await behind.withLedger(lanes: 1, sweepInterval: .seconds(3600)) { first in
                    try await world.withLedger(lanes: 1, sweepInterval: .seconds(3600)) { second in
                        async let load: Void = traffic.run(
                            replicas: count, world.send(Array([first, second].prefix(count)), budgets: budgets))
                        var (news, random) = (traffic.news.makeAsyncIterator(), SeededGenerator(seed: seed))
                        await script(proxy, &news, &random)
                        traffic.end()
                        await load
                    }
                }
                let faults = await traffic.history(last: try await world.balances(budgets)).faults(isSearched: true)
                #expect(faults.isEmpty, "seed \(seed)")
            }
        }
    }
}
