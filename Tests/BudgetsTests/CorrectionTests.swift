// Taking an entry back and booking it again must leave exactly what it should have been, whatever the entry.

import Budgets
import Testing

struct CorrectionTests {
    private static let at = Instant(seconds: 1_717_200_000)
    private static let kinds = ["input", "cached_input", "output", "request"]

    private func sheet(_ random: inout Seeded, from id: UInt64) -> PriceSheet {
        PriceSheet(
            rates: Self.kinds.indices.compactMap { index in
                Rate(
                    priceID: PriceID(high: 1, low: id + UInt64(index)), kind: Self.kinds[index],
                    amountPerMillion: Money(pico: Int128(random.magnitude(upTo: 100_000_000)) * 1_000_000), validFrom: Instant(seconds: 0))
            })
    }

    private func draw(_ budget: UInt64, _ quantity: Amount, burst: Amount) -> Draw {
        Draw(
            counter: CounterID(budget: BudgetID(high: 2, low: budget), subject: "", periodStart: Instant(seconds: 0)), quantity: quantity,
            bursts: burst == .zero ? [] : [BurstShare(burst: BurstID(high: 3, low: budget), quantity: burst)], amount: quantity)
    }

    @Test("The reversal cancels the entry in every line and draw; what is booked again is the new price, and only dollars move")
    func exact() throws {
        var random = Seeded("corrections")
        var corrected = 0
        for _ in 0..<2000 {
            let (old, new) = (sheet(&random, from: 0), sheet(&random, from: 100))
            let usage = try #require(Usage(Self.kinds.dropLast().map { ($0, random.magnitude(upTo: 1_000_000)) }))
            let cost = try old.cost(of: usage, serviceTier: "standard", at: Self.at).get()
            let lines = cost.lines.map { EntryLine(kind: $0.kind, quantity: $0.quantity, price: $0.priceID, cost: $0.cost) }
            let draws = [
                draw(1, cost.total, burst: random.chance(0.3) ? cost.total : .zero),
                draw(2, Amount(whole: usage.totalTokens), burst: .zero),
            ]
            let call = BookedCall(
                model: "m", serviceTier: "standard", occurredAt: Self.at, lines: lines.shuffled(using: &random), cost: cost.total,
                overage: .zero, draws: draws)
            guard case .unchanged = call.repriced(with: old, money: [BudgetID(high: 2, low: 1)]) else {
                Issue.record("the same prices change something, seed \(random.seed)")
                continue
            }
            let expected = try new.cost(of: usage, serviceTier: "standard", at: Self.at).get().total
            guard case .corrected(let correction) = call.repriced(with: new, money: [BudgetID(high: 2, low: 1)]) else { continue }
            corrected += 1
            #expect(correction.difference == expected - cost.total, "seed \(random.seed)")
            #expect(correction.replacement.lines.reduce(.zero) { $0 + $1.cost } == expected, "seed \(random.seed)")
            for line in lines {
                let back = correction.reversal.lines.first { $0.kind == line.kind }
                #expect(back?.cost == -line.cost && back?.quantity == -line.quantity && back?.price == line.price, "seed \(random.seed)")
            }
            for (index, drawn) in draws.enumerated() {
                let (back, again) = (correction.reversal.draws[index], correction.replacement.draws[index])
                #expect(back.quantity == -drawn.quantity && back.bursts.map(\.quantity) == drawn.bursts.map { -$0.quantity })
                #expect(again.quantity == (index == 0 ? expected : drawn.quantity) && again.bursts == drawn.bursts, "seed \(random.seed)")
            }
        }
        #expect(corrected > 1500, "seed \(random.seed)")
    }

    @Test("What still has no price is left alone")
    func unpriced() {
        let call = BookedCall(
            model: "m", serviceTier: "standard", occurredAt: Self.at,
            lines: [EntryLine(kind: "input", quantity: 5, price: nil, cost: Money("0.5")!)], cost: Money("0.5")!, overage: .zero, draws: [])
        guard case .unpriced = call.repriced(with: PriceSheet(rates: []), money: []) else {
            Issue.record("an entry without a price was corrected")
            return
        }
    }
}
