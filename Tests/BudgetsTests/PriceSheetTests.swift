// Design §6 as tables: which rate applies, what a usage costs, what is unpriced, what is held.

import Budgets
import Testing

private let june = Instant(seconds: 1_717_200_000)  // 2024-06-01
private let july = Instant(seconds: 1_719_792_000)  // 2024-07-01

private func rate(
    _ number: UInt64, _ kind: UsageKind, _ perMillion: String, tier: String = "standard", from band: Int64 = 0, since: Instant = june,
    until: Instant? = nil
) -> Rate {
    guard let amount = Money(perMillion),
        let rate = Rate(
            priceID: PriceID(high: 0, low: number), kind: kind, serviceTier: tier, contextFrom: band, amountPerMillion: amount,
            validFrom: since, validTo: until)
    else { preconditionFailure("a test's own rate") }
    return rate
}

private func counted(_ quantities: KeyValuePairs<UsageKind, Int64>) throws -> Usage {
    try #require(Usage(quantities.map { (kind: $0.key, quantity: $0.value) }))
}

struct PriceSheetTests {
    private let gpt = PriceSheet(rates: [
        rate(1, "input", "2.5"), rate(2, "cached_input", "1.25"), rate(3, "output", "10"), rate(4, "input", "1.25", tier: "batch"),
    ])
    private let banded = PriceSheet(rates: [
        rate(1, "input", "1.25"), rate(2, "input", "2.5", from: 200_000), rate(3, "output", "10"), rate(4, "output", "15", from: 200_000),
        rate(5, "cached_input", "0.125"), rate(6, "cache_write_1h", "4"), rate(7, "request", "3500"),
    ])

    @Test("A usage costs its lines, exactly")
    func cost() throws {
        let cost = try gpt.cost(of: counted(["output": 312, "input": 1200, "cached_input": 0]), serviceTier: "standard", at: july).get()
        #expect(cost.total == Money("0.00612"))
        #expect(cost.lines.map(\.kind) == ["input", "output"])
        #expect(cost.lines.map(\.cost) == [Money("0.003"), Money("0.00312")])
        #expect(cost.lines.map(\.priceID.low) == [1, 3])
        #expect(cost.lines.map(\.amountPerMillion) == [Money("2.5"), Money("10")])
        #expect(cost.lines.map(\.quantity) == [1200, 312])
    }

    @Test("One unit of the smallest rate is one pico-dollar")
    func smallest() throws {
        let sheet = PriceSheet(rates: [rate(1, "input", "0.000001")])
        #expect(try sheet.cost(of: counted(["input": 1]), serviceTier: "standard", at: june).get().total == Money(pico: 1))
        #expect(try sheet.cost(of: counted(["input": 1_000_000_000_000]), serviceTier: "standard", at: june).get().total == Money("1"))
    }

