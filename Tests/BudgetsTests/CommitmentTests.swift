/// What prepaid money pays for: unit by unit the same as counted by hand, whatever order it is asked in, and never more than there is.
import Testing

@testable import Budgets

@Suite struct CommitmentTests {
    private static func day(_ number: Int) -> Instant { Instant(microseconds: Int64(number) * 86_400_000_000) }

    private static func commitment(
        _ id: UInt64, _ amount: Amount, days: Range<Int> = 0..<31, provider: String = "openai", models: [String] = []
    ) -> Commitment {
        Commitment(
            id: CommitmentID(high: 1, low: id), provider: provider, models: models.compactMap { Pattern($0) }, amount: amount,
            start: day(days.lowerBound), end: day(days.upperBound))
    }

    private static func usage(
        _ line: Int64, day number: Int, _ units: Int64, at price: String = "3", provider: String = "openai", model: String = "gpt"
    ) -> PricedUsage {
        PricedUsage(
            place: .init(day: day(number), line: line), provider: provider, model: model, units: units,
            pricePerMillion: Amount(price) ?? .zero)
    }

    private func drawn(_ drawdowns: Drawdowns, _ usage: PricedUsage) -> [String] {
        drawdowns.draws(of: usage).map { "\($0.commitment.low): \($0.units) for \($0.amount.plain)" }
    }

    /// In the order in which lines draw.
    private static func ordered(_ lines: [PricedUsage]) -> [PricedUsage] {
        lines.sorted { ($0.units > 0 ? 1 : 0, $0.place) < ($1.units > 0 ? 1 : 0, $1.place) }
    }

    @Test("the line at the border is split by whole units, and what is left is less than one of them costs")
    func border() {
        // 7.00 pays for 2,333,333 units at 3.00 a million, which cost 6.999999; the last 0.000001 pays for none.
        var drawdowns = Drawdowns([Drawdown(of: Self.commitment(1, Amount(whole: 7)), before: .zero)])
        let lines = [Self.usage(1, day: 2, 1_000_000), Self.usage(2, day: 1, 1_000_000), Self.usage(3, day: 2, 1_000_000)]
        for line in Self.ordered(lines) { drawdowns.draw(line) }
        // By the day first, and then by the line.
        #expect(drawn(drawdowns, lines[1]) == ["1: 1000000 for 3"])
        #expect(drawn(drawdowns, lines[0]) == ["1: 1000000 for 3"])
        #expect(drawn(drawdowns, lines[2]) == ["1: 333333 for 0.999999"])
        #expect(drawdowns.all[0].drawn == Amount("6.999999") && drawdowns.all[0].drained?.units == 333_333)
        #expect(drawn(drawdowns, Self.usage(4, day: 3, 1)) == [], "drained for the month, also for what still fits")
    }

    @Test("a commitment pays for its provider, its models and its term; what ends first is drawn on first, and the next goes on")
    func covers() {
        let (late, early) = (Self.commitment(1, Amount(whole: 30), days: 0..<40), Self.commitment(2, Amount(whole: 3), days: 5..<31))
        let other = Self.commitment(3, Amount(whole: 99), models: ["o1-*"])
        var drawdowns = Drawdowns([late, early, other].map { Drawdown(of: $0, before: .zero) })
        let lines = [
            Self.usage(1, day: 4, 1_000_000), Self.usage(2, day: 5, 2_000_000), Self.usage(3, day: 6, 1, provider: "anthropic"),
            Self.usage(4, day: 39, 1_000_000), Self.usage(5, day: 40, 1), Self.usage(6, day: 7, 5, model: "o1-mini"),
        ]
        for line in Self.ordered(lines) { drawdowns.draw(line) }
        #expect(drawn(drawdowns, lines[0]) == ["1: 1000000 for 3"], "the other has not begun")
        #expect(drawn(drawdowns, lines[1]) == ["2: 1000000 for 3", "1: 1000000 for 3"])
        #expect(drawn(drawdowns, lines[2]).isEmpty && drawn(drawdowns, lines[4]).isEmpty)
        #expect(drawn(drawdowns, lines[3]) == ["1: 1000000 for 3"])
        #expect(drawn(drawdowns, lines[5]) == ["3: 5 for 0.000015"])
    }

