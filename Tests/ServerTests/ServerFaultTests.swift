/// The whole server on a bad road to Postgres: every request is answered in bounded time, with 503 and never with a budget's refusal,
/// and all is well by itself afterwards. The patience is short here; what hangs beyond it shows as a request without an answer.
import JSON
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import Server

@Suite(.timeLimit(.minutes(2))) struct ServerFaultTests {
    @Test("Postgres falls silent, for the connections of the moment or for all", arguments: [false, true])
    func silence(forAll: Bool) async throws {
        let roads = Mutex<[FaultyProxy]>([])
        let road: @Sendable (PostgresConfiguration) -> PostgresConfiguration = { direct in
            let proxy = FaultyProxy(to: direct, seed: 1)
            roads.withLock { $0.append(proxy) }
            return proxy.configuration(direct, patience: .milliseconds(300))
        }
        try await withServer(road: road) { served in
            let proxy = try #require(roads.withLock { $0.first })
            defer { proxy.stop() }
            let world = try await World.make(served)
            let budget = try await world.budget("1000")
            let before = try await world.reserve("before")
            #expect(before.status == 201)
            proxy.inflict(forAll ? .blackHole : .halfOpen)
            let answers = try await withThrowingTaskGroup(of: Caller.Answer.self) { group in
                for number in 0..<6 { group.addTask { try await world.reserve("during-\(number)") } }
                for _ in 0..<3 { group.addTask { try await served.owner.get("/v1/budgets") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for answer in answers {
                // While new connections are served, a lane's second chance may still succeed.
                #expect(answer.code == "store_unavailable" || !forAll && answer.status < 300, "\(answer)")
            }
            #expect(try await served.owner.get("/health/live").status == 200)
            proxy.heal()
            try await served.owner.untilReady()
            for number in 0..<6 {
                let answer = try await world.reserve("during-\(number)")
                #expect(answer.status == 201, "\(answer)")
            }
            // Once each, whatever was tried while nobody heard of it.
            let periods = try await served.owner.get("/v1/budgets/\(budget)/periods")
            #expect(periods.body["data"]?.array?.first?["held"]?["amount"] == "0.008400000000", "\(periods)")
        }
    }
}
