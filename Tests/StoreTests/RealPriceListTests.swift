// The traps that LiteLLM's price file lays for whoever imports it, each on the real file: what is read here is what calls are billed at.
import Budgets
import Foundation
import Testing

@testable import Store

/// `../shared/data` lies beside a checkout of the project's own making only; elsewhere these tests say that they are skipped.
private let file = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../../shared/data/prices/litellm-1.106.2.json").standardized

@Suite(.enabled(if: FileManager.default.fileExists(atPath: file.path), "no ../shared/data beside the checkout"))
struct RealPriceListTests {
    private static let bytes = (try? Data(contentsOf: file)).map { Array($0) } ?? []
    private static let list = try? PriceList(json: bytes, name: "litellm")

    /// Each model's fields by another reader, which knows numbers only as binary floats.
    private let raw: [String: [String: Any]]
    private let list: PriceList
    private let models: [String: ListedModel]

    init() throws {
        raw = try #require(try JSONSerialization.jsonObject(with: Data(Self.bytes)) as? [String: [String: Any]])
        list = try #require(Self.list)
        models = Dictionary(uniqueKeysWithValues: list.models.map { ($0.name, $0) })
    }

    private func reasons(_ list: PriceList) -> [PriceNote.Reason: Int] {
        Dictionary(grouping: list.notes, by: \.reason).mapValues(\.count)
    }

    @Test("All models are read; what is no rate is a note, and every note is counted")
    func whole() {
        #expect(list.models.count == 4240 && raw.count == 4242)
        #expect(models["sample_spec"] == nil && models["fallback_generalizations"] == nil)
        #expect(reasons(list) == [.tooFine: 112, .unknownField: 245, .notImported: 315, .malformed: 13, .suspicious: 18])
        let batch = models["claude-haiku-5-5"]
        #expect(batch?.provider == "anthropic")
        #expect(batch?.amount(.init(kind: "cache_write_1h", contextFrom: 100_001))?.plain == "1")
        #expect(batch?.amount(.init(kind: "cached_input", serviceTier: "batch"))?.plain == "0.005")
    }

    @Test("1: amounts are the decimals of the text, to the last digit")
    func decimals() throws {
        // The file has one field a line, so its numbers can be found without any reader of JSON.
        let fields = ["input_cost_per_token": "input", "output_cost_per_token": "output", "cache_read_input_token_cost": "cached_input"]
        var (model, compared) = ("", 0)
        for line in String(decoding: Self.bytes, as: UTF8.self).split(separator: "\n") {
            if line.hasSuffix("\": {"), !line.hasPrefix("     ") { model = String(line.drop { $0 == " " }.dropFirst().dropLast(4)) }
            guard line.hasPrefix("        \""), let colon = line.range(of: "\": "), let listed = models[model],
                let kind = fields[String(line[line.index(line.startIndex, offsetBy: 9)..<colon.lowerBound])],
                let number = Decimal(string: String(line[colon.upperBound...].prefix { $0 != "," })),
                let amount = listed.amount(.init(kind: kind))
            else { continue }
            #expect(Decimal(string: amount.plain) == number * 1_000_000, "\(model) \(kind): \(line)")
            compared += 1
        }
        #expect(compared > 8_000, "most of the file was compared")
        #expect(models["gemini-2.5-pro"]?.amount(.init(kind: "cached_input"))?.plain == "0.125")
    }

    @Test("2: a price of 0 is free, a missing one is unknown")
    func zero() {
        for (field, kind) in [("input_cost_per_token", "input"), ("output_cost_per_token", "output")] {
            for (name, fields) in raw {
                guard let model = models[name], fields["tiered_pricing"] == nil else { continue }
                switch fields[field] as? Double {
                case 0: #expect(model.amount(.init(kind: kind)) == .zero, "\(name)")
                case nil: #expect(model.amount(.init(kind: kind)) == nil, "\(name)")
                default: #expect(model.amount(.init(kind: kind)) != .zero, "\(name)")
                }
            }
        }
    }

    @Test("3: what is cached has no price unless one is stated, and the report counts the models that lack which")
    func cache() throws {
        let missing = ["input", "output", "cached_input", "cache_write_5m"].map { list.modelsLacking($0) }
        #expect(missing == [791, 809, 1941, 2981])
        let model = try #require(
            list.models.first { $0.amount(.init(kind: "input")) != nil && $0.amount(.init(kind: "cached_input")) == nil })
        let rates = model.rates.enumerated().compactMap { index, rate in
            Rate(
                priceID: PriceID(high: 1, low: UInt64(index)), kind: rate.slot.kind, serviceTier: rate.slot.serviceTier,
                contextFrom: rate.slot.contextFrom, amountPerMillion: rate.amountPerMillion, validFrom: Instant(seconds: 0))
        }
        let cached = PriceSheet(rates: rates).cost(
            of: try #require(Usage([("cached_input", 5)])), serviceTier: "standard", at: Instant(seconds: 1))
        guard case .failure = cached else {
            Issue.record("\(model.name) bills cached input at a price that nobody stated")
            return
        }
    }