    @Test("A kind, tier or time without a rate is unpriced and names its kinds; nothing used of it is fine; 0 is free")
    func unpriced() throws {
        let audio = try counted(["input": 1000, "audio_output": 5, "audio_input": 7])
        #expect(throws: UnpricedUsage.self) { try gpt.cost(of: audio, serviceTier: "standard", at: june).get() }
        guard case .failure(let unpriced) = gpt.cost(of: audio, serviceTier: "standard", at: june) else { return }
        #expect(unpriced.kinds == ["audio_input", "audio_output"])
        #expect(unpriced.serviceTier == "standard")
        #expect(unpriced.priced.total == Money("0.0025"))
        #expect(
            try gpt.cost(of: counted(["input": 1000, "audio_input": 0]), serviceTier: "standard", at: june).get().total == Money("0.0025"))
        // No fallback from a tier to the standard one.
        #expect(try gpt.cost(of: counted(["input": 1000]), serviceTier: "batch", at: june).get().total == Money("0.00125"))
        #expect(kinds(gpt.cost(of: try counted(["input": 1, "output": 1]), serviceTier: "batch", at: june)) == ["output"])
        #expect(kinds(gpt.cost(of: try counted(["input": 1]), serviceTier: "priority", at: june)) == ["input"])
        #expect(kinds(gpt.cost(of: try counted(["input": 1]), serviceTier: "standard", at: june.adding(seconds: -1))) == ["input"])
        #expect(kinds(PriceSheet(rates: []).cost(of: try counted(["input": 1]), serviceTier: "standard", at: june)) == ["input"])
        let free = PriceSheet(rates: [rate(1, "input", "0"), rate(2, "output", "0")])
        #expect(try free.cost(of: counted(["input": 5000, "output": 9]), serviceTier: "standard", at: june).get().total == .zero)
        #expect(try free.hold(inputTokens: 5000, maxOutputTokens: 9, serviceTier: "standard", at: june).get() == .zero)
    }

    @Test(
        "A part without a rate of its own costs what the whole does; a cached input without one is unpriced",
        arguments: [
            ("input_audio", "input", "0.0025"), ("input_video_token", "input", "0.0025"), ("cached_input_audio", "cached_input", "0.00125"),
            ("reasoning_output", "output", "0.01"), ("output_image_token", "output", "0.01"), ("cache_write_1h", nil, nil),
            ("cache_write_30m", nil, nil), ("web_search_request", nil, nil),
        ] as [(UsageKind, UsageKind?, String?)])
    func parts(kind: UsageKind, whole: UsageKind?, expected: String?) throws {
        let usage = try counted([kind: 1000])
        guard let expected else { return #expect(kinds(gpt.cost(of: usage, serviceTier: "standard", at: june)) == [kind]) }
        let cost = try gpt.cost(of: usage, serviceTier: "standard", at: june).get()
        #expect(cost.total == Money(expected) && cost.lines.map(\.kind) == [kind] && Usage.whole(of: kind) == whole)
        let apart = PriceSheet(rates: gpt.list + [rate(9, kind, "40")])
        #expect(try apart.cost(of: usage, serviceTier: "standard", at: june).get().total == Money("0.04"))
        let uncached = PriceSheet(rates: [rate(1, "input", "1"), rate(2, "output", "1")])
        #expect(kinds(uncached.cost(of: try counted(["cached_input": 1]), serviceTier: "standard", at: june)) == ["cached_input"])
    }

    private func kinds<Success>(_ result: Result<Success, UnpricedUsage>) -> [UsageKind]? {
        if case .failure(let unpriced) = result { unpriced.kinds } else { nil }
    }

    @Test(
        "All of a call is priced in the band that its input tokens of all kinds reach",
        arguments: [
            (199_999, 0, "0.26149875"), (200_000, 0, "0.5155"), (100_000, 99_999, "0.148999875"), (100_000, 100_000, "0.278"),
        ] as [(Int64, Int64, String)])
    func bands(input: Int64, cached: Int64, expected: String) throws {
        let usage = try counted(["input": input, "cached_input": cached, "output": 800, "request": 1])
        #expect(try banded.cost(of: usage, serviceTier: "standard", at: june).get().total == Money(expected))
    }

    @Test("A request is charged where it has a price, stated or not, and never twice")
    func request() throws {
        let fee = try #require(Money("0.0035"))
        for stated in [try counted([:]), try counted(["request": 1])] {
            let cost = try banded.cost(of: stated, serviceTier: "standard", at: june).get()
            #expect(cost.total == fee)
            #expect(cost.lines.map(\.kind) == ["request"])
        }
        #expect(try banded.cost(of: counted(["request": 0]), serviceTier: "standard", at: june).get().total == .zero)
        #expect(
            try banded.cost(of: counted(["output": 1, "input": 1]), serviceTier: "standard", at: june).get().lines.map(\.kind) == [
                "input", "output", "request",
            ])
        #expect(kinds(gpt.cost(of: try counted(["request": 1]), serviceTier: "standard", at: june)) == ["request"])
        #expect(try gpt.cost(of: counted([:]), serviceTier: "standard", at: june).get().lines.isEmpty)
    }

    @Test("The rate of the time applies, the newest of several, and a contracted one before all list prices")
    func precedence() throws {
        let list = [
            rate(1, "input", "3", until: july), rate(2, "input", "2", since: july), rate(3, "input", "9", from: 1000, since: july),
            rate(0, "input", "2.2", since: july.adding(seconds: 60)),
        ]
        func price(_ sheet: PriceSheet, _ tokens: Int64, _ instant: Instant) throws -> UInt64? {
            try sheet.cost(of: counted(["input": tokens]), serviceTier: "standard", at: instant).get().lines.first?.priceID.low
        }
        let sheet = PriceSheet(rates: list.reversed())
        #expect(try price(sheet, 10, Instant(microseconds: july.microseconds - 1)) == 1)
        #expect(try price(sheet, 10, july) == 2)
        #expect(try price(sheet, 1000, july) == 3)
        #expect(try price(sheet, 10, july.adding(seconds: 60)) == 0)
        let contract = PriceSheet(rates: list, contracted: [rate(5, "input", "1", since: july, until: july.adding(seconds: 60))])
        #expect(try price(contract, 10, june) == 1)
        #expect(try price(contract, 10, july) == 5)
        #expect(try price(contract, 1000, july) == 5)
        #expect(try price(contract, 10, july.adding(seconds: 60)) == 0)
    }

    @Test("A hold takes the dearest input and output kinds within reach, and one request")
    func hold() throws {
        func hold(_ sheet: PriceSheet, _ input: Int64, _ output: Int64) throws -> String {
            try sheet.hold(inputTokens: input, maxOutputTokens: output, serviceTier: "standard", at: june).get().plain
        }
        #expect(try hold(gpt, 1200, 800) == "0.011")
        #expect(try hold(banded, 1000, 800) == "0.0155")
        #expect(try hold(banded, 200_000, 800) == "0.8155")
        #expect(try hold(banded, 0, 0) == "0.0035")
        // The lower band is the dearer one: the call may stay in it.
        let odd = PriceSheet(rates: [rate(1, "input", "5"), rate(2, "input", "1", from: 100), rate(3, "output", "1")])
        #expect(try hold(odd, 1000, 0) == "0.005")
    }

    @Test("A call whose plain input or output has no price has no hold")
    func unpricedHold() {
        let sheet = PriceSheet(rates: [rate(1, "cached_input", "1"), rate(2, "output_audio", "1"), rate(3, "input", "1", tier: "batch")])
        #expect(kinds(sheet.hold(inputTokens: 1, maxOutputTokens: 1, serviceTier: "standard", at: june)) == ["input", "output"])
        #expect(kinds(sheet.hold(inputTokens: 1, maxOutputTokens: 0, serviceTier: "standard", at: june)) == ["input"])
        #expect(kinds(sheet.hold(inputTokens: 1, maxOutputTokens: 1, serviceTier: "batch", at: june)) == ["output"])
        #expect(kinds(sheet.hold(inputTokens: 1, maxOutputTokens: 0, serviceTier: "batch", at: june)) == nil)
        #expect(kinds(sheet.hold(inputTokens: 1, maxOutputTokens: 0, serviceTier: "none", at: june)) == ["input"])
    }

    @Test(
        "Rates that could not be exact, or make no sense, are refused",
        arguments: [
            ("0.0000001", 0, "input", 60), ("-1", 0, "input", 60), ("1000000000000.000001", 0, "input", 60), ("1", -1, "input", 60),
            ("1", 0, "Input", 60), ("1", 0, "", 60), ("1", 0, "input", 0), ("1", 0, "input", -1),
        ] as [(String, Int64, String, Int64)])
    func refusedRates(amount: String, band: Int64, kind: String, seconds: Int64) throws {
        func make(_ amount: String, _ band: Int64, _ kind: String, _ seconds: Int64) throws -> Rate? {
            Rate(
                priceID: PriceID(high: 0, low: 0), kind: kind, contextFrom: band, amountPerMillion: try #require(Money(amount)),
                validFrom: june, validTo: june.adding(seconds: seconds))
        }
        #expect(try make("0.000001", 0, "input", 60) != nil)
        #expect(try make("1000000000000", 0, "input", 60) != nil)
        #expect(try make(amount, band, kind, seconds) == nil)
    }
}

