/// Law after law under random histories, and the simulation itself under test: each guard left out must be noticed.
import Foundation
import TestSupport
import Testing

@Suite struct SimulationTests {
    /// What `make test` runs; `make soak` says otherwise.
    private static let steps = 240_000
    /// Histories run side by side.
    private static let parts: UInt64 = 4

    @Test("random histories keep every law after every step", arguments: 0..<parts)
    func laws(part: UInt64) throws {
        let environment = ProcessInfo.processInfo.environment
        let steps = environment["BURSAR_STEPS"].flatMap { UInt64($0) } ?? UInt64(SimulationTests.steps)
        let seed = environment["BURSAR_TEST_SEED"].flatMap { UInt64($0) } ?? SimulationTests.seed
        if part == 0 { print("simulation: seed \(seed), \(steps) steps") }
        for history in 0..<max(1, steps / UInt64(Trial.length)) where history % SimulationTests.parts == part {
            guard let failure = Trial(seed: seed &+ history).run() else { continue }
            Issue.record("\(failure)")
            return
        }
    }

    private static let seed = UInt64.random(in: 0...UInt64(UInt32.max))

    @Test("a guard left out is noticed within 40,000 steps", arguments: Guard.allCases)
    func controls(without off: Guard) {
        for seed in UInt64(1)...100 {
            guard let failure = Trial(seed: seed).run(without: off) else { continue }
            print("without \(off): \("\(failure)".prefix { $0 != "\n" })")
            return
        }
        Issue.record("nobody noticed that \(off) is missing")
    }
}
