/// One, two and four processes on one database, one hot organization: histories of real calls over HTTP are ones that a ledger which
/// does one thing at a time could have answered.
import Budgets
import Foundation
import TestSupport
import Testing

@testable import bursar

@Suite("bursar serve, replicas", .serialized, .timeLimit(.minutes(10)))
struct ReplicaTests {
    /// Histories of each number of replicas; more of them by `make histories ROUNDS=…`.
    static let rounds = ProcessInfo.processInfo.environment["BURSAR_ROUNDS"].flatMap(Int.init) ?? 5
    static let seed = ProcessInfo.processInfo.environment["BURSAR_TEST_SEED"].flatMap(UInt64.init) ?? .random(in: 0...999_999)

    @Test("many short histories of sixteen callers, each searched for an order; then a long one by arithmetic", arguments: [1, 2, 4])
    func histories(replicas: Int) async throws {
        print("histories: seed \(ReplicaTests.seed)")
        try await withFolder(cluster: true) { folder in
            let fleet = try await Fleet(folder, replicas: replicas)
            var start = try await fleet.balances()
            for round in 0...ReplicaTests.rounds {
                let isLast = round == ReplicaTests.rounds
                let seed = ReplicaTests.seed &+ UInt64(round)
                let traffic = Traffic(callers: 16, amounts: Fleet.amounts, start: start, tokens: Fleet.tokens, seed: seed)
                let send = fleet.send("\(seed)")
                async let load: Void = traffic.run(replicas: replicas, send)
                var news = traffic.news.makeAsyncIterator()
                await news.answers(isLast ? 1000 : 100)
                traffic.end()
                await load
                let calls = try await fleet.calls()
                start = try await fleet.balances()
                let history = await traffic.history(last: start)
                let faults = history.faults(isSearched: !isLast)
                #expect(faults.isEmpty, "seed \(seed)")
                // The test tests something: there were refusals, and no answer was missing.
                #expect(history.operations.contains { if case .refused = $0.answer { true } else { false } }, "seed \(seed)")
                #expect(!history.operations.contains { $0.answer == .unknown }, "seed \(seed)")
                #expect(calls > 0)
            }
            try await fleet.close()
        }
    }
}
