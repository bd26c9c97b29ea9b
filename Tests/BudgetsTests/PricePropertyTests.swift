// The law of holds: whatever the price list, a call that keeps within what it announced costs no more than was held.

import Budgets
import Testing

struct PricePropertyTests {
    private static let now = Instant(seconds: 1_717_200_000)
    private static let inputKinds = [
        "input", "cached_input", "cache_write_5m", "cache_write_1h", "audio_input", "input_image", "input_audio",
        "cached_input_audio", "cache_write_30m",
    ]
    private static let outputKinds = ["output", "audio_output", "output_reasoning", "reasoning_output", "output_audio"]

    private func rates(_ random: inout Seeded) -> [Rate] {
        (0..<Int.random(in: 1...24, using: &random)).compactMap { number in
            let kinds = Self.inputKinds + Self.outputKinds + ["request", "input", "output"]
            let since = Self.now.adding(seconds: Int64.random(in: -100...20, using: &random))
            return Rate(
                priceID: PriceID(high: 0, low: UInt64(number)), kind: kinds[Int.random(in: 0..<kinds.count, using: &random)],
                serviceTier: random.chance(0.8) ? "standard" : "batch",
                contextFrom: random.chance(0.6) ? 0 : random.magnitude(upTo: 300_000),
                amountPerMillion: Money(pico: Int128(random.magnitude(upTo: 1_000_000_000_000)) * 1_000_000),
                validFrom: since, validTo: random.chance(0.5) ? nil : since.adding(seconds: Int64.random(in: 1...200, using: &random)))
        }
    }

    /// Some of the kinds, together at most `total`.
    private func spread(_ total: Int64, over kinds: [String], _ random: inout Seeded) -> [(kind: UsageKind, quantity: Int64)] {
        var left = random.chance(0.5) ? total : Int64.random(in: 0...total, using: &random)
        return kinds.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random)).map { kind in
            let part = random.chance(0.4) ? left : Int64.random(in: 0...left, using: &random)
            left -= part
            return (kind, part)
        }
    }

    @Test("A hold is never less than the cost of a settlement within its bounds")
    func holdCovers() throws {
        var random = Seeded("hold covers cost")
        var priced = 0
        var tight = 0
        for _ in 0..<6000 {
            let sheet = PriceSheet(rates: rates(&random), contracted: random.chance(0.3) ? rates(&random) : [])
            let input = random.magnitude(upTo: 1_000_000)
            let output = random.magnitude(upTo: 100_000)
            guard
                case .success(let hold) = sheet.hold(
                    inputTokens: input, maxOutputTokens: output, serviceTier: "standard", at: Self.now)
            else { continue }
            for _ in 0..<4 {
                var quantities = spread(input, over: Self.inputKinds, &random) + spread(output, over: Self.outputKinds, &random)
                if random.chance(0.3) { quantities.append(("request", 1)) }
                let usage = try #require(Usage(quantities))
                guard case .success(let cost) = sheet.cost(of: usage, serviceTier: "standard", at: Self.now) else { continue }
                #expect(cost.total <= hold, "\(usage.quantities), \(input) + \(output), seed \(random.seed)")
                priced += 1
                tight += cost.total == hold && hold > .zero ? 1 : 0
            }
        }
        // The property is about something: many usages had a price, and some used up their hold to the last digit.
        #expect(priced > 1500 && tight > 30, "priced \(priced), tight \(tight), seed \(random.seed)")
    }

    @Test("The lines sum to the total, and a million times each is quantity times rate")
    func exact() throws {
        var random = Seeded("cost is exact")
        for _ in 0..<1500 {
            let sheet = PriceSheet(rates: rates(&random))
            let usage = try #require(
                Usage(
                    (Self.inputKinds + Self.outputKinds).map {
                        ($0, random.chance(0.5) ? 0 : random.magnitude(upTo: Usage.maximumQuantity))
                    }))
            let cost: Cost
            switch sheet.cost(of: usage, serviceTier: "standard", at: Self.now) {
            case .success(let full): cost = full
            case .failure(let unpriced):
                cost = unpriced.priced
                #expect(unpriced.kinds.allSatisfy { kind in !cost.lines.contains { $0.kind == kind } }, "seed \(random.seed)")
                #expect(unpriced.kinds.allSatisfy { usage[$0] ?? 0 > 0 }, "seed \(random.seed)")
            }
            #expect(cost.total == cost.lines.reduce(.zero) { $0 + $1.cost }, "seed \(random.seed)")
            for line in cost.lines {
                let product = line.amountPerMillion.multiplied(by: line.quantity)
                #expect(line.cost.multiplied(by: 1_000_000) == product, "seed \(random.seed)")
                #expect(line.quantity == usage[line.kind] ?? 1, "seed \(random.seed)")
            }
        }
    }
}