struct UsageTests {
    @Test("Kinds are sorted, and their names say what they count towards")
    func kinds() throws {
        let usage = try counted([
            "output": 3, "cache_write_5m": 20, "audio_input": 7, "input": 100, "request": 1, "cached_input": 1000, "search": 5,
        ])
        #expect(usage.quantities.map(\.kind) == ["audio_input", "cache_write_5m", "cached_input", "input", "output", "request", "search"])
        #expect(usage.totalTokens == 1135)
        #expect(usage.inputTokens == 1127)
        #expect(
            try counted(["request": 9, "query": 9, "image_made": 9, "audio_second_read": 9, "page": 9, "unheard_of": 5]).totalTokens == 5)
        #expect(try counted(["input_image_token": 3, "cached_input_audio": 4, "cache_write_audio": 5]).inputTokens == 12)
        #expect(usage["input"] == 100 && usage["reasoning"] == nil)
        #expect(Usage.isOutput("output") && Usage.isOutput("audio_output") && !Usage.isOutput("input") && !Usage.isOutput("outputs"))
        #expect(!Usage.isInput("request") && !Usage.isInput("inputs") && Usage.isInput("input_image"))
    }

    @Test("Equal whatever the order, different by a zero")
    func equality() throws {
        #expect(try counted(["a": 1, "b": 2]) == counted(["b": 2, "a": 1]))
        #expect(try counted(["a": 1, "b": 2]).hashValue == counted(["b": 2, "a": 1]).hashValue)
        #expect(try counted(["a": 1]) != counted(["a": 1, "b": 0]))
        #expect(try counted(["a": 1]) != counted(["a": 2]))
    }

    @Test("Impossible usage is refused")
    func refused() {
        #expect(Usage([("input", -1)]) == nil)
        #expect(Usage([("input", 1_000_000_000_001)]) == nil)
        #expect(Usage([("input", 1_000_000_000_000)]) != nil)
        #expect(Usage([("input", 1), ("output", 1), ("input", 1)]) == nil)
        for name in ["", "Input", "1input", "_input", "in put", "in-put", "é", String(repeating: "a", count: 51)] {
            #expect(Usage([(name, 1)]) == nil)
        }
        #expect(Usage([(String(repeating: "a", count: 50), 1)]) != nil)
        #expect(Usage((0..<32).map { ("k\($0)", 1) }) != nil)
        #expect(Usage((0..<33).map { ("k\($0)", 1) }) == nil)
    }
}