    @Test("4: an image that is made has its price under whichever name the list has it")
    func images() {
        var checked = 0
        for (name, fields) in raw where fields["mode"] as? String == "image_generation" {
            let (input, output) = (fields["input_cost_per_image"] as? Double, fields["output_cost_per_image"] as? Double)
            guard let made = output ?? input, let model = models[name], let amount = model.amount(.init(kind: "image_made")) else {
                continue
            }
            #expect(abs((Double(amount.plain) ?? -1) - made * 1_000_000) < 0.001, "\(name)")
            #expect(output != nil || model.amount(.init(kind: "image_read")) == nil, "\(name)")
            checked += 1
        }
        #expect(checked > 250)
        #expect(models["gemini-3-pro-image"]?.amount(.init(kind: "image_read"))?.plain == "1100")
        #expect(models["gemini-3-pro-image"]?.amount(.init(kind: "image_made"))?.plain == "134000")
    }

    @Test("5: the ambiguous max_tokens limits nothing")
    func maxTokens() {
        let ambiguous = raw.filter { $0.value["max_tokens"] != nil && $0.value["max_output_tokens"] == nil }
        #expect(ambiguous.count > 300 && ambiguous.keys.allSatisfy { models[$0]?.maxOutputTokens == nil })
        #expect(models["gpt-4o"]?.maxOutputTokens == 16_384)
    }

    @Test("6: what does not fit a model's other prices waits for a person, and so does a price four times as high as it was")
    func implausible() throws {
        let first = PriceChanges(from: PricesInForce(models: [:], rates: [:]), to: list, at: Instant(seconds: 1))
        #expect(first.heldBack.count == 18 && first.heldBack.allSatisfy { $0.reason == .suspicious })
        #expect(first.newModels.count == 4240 && first.newRates.count + 18 == list.models.reduce(0) { $0 + $1.rates.count })
        #expect(first.heldBack.contains { $0.change.model == "gemini-2.5-pro" && $0.change.slot.contextFrom == 200_001 })

        let rates = try #require(models["gpt-4o"]).rates.map { ($0.slot, $0.amountPerMillion) }
        let quarter = rates.map { slot, amount in
            let old = PricesInForce.Open(
                id: PriceID(high: 0, low: 1), amountPerMillion: Amount(pico: amount.pico / 4), validFrom: Instant(seconds: 0))
            return (slot, old)
        }
        let current = PricesInForce(models: [:], rates: ["gpt-4o": Dictionary(uniqueKeysWithValues: quarter)])
        let changes = PriceChanges(from: current, to: list, at: Instant(seconds: 1))
        let held = changes.heldBack.filter { $0.change.model == "gpt-4o" }
        #expect(held.count == rates.count && held.allSatisfy { $0.reason == .tooLarge } && changes.changedRates.isEmpty)
    }

    @Test("7: a price by the hour of the day is reported, and the dearest hour is billed")
    func hours() {
        let models = raw.filter { $0.value["off_peak_pricing"] != nil }
        #expect(models.count == 10)
        for (name, fields) in models {
            #expect(list.notes.contains(PriceNote(model: name, field: "off_peak_pricing", reason: .notImported)), "\(name)")
            let peak = fields["input_cost_per_token"] as? Double ?? 0
            let cheap = (fields["off_peak_pricing"] as? [String: Any])?["input_cost_per_token"] as? Double ?? .infinity
            let billed = Double(self.models[name]?.amount(.init(kind: "input"))?.plain ?? "") ?? -1
            #expect(peak > cheap && abs(billed - peak * 1_000_000) < 1e-9, "\(name)")
        }
    }

    @Test("8: a region's or a reseller's name of a model is a model of its own, with its own prices and its own provider")
    func regions() throws {
        let (home, europe, azure) = (models["gpt-4o"], models["azure/eu/gpt-4o"], models["azure/gpt-4o"])
        #expect(home?.amount(.init(kind: "input"))?.plain == "2.5" && europe?.amount(.init(kind: "input"))?.plain == "2.75")
        #expect(home?.provider == "openai" && europe?.provider == "azure" && azure?.provider == "azure")
        #expect(Set(list.models.map(\.provider)).isDisjoint(with: ["bedrock_converse", "vertex_ai-language-models"]))
    }

    @Test("9: another edition of the file ends what it changes and begins it anew; what it does not change stays as it is")
    func history() throws {
        let now = Instant(seconds: 1_800_000_000)
        var rates: [String: [ListedRate.Slot: PricesInForce.Open]] = [:]
        for model in list.models {
            for rate in model.rates {
                rates[model.name, default: [:]][rate.slot] = .init(
                    id: PriceID(high: 0, low: 1), amountPerMillion: rate.amountPerMillion, validFrom: Instant(seconds: 0))
            }
        }
        let known = list.models.map {
            (
                $0.name,
                PricesInForce.Model(
                    provider: $0.provider, maxInputTokens: $0.maxInputTokens, maxOutputTokens: $0.maxOutputTokens,
                    deprecatedAt: $0.deprecatedAt)
            )
        }
        let current = PricesInForce(models: Dictionary(uniqueKeysWithValues: known), rates: rates)
        let same = PriceChanges(from: current, to: list, at: now)
        #expect(same.isEmpty && same.heldBack.isEmpty && same.unchangedRates == list.models.reduce(0) { $0 + $1.rates.count })

        let edited = String(decoding: Self.bytes, as: UTF8.self).replacing(
            "\"input_cost_per_token\": 2.5e-06", with: "\"input_cost_per_token\": 2.4e-06")
        let next = PriceChanges(from: current, to: try PriceList(json: Array(edited.utf8), name: "edited"), at: now)
        #expect(next.changedRates.count > 10 && next.newRates.isEmpty && next.newModels.isEmpty)
        #expect(next.changedRates.allSatisfy { $0.old?.amountPerMillion == Money("2.5") && $0.amountPerMillion == Money("2.4") })
    }
}
