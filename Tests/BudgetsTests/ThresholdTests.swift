// Law 7's arithmetic: a threshold is reached or it is not; there is no rounding in between.

import Budgets
import Testing

struct ThresholdTests {
    private static let usual = [70, 80, 90, 100]

    @Test(
        "A threshold is reached at exactly its share, not a pico-dollar before",
        arguments: [
            ("0", "100", []), ("69.999999999999", "100", []), ("70", "100", [70]), ("79.999999999999", "100", [70]),
            ("80", "100", [70, 80]),
            ("99.999999999999", "100", [70, 80, 90]), ("100", "100", [70, 80, 90, 100]), ("250", "100", [70, 80, 90, 100]),
            ("0.000000000001", "0.000000000001", [70, 80, 90, 100]), ("0.000000000002", "0.000000000003", []),
            ("0", "0", []), ("0.000000000001", "0", [70, 80, 90, 100]), ("-5", "100", []),
            ("99999999999999999999999999.999999999999", "99999999999999999999999999.999999999999", [70, 80, 90, 100]),
            ("70000000000000000000000000", "99999999999999999999999999.999999999999", [70]),
        ] as [(String, String, [Int])])
    func table(settled: String, amount: String, expected: [Int]) throws {
        #expect(reached(settled: try #require(Amount(settled)), amount: try #require(Amount(amount)), thresholds: Self.usual) == expected)
    }

    @Test("Thresholds come back ascending and once; above 100 too")
    func order() {
        #expect(reached(settled: Amount(whole: 150), amount: Amount(whole: 100), thresholds: [150, 50, 100, 50, 151]) == [50, 100, 150])
        #expect(reached(settled: Amount(whole: 1), amount: .zero, thresholds: [150, 50]) == [50])
        #expect(reached(settled: Amount(whole: 1), amount: Amount(whole: 1), thresholds: []).isEmpty)
        #expect(reached(settled: Amount(pico: .max), amount: Amount(pico: .max), thresholds: [100, 101]) == [100])
    }

    @Test(
        "The used share has two digits and is rounded down",
        arguments: [
            ("0", "100", "0.00"), ("71.2", "100", "71.20"), ("99.999999999999", "100", "99.99"), ("100", "100", "100.00"),
            ("1", "3", "33.33"), ("2", "3", "66.66"), ("0.0009", "100", "0.00"), ("0.05", "100", "0.05"), ("1234.5", "100", "1234.50"),
            ("0", "0", "0.00"), ("0.000000000001", "0", "100.00"), ("-5", "100", "0.00"),
            ("1000000000000000", "0.000000000001", "100000000000000000000000000000.00"),
        ])
    func percent(settled: String, amount: String, expected: String) throws {
        #expect(usedPercent(settled: try #require(Amount(settled)), amount: try #require(Amount(amount))) == expected)
    }

    @Test("What is reached and what is shown agree, whatever the amounts")
    func agreement() throws {
        var random = Seeded("thresholds")
        for _ in 0..<4000 {
            let amount = Amount(pico: Int128(random.magnitude(upTo: .max)))
            // Near a threshold as often as anywhere.
            let percent = Int128.random(in: 1...130, using: &random)
            let settled =
                random.chance(0.5)
                ? Amount(pico: max(0, amount.pico * percent / 100 + Int128.random(in: -1...1, using: &random)))
                : Amount(pico: Int128(random.magnitude(upTo: .max)))
            let hits = Set(reached(settled: settled, amount: amount, thresholds: Array(1...200)))
            let shown = try #require(Amount(usedPercent(settled: settled, amount: amount)))
            for threshold in 1...200 {
                guard hits.contains(threshold) == (shown >= Amount(whole: Int64(threshold))) else {
                    Issue.record("\(settled) of \(amount) at \(threshold): \(shown), seed \(random.seed)")
                    return
                }
            }
        }
    }

    @Test(
        "Louder the nearer to the end",
        arguments: [
            (1, .info), (70, .info), (79, .info), (80, .warning), (89, .warning), (90, .error), (99, .error), (100, .critical),
            (250, .critical),
        ] as [(Int, Severity)])
    func severity(threshold: Int, severity: Severity) { #expect(Severity(threshold: threshold) == severity) }
}
