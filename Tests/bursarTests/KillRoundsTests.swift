/// Two replicas and their Postgres under load, one of the three killed at a random moment, again and again: what was acknowledged is
/// there exactly once, the laws hold, and service resumes without hands.
import Budgets
import Foundation
import Glibc
import TestSupport
import Testing

@testable import bursar

@Suite("bursar serve, killed at random moments", .serialized, .timeLimit(.minutes(60)))
struct KillRoundsTests {
    static let rounds = ProcessInfo.processInfo.environment["BURSAR_ROUNDS"].flatMap(Int.init) ?? 10
    static let seed = ProcessInfo.processInfo.environment["BURSAR_TEST_SEED"].flatMap(UInt64.init) ?? .random(in: 0...999_999)

    private enum Victim: CaseIterable { case firstReplica, secondReplica, postgres, postgresImmediately }

    @Test("kill -9 of a replica or of Postgres, or Postgres stopped immediately")
    func killed() async throws {
        print("kill: seed \(KillRoundsTests.seed)")
        var random = SeededGenerator(seed: KillRoundsTests.seed)
        try await withFolder(cluster: true) { folder in
            var fleet = try await Fleet(folder, replicas: 2)
            var (start, calls) = (try await fleet.balances(), try await fleet.calls())
            for round in 0..<KillRoundsTests.rounds {
                let victim = Victim.allCases.randomElement(using: &random)!
                let comment: Comment = "seed \(KillRoundsTests.seed), round \(round), \(victim)"
                let traffic = Traffic(
                    callers: 8, amounts: Fleet.amounts, start: start, tokens: Fleet.tokens, seed: random.next())
                var news = traffic.news.makeAsyncIterator()
                // Of what the callers ask now, one process of two is asked at random; whom one does not answer, asks the other.
                let send = fleet.send("round-\(round)")
                async let load: Void = traffic.run(replicas: 2, send)
                await news.answers(Int.random(in: 1...60, using: &random))
                switch victim {
                case .firstReplica: try fleet.kill(0)
                case .secondReplica: try fleet.kill(1)
                case .postgres: try fleet.endPostgres(SIGKILL)
                case .postgresImmediately: try fleet.endPostgres(SIGQUIT)
                }
                await news.answers(40)
                traffic.end()
                await load
                if victim == .firstReplica { try await fleet.startAgain(0) }
                if victim == .secondReplica { try await fleet.startAgain(1) }
                let last = try await fleet.balances()
                let history = await traffic.history(last: last)
                let faults = history.faults(isSearched: true)
                #expect(faults.isEmpty, comment)
                let booked = try await fleet.calls()
                #expect(booked - calls == history.settled, comment)
                (start, calls) = (last, booked)
            }
            try await fleet.close()
        }
    }
}

extension History {
    /// How many calls were told that they are settled.
    fileprivate var settled: Int64 {
        Int64(Set(operations.filter { if case .settled = $0.answer { true } else { false } }.map(\.ask)).count)
    }
}
