// Parts must sum to the whole to the last pico-dollar, whatever the whole, the weights and the rules; else finance cannot book them.

import Testing

@testable import Budgets

struct CostSplitTests {
    private func project(_ number: Int) -> ProjectID { ProjectID(high: 1, low: UInt64(number)) }

    private func split(
        _ id: Int, _ source: Int, _ method: SplitMethod = .even, to receivers: [(Int, percent: Int64?)]
    ) -> CostSplit {
        CostSplit(
            id: CostSplitID(high: 2, low: UInt64(id)), source: project(source), method: method,
            receivers: receivers.map { .init(project: project($0.0), percent: $0.percent.map { Amount(whole: $0) }) })
    }

    @Test("Parts are within a unit of their exact share and sum to the whole; of equals the first has the unit that is left")
    func parts() {
        var random = Seeded("parts of a whole")
        for _ in 0..<20_000 {
            let whole = Amount(pico: Int128(random.magnitude(upTo: .max)) * (random.chance(0.3) ? -1_000_000_000_000 : 1))
            var weights = (0..<Int.random(in: 1...9, using: &random)).map { _ in
                Amount(pico: Int128(random.magnitude(upTo: .max)) * (random.chance(0.5) ? 1_000_000_000 : 1))
            }
            weights[0] += Amount(pico: 1)
            let parts = whole.split(by: weights)
            #expect(parts.reduce(.zero, +) == whole, "seed \(random.seed)")
            let total = weights.reduce(.zero, +)
            for (part, weight) in zip(parts, weights) {
                // |part × total − whole × weight| < total, in numbers wide enough.
                let exact = whole.pico.magnitude.multipliedFullWidth(by: weight.pico.magnitude)
                let (floor, _) = total.pico.magnitude.dividingFullWidth(exact)
                #expect(part.pico.magnitude == floor || part.pico.magnitude == floor + 1, "seed \(random.seed)")
                #expect(part == .zero || (part < .zero) == (whole < .zero), "seed \(random.seed)")
            }
        }
        #expect(Amount(pico: 2).split(by: [Amount(whole: 1), Amount(whole: 1), Amount(whole: 1)]).map(\.pico) == [1, 1, 0])
        #expect(Amount(pico: -10).split(by: [Amount(whole: 2), .zero, Amount(whole: 1)]).map(\.pico) == [-7, 0, -3])
    }

    @Test(
        "Each method has its measure; where nobody used anything, everybody shares evenly",
        arguments: [
            (SplitMethod.even, ["5", "5"]), (.spend, ["2.5", "7.5"]), (.tokens, ["8", "2"]), (.percent, ["4", "6"]),
        ])
    func methods(method: SplitMethod, expected: [String]) throws {
        let uses = [
            project(1): ProjectUse(cost: Amount(whole: 10), tokens: Amount(whole: 1)),
            project(2): ProjectUse(cost: Amount(whole: 1), tokens: Amount(whole: 40)),
            project(3): ProjectUse(cost: Amount(whole: 3), tokens: Amount(whole: 10)),
        ]
        let rule = split(1, 1, method, to: [(3, method == .percent ? 60 : nil), (2, method == .percent ? 40 : nil)])
        let shares = try #require(CostShares([rule], of: uses)).shares
        #expect(shares.map(\.project) == [project(2), project(3)] && shares.map(\.cost.plain) == expected)
        let idle = try #require(CostShares([rule], of: [project(1): ProjectUse(cost: Amount(whole: 10))])).shares
        #expect(idle.map(\.cost.plain) == (method == .percent ? ["4", "6"] : ["5", "5"]))
        #expect(CostShares([rule], of: [:])?.shares == [], "nothing is nothing to share")
    }

    @Test("Whatever the rules, all moves cancel, a source keeps nothing, and the ratios of each rule sum to 1; circles have no answer")
    func rules() {
        var random = Seeded("rules for shared costs")
        var circles = 0
        for _ in 0..<3000 {
            let count = Int.random(in: 2...7, using: &random)
            let uses = Dictionary(
                uniqueKeysWithValues: (0..<count).map { number in
                    let use = ProjectUse(
                        cost: Amount(pico: Int128(random.magnitude(upTo: 1 << 50)) * (random.chance(0.1) ? -1 : 1)),
                        tokens: Amount(whole: random.magnitude(upTo: 1 << 30)))
                    return (project(number), use)
                })
            let sources = (0..<count).filter { _ in random.chance(0.4) }
            let splits = sources.map { source in
                let others = (0..<count).filter { $0 != source && random.chance(0.6) || $0 == (source + 1) % count }
                let method = SplitMethod.allCases.randomElement(using: &random) ?? .even
                return split(source, source, method, to: others.map { ($0, method == .percent ? 1 : nil) })
            }
            guard let shares = CostShares(splits, of: uses) else {
                circles += 1
                #expect(CostSplit.ordered(splits) == nil)
                continue
            }
            var final = uses.mapValues(\.cost)
            for split in splits {
                let own = shares.shares.contains { $0.split == split.id } ? uses[split.source]?.cost ?? .zero : .zero
                let given = shares.shares.filter { $0.split == split.id }
                let passed = shares.passedOn.filter { $0.split == split.id }.reduce(Amount.zero) { $0 + $1.cost }
                #expect(given.reduce(.zero) { $0 + $1.cost } == own + passed, "seed \(random.seed)")
                #expect(given.isEmpty || given.reduce(.zero) { $0 + $1.ratio } == Amount(whole: 1), "seed \(random.seed)")
                final[split.source, default: .zero] -= own + passed
                for share in given { final[share.project, default: .zero] += share.cost }
            }
            let whole = uses.values.reduce(Amount.zero) { $0 + $1.cost }
            #expect(final.values.reduce(.zero, +) == whole, "seed \(random.seed)")
            for split in splits { #expect(final[split.source] == .zero, "seed \(random.seed)") }
        }
        #expect(circles > 100, "seed \(random.seed)")
    }
}
