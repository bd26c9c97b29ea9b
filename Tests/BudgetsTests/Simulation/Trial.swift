/// A history run to its end or to the first law it breaks; then made as short as it can be and still break it.
import TestSupport

struct Trial {
    /// Steps of one history: long enough for budgets to fill up, short enough to read.
    static let length = 400
    let seed: UInt64

    struct Failure: CustomStringConvertible {
        let seed: UInt64
        let step: Int
        let violation: Violation
        let history: [Happening]

        var description: String {
            """
            seed \(seed), step \(step): \(violation)
            Again: make soak SEED=\(seed) STEPS=\(Trial.length)
            The shortest history found that breaks a law:
            \(history.map { "  \($0)" }.joined(separator: "\n"))
            """.replacing("TestSupport.", with: "")
        }
    }

    /// The first law that the seed's history breaks.
    func run(without off: Guard? = nil) -> Failure? {
        var generator = HistoryGenerator(seed: seed)
        let (setting, replicas) = (generator.setting, generator.replicas)
        let history = (0..<Trial.length).map { _ in generator.next() }
        func play(_ history: [Happening]) -> (step: Int, violation: Violation)? {
            var simulation = Simulation(setting, replicas: replicas, without: off)
            var step = 0
            do throws(Violation) {
                for happening in history {
                    step += 1
                    try simulation.step(happening)
                }
                try simulation.finish()
                return nil
            } catch {
                return (step, error)
            }
        }
        guard let (step, violation) = play(history) else { return nil }
        let short = Trial.shrink(Array(history.prefix(step))) { play($0) != nil }
        return Failure(seed: seed, step: step, violation: violation, history: short)
    }

    /// Histories played to find a shorter one: some seconds' worth.
    private static let maximumPlays = 300

    /// Leaves out ever smaller parts while the rest still fails.
    static func shrink(_ history: [Happening], fails: ([Happening]) -> Bool) -> [Happening] {
        var history = history
        var part = history.count / 2
        var plays = 0
        while part > 0, plays < maximumPlays {
            var start = 0
            while start < history.count, plays < maximumPlays {
                plays += 1
                let rest = Array(history[..<start] + history[min(start + part, history.count)...])
                if fails(rest) { history = rest } else { start += part }
            }
            part /= 2
        }
        return history
    }
}
