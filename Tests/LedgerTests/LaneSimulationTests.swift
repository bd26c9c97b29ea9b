/// The laws under random histories, through the real lane on a real Postgres.
import Budgets
import Foundation
import Postgres
import TestSupport
import Testing

@testable import Ledger

@Suite struct LaneSimulationTests {
    /// Steps of one history.
    private static let length = 150
    /// `make test` runs so many; `make soak` a twentieth of what it is asked for, because a step costs that much more here.
    private static let steps = 1500

    @Test("random histories on a real Postgres keep every law after every batch")
    func laws() async throws {
        let environment = ProcessInfo.processInfo.environment
        let steps = environment["BURSAR_STEPS"].flatMap { Int($0) }.map { $0 / 20 } ?? LaneSimulationTests.steps
        let seed = environment["BURSAR_TEST_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("lane simulation: seed \(seed), \(steps) steps")
        try await withDatabase { database in
            let connection = try await PostgresConnection.connect(database.forLane, logger: testLogger)
            var decisions = 0
            for history in 0..<UInt64(max(1, steps / LaneSimulationTests.length)) {
                decisions += try await play(seed &+ history, OrganizationID(high: 12, low: history), on: connection)
            }
            print("lane simulation: \(decisions) decisions")
            await connection.close()
        }
    }

    private func play(_ seed: UInt64, _ organization: OrganizationID, on connection: PostgresConnection) async throws -> Int {
        var generator = HistoryGenerator(seed: seed, withGrants: false)
        var simulation = try await LaneSimulation(
            generator.setting, replicas: generator.replicas, organization: organization, on: connection)
        var step = 0
        do {
            for _ in 0..<LaneSimulationTests.length {
                step += 1
                try await simulation.step(generator.next())
            }
            try await simulation.finish()
        } catch {
            Issue.record("seed \(seed), step \(step): \(error)\nAgain: make soak SEED=\(seed) STEPS=\(LaneSimulationTests.length)")
            throw error
        }
        return simulation.decisions
    }
}
