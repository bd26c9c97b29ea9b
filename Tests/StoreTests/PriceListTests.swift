// What a price list says is what is billed: amounts must come through exactly, and what cannot must be seen.
import Budgets
import Testing

@testable import Store

@Suite struct PriceListTests {
    /// A LiteLLM file with one model of these fields.
    private func liteLLM(_ fields: String) throws -> PriceList {
        try PriceList(
            json: Array(
                #"{"sample_spec":{"litellm_provider":"one of …","input_cost_per_token":0.0},"m":{"litellm_provider":"openai","mode":"chat",\#(fields)}}"#
                    .utf8), name: "test")
    }

    @Test(
        "A field becomes a slot and an exact amount per million",
        arguments: [
            (#""input_cost_per_token":1.5e-07"#, "input", "standard", 0, "0.15"),
            (#""output_cost_per_token":0.00006"#, "output", "standard", 0, "60"),
            (#""input_cost_per_token":1e-12"#, "input", "standard", 0, "0.000001"),
            (#""input_cost_per_token":0.0"#, "input", "standard", 0, "0"),
            (#""cache_read_input_token_cost":2.5e-07"#, "cached_input", "standard", 0, "0.25"),
            (#""input_cost_per_token_cache_hit":2.5e-07"#, "cached_input", "standard", 0, "0.25"),
            (#""cache_creation_input_token_cost":3.75e-06"#, "cache_write_5m", "standard", 0, "3.75"),
            (#""cache_creation_input_token_cost_above_1hr":6e-06"#, "cache_write_1h", "standard", 0, "6"),
            (#""cache_creation_input_token_cost_above_1hr_above_200k_tokens":1.2e-05"#, "cache_write_1h", "standard", 200_001, "12"),
            (#""input_cost_per_token_above_128k_tokens":1e-06"#, "input", "standard", 128_001, "1"),
            (#""output_cost_per_token_above_272k_tokens_priority":2e-06"#, "output", "priority", 272_001, "2"),
            (#""cache_read_input_token_cost_above_512k_tokens":1e-06"#, "cached_input", "standard", 512_001, "1"),
            (#""input_cost_per_token_batches":1e-06"#, "input", "batch", 0, "1"),
            (#""input_cost_per_token_flex":1e-06"#, "input", "flex", 0, "1"),
            (#""input_cost_per_image":0.04"#, "image_read", "standard", 0, "40000"),
            (#""input_cost_per_request":0.005"#, "request", "standard", 0, "5000"),
            (
                #""search_context_cost_per_query":{"search_context_size_low":0.01,"search_context_size_high":0.01}"#, "web_search_request",
                "standard", 0, "10000"
            ),
            (#""tiered_pricing":[{"range":[0,256000.0],"input_cost_per_token":5e-08}]"#, "input", "standard", 0, "0.05"),
            (#""tiered_pricing":[{"range":[2.56e5,1e6],"input_cost_per_token":5e-08}]"#, "input", "standard", 256_001, "0.05"),
        ])
    func field(json: String, kind: String, tier: String, from: Int64, amount: String) throws {
        let list = try liteLLM(json)
        #expect(list.notes == [])
        #expect(list.models.map(\.name) == ["m"])
        let expected = ListedRate(
            slot: .init(kind: kind, serviceTier: tier, contextFrom: from), amountPerMillion: try #require(Amount(amount)))
        #expect(list.models[0].rates == [expected])
    }

    @Test(
        "What cannot be taken over exactly is reported, never rounded or guessed",
        arguments: [
            (#""input_cost_per_token":1.0000000000001e-07"#, PriceNote.Reason.tooFine),
            (#""input_cost_per_token":1e-13"#, .tooFine),
            (#""input_cost_per_token":-1e-06"#, .outOfRange),
            (#""input_cost_per_token":2000"#, .outOfRange),
            (#""input_cost_per_token":"1e-06""#, .malformed),
            (#""input_cost_per_token_balanced":1e-06"#, .unknownField),
            (#""output_cost_per_second_4k":0.5"#, .unknownField),
            (#""telepathy_cost_per_thought":1"#, .unknownField),
            (#""off_peak_pricing":{}"#, .notImported),
            (#""provider_specific_entry":{"us":1.1}"#, .notImported),
            (#""cache_read_input_token_cost":1e-06,"input_cost_per_token_cache_hit":2e-06"#, .conflict),
            (#""input_cost_per_token":1e-06,"cache_read_input_token_cost":2e-06"#, .suspicious),
            (#""input_cost_per_token":1e-06,"input_cost_per_token_batches":2e-06"#, .suspicious),
            (#""input_cost_per_token":2e-06,"input_cost_per_token_priority":1e-06"#, .suspicious),
            (#""input_cost_per_token":3e-06,"output_cost_per_token":1e-06"#, .suspicious),
            (#""input_cost_per_token":3e-06,"cache_creation_input_token_cost":2e-06"#, .suspicious),
            (#""input_cost_per_token":3e-06,"cache_creation_input_token_cost":3.6e-05"#, .suspicious),
            (#""input_cost_per_token":1e-06,"cache_creation_input_token_cost_above_1hr":1.2e-05"#, .suspicious),
            (#""search_context_cost_per_query":{"search_context_size_low":0.005,"search_context_size_high":0.012}"#, .notImported),
        ])
    func note(json: String, reason: PriceNote.Reason) throws {
        #expect(try liteLLM(json).notes.map(\.reason) == [reason])
    }

    @Test("What two fields contradict each other about is unknown")
    func contradicted() throws {
        let fields = #""cache_read_input_token_cost":0,"input_cost_per_token_cache_hit":2e-06,"input_cost_per_token":2e-06"#
        #expect(try liteLLM(fields).models[0].rates.map(\.slot.kind) == ["input"])
    }

    @Test("Missing and zero are different, and no limit is invented from the ambiguous max_tokens")
    func missing() throws {
        let model = try liteLLM(#""input_cost_per_token":0,"max_tokens":4096,"max_input_tokens":1e6"#).models[0]
        #expect(model.amount(.init(kind: "input")) == .zero)
        #expect(model.amount(.init(kind: "output")) == nil)
        #expect(model.maxOutputTokens == nil)
        #expect(model.maxInputTokens == 1_000_000)
    }

    @Test("Real relations between prices are no suspicion, nor is what is free")
    func plausible() throws {
        let list = try liteLLM(
            #""input_cost_per_token":3e-06,"output_cost_per_token":3e-06,"cache_read_input_token_cost":3e-06,"#
                + #""cache_creation_input_token_cost":4.5e-06,"cache_creation_input_token_cost_above_1hr":7.5e-06"#)
        #expect(list.notes == [])
        #expect(try liteLLM(#""input_cost_per_token":3e-06,"output_cost_per_token":0,"cache_creation_input_token_cost":0.0"#).notes == [])
        #expect(try liteLLM(#""deprecation_date":"2026-11-30""#).models[0].deprecatedAt == Instant(rfc3339: "2026-11-30T00:00:00Z"))
        #expect(try liteLLM(#""deprecation_date":"soon""#).models[0].deprecatedAt == nil)
    }

    @Test(
        "What is no price list is refused",
        arguments: [
            "", "[]", "{}", #"{"m":{"mode":"chat"}}"#, #"{"format":"bursar-prices-9"}"#, #"{"m":{},"m":{}}"#,
            #"{"format":"bursar-prices-1","currency":"EUR","as_of":"2026-11-21","models":[]}"#,
            #"{"format":"bursar-prices-1","currency":"USD","as_of":"2026-11-21","models":[{"name":"m","provider":"p","rates":[{"input":1}]}]}"#,
            #"{"format":"bursar-prices-1","currency":"USD","as_of":"2026-11-21","models":[{"name":"m","provider":"p","rates":[{"input":"0.0000001"}]}]}"#,
            #"{"format":"bursar-prices-1","currency":"USD","as_of":"2026-11-21","models":[{"name":"m","provider":"p","rates":[{"input":"1"},{"input":"2"}]}]}"#,
        ])
    func refused(text: String) {
        #expect(throws: PriceListError.self) { try PriceList(json: Array(text.utf8), name: "test") }
    }
}

@Suite struct PriceChangesTests {
    private let now = Instant(seconds: 1_800_000_000)

    private func list(_ amount: String) throws -> PriceList {
        try PriceList(json: Array(#"{"m":{"litellm_provider":"openai","input_cost_per_token":\#(amount)}}"#.utf8), name: "test")
    }

    private func inForce(_ amount: String, since: Instant = Instant(seconds: 1)) throws -> PricesInForce {
        let open = PricesInForce.Open(id: PriceID(high: 0, low: 7), amountPerMillion: try #require(Amount(amount)), validFrom: since)
        return PricesInForce(
            models: ["m": .init(provider: "openai", maxInputTokens: nil, maxOutputTokens: nil)], rates: ["m": [.init(kind: "input"): open]])
    }

    @Test(
        "A change up to three times is written; a larger one, and one from or to free, waits for a person",
        arguments: [
            ("1", "1e-06", 0, 0), ("1", "3e-06", 1, 0), ("3", "1e-06", 1, 0), ("1", "3.000001e-06", 0, 1), ("3.000001", "1e-06", 0, 1),
            ("0", "1e-06", 0, 1), ("1", "0", 0, 1), ("0", "0", 0, 0),
        ])
    func plausible(old: String, new: String, changed: Int, held: Int) throws {
        let changes = PriceChanges(from: try inForce(old), to: try list(new), at: now)
        #expect(changes.changedRates.count == changed)
        #expect(changes.heldBack.count == held)
        #expect(changes.isEmpty == (changed == 0))
        let accepted = PriceChanges(from: try inForce(old), to: try list(new), at: now, accepting: ["m"])
        #expect(accepted.changedRates.count == changed + held)
    }

    @Test("What is new is held against the list where it is a contract, and against the model's other rates")
    func basis() throws {
        let contract = PricesInForce(
            models: ["m": .init(provider: "openai", maxInputTokens: nil, maxOutputTokens: nil)], rates: [:],
            list: ["m": [.init(kind: "input"): Money(whole: 10)]])
        let cheap = PriceChanges(from: contract, to: try list("1e-06"), at: now)
        #expect(cheap.heldBack.map(\.reason) == [.tooLarge] && cheap.heldBack.map(\.current) == [Money(whole: 10)])
        #expect(PriceChanges(from: contract, to: try list("8e-06"), at: now).newRates.count == 1)
        let odd = try PriceList(
            json: Array(#"{"m":{"litellm_provider":"p","input_cost_per_token":1e-06,"cache_read_input_token_cost":2e-06}}"#.utf8),
            name: "test")
        let changes = PriceChanges(from: PricesInForce(models: [:], rates: [:]), to: odd, at: now)
        #expect(changes.newRates.map(\.slot.kind) == ["input"] && changes.heldBack.map(\.reason) == [.suspicious])
        #expect(PriceChanges(from: PricesInForce(models: [:], rates: [:]), to: odd, at: now, accepting: ["m"]).newRates.count == 2)
    }

    @Test("A rate that begins only later is not overtaken")
    func later() throws {
        let changes = PriceChanges(from: try inForce("1", since: now), to: try list("2e-06"), at: now)
        #expect(changes.heldBack.map(\.reason) == [.laterRate])
        #expect(changes.isEmpty)
    }
}