    @Test("a correction gives back what was drawn, at most all of it, before anything new is drawn")
    func returned() {
        let commitment = Self.commitment(1, Amount(whole: 6))
        var drawdowns = Drawdowns([Drawdown(of: commitment, before: Amount(whole: 3))])
        let lines = [Self.usage(1, day: 3, -2_000_000), Self.usage(2, day: 1, 3_000_000)]
        for line in Self.ordered(lines) { drawdowns.draw(line) }
        #expect(drawn(drawdowns, lines[0]) == ["1: -1000000 for -3"], "three dollars were drawn; the rest lowers the bill")
        #expect(drawn(drawdowns, lines[1]) == ["1: 2000000 for 6"], "and there are six again")
        #expect(drawdowns.all[0].before + drawdowns.all[0].drawn == Amount(whole: 6))
    }

    @Test("counted unit by unit it is the same", arguments: 0..<200)
    func oracle(round: Int) {
        var random = Seeded("commitments, round \(round)")
        let commitments = (1...UInt64.random(in: 1...3, using: &random)).map { id in
            let start = Int.random(in: 0...8, using: &random)
            return Self.commitment(
                id, Amount(pico: Int128.random(in: 1...60, using: &random) * 500_000),
                days: start..<(start + 1 + Int.random(in: 0...9, using: &random)),
                models: random.chance(0.5) ? [] : ["a*"])
        }
        let before = commitments.map { commitment in
            Amount(pico: Int128.random(in: 0...commitment.amount.pico, using: &random))
        }
        let lines = (1...Int64.random(in: 1...12, using: &random)).map { line in
            Self.usage(
                line, day: Int.random(in: 0...12, using: &random), (random.chance(0.2) ? -1 : 1) * Int64.random(in: 1...6, using: &random),
                at: ["0.5", "1", "1.234567", "7.5"].randomElement(using: &random) ?? "1", model: random.chance(0.5) ? "a1" : "b")
        }
        var drawdowns = Drawdowns(zip(commitments, before).map { Drawdown(of: $0, before: $1) })
        for line in Self.ordered(lines) { drawdowns.draw(line) }
        let expected = Self.byHand(commitments, before, lines)
        for line in lines.shuffled(using: &random) {
            #expect(drawn(drawdowns, line) == expected[line.place.line], "line \(line), seed \(random.seed)")
        }
        for drawdown in drawdowns.all {
            let sum = drawdown.before + drawdown.drawn
            #expect(sum >= .zero && sum <= drawdown.commitment.amount, "seed \(random.seed)")
            let parts = lines.flatMap { drawdowns.draws(of: $0) }.filter { $0.commitment == drawdown.commitment.id }
            #expect(parts.map(\.amount).reduce(.zero, +) == drawdown.drawn, "seed \(random.seed)")
        }
    }

    /// As the rule says, unit by unit: a line takes from the first that covers it for as long as that can pay one more unit. The first
    /// unit that one cannot pay is the last it was asked for.
    private static func byHand(_ commitments: [Commitment], _ before: [Amount], _ lines: [PricedUsage]) -> [Int64: [String]] {
        let order = commitments.indices.sorted { (commitments[$0].end, commitments[$0].id) < (commitments[$1].end, commitments[$1].id) }
        var (drawn, found) = (before, [Int64: [String]]())
        for isReturn in [true, false] {
            var done = Set<Int>()
            for line in ordered(lines) where (line.units < 0) == isReturn {
                var (left, parts) = (line.units.magnitude, [String]())
                let price = Amount(pico: line.pricePerMillion.pico / 1_000_000)
                for index in order where !done.contains(index) {
                    let commitment = commitments[index]
                    let isInTerm = commitment.start <= line.place.day && line.place.day < commitment.end
                    guard isInTerm, commitment.models.isEmpty || commitment.models.contains(where: { $0.matches(line.model) }) else {
                        continue
                    }
                    var count: Int64 = 0
                    while left > 0 {
                        guard price <= (isReturn ? drawn[index] : commitment.amount - drawn[index]) else {
                            done.insert(index)
                            break
                        }
                        drawn[index] = isReturn ? drawn[index] - price : drawn[index] + price
                        (left, count) = (left - 1, count + 1)
                    }
                    let signed = isReturn ? -count : count
                    guard count > 0, let cost = price.multiplied(by: signed) else { continue }
                    parts.append("\(commitment.id.low): \(signed) for \(cost.plain)")
                }
                found[line.place.line] = parts
            }
        }
        return found
    }

    @Test("days are read as they are written", arguments: ["2026-02-28", "2024-02-29", "0001-01-01", "9999-12-31"])
    func days(text: String) { #expect(CivilDate(text)?.description == text) }

    @Test("what is no day is none", arguments: ["2026-02-29", "2026-2-28", "2026-13-01", "2026-00-10", "2026/01/01", "", "2026-01-01 "])
    func noDays(text: String) { #expect(CivilDate(text) == nil) }
}
