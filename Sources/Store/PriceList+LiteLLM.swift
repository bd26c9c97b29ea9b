/// LiteLLM's price file: US dollars per single unit as JSON numbers, a field name a combination of kind, context band and service tier.
/// Its traps (missing is not 0, sample entry, mixed units, fields that nobody announced) are dealt with here and reported.
import Budgets
import JSON

extension PriceList {
    init(liteLLM object: JSON.Object, name: String) {
        var models: [ListedModel] = []
        var notes: [PriceNote] = []
        for member in object where member.name != "sample_spec" {
            var reader = LiteLLMModel(name: member.name)
            guard let model = reader.read(member.value, file: name) else {
                notes.append(PriceNote(model: member.name, field: "", reason: .malformed))
                continue
            }
            models.append(model)
            notes += reader.notes
        }
        self.init(models: models, notes: notes, title: name)
    }
}

/// Reads one model of LiteLLM's file.
private struct LiteLLMModel {
    let name: String
    var notes: [PriceNote] = []
    private var amounts: [ListedRate.Slot: Money] = [:]
    /// What fields contradict each other about: nobody knows it (law 9).
    private var contradicted: Set<ListedRate.Slot> = []

    init(name: String) { self.name = name }

    mutating func read(_ value: JSON, file: String) -> ListedModel? {
        guard let members = value.object, let provider = members["litellm_provider"]?.string, !provider.isEmpty,
            (1...200).contains(name.unicodeScalars.count)
        else { return nil }
        // An image model's "input" image is the one it makes (the dall-e family is listed either way), unless it has a price for that too.
        let makesInput = members["mode"]?.string == "image_generation" && members["output_cost_per_image"] == nil
        for member in members {
            if member.name == "tiered_pricing" {
                readTiers(member.value)
            } else if member.name == "search_context_cost_per_query" {
                readSearch(member.value)
            } else if let field = LiteLLMField(member.name, makesInput: makesInput) {
                take(field.slot, member.name, member.value)
            } else if LiteLLMField.isBillable(member.name) {
                let isKnown = LiteLLMField.notImported.contains(member.name)
                notes.append(PriceNote(model: name, field: member.name, reason: isKnown ? .notImported : .unknownField))
            }
        }
        return ListedModel(
            name: name, provider: Self.provider(provider), maxInputTokens: Self.tokens(members["max_input_tokens"]),
            maxOutputTokens: Self.tokens(members["max_output_tokens"]),
            deprecatedAt: members["deprecation_date"]?.string.flatMap { Instant(rfc3339: $0 + "T00:00:00Z") },
            rates: amounts.map { ListedRate(slot: $0.key, amountPerMillion: $0.value) },
            source: members["source"]?.string.map { String($0.prefix(500)) } ?? file)
    }

    private mutating func take(_ slot: ListedRate.Slot, _ field: String, _ value: JSON) {
        func note(_ reason: PriceNote.Reason) { notes.append(PriceNote(model: name, field: field, reason: reason)) }
        guard let text = value.numberText else {
            if value != .null { note(.malformed) }
            return
        }
        guard !text.hasPrefix("-") else { return note(.outOfRange) }
        // Twelve digits of a unit are six of a million: what does not fit here would not fit the price's column either.
        guard let perUnit = Amount(number: text) else { return note(.tooFine) }
        guard perUnit.pico <= Self.largestPerUnit else { return note(.outOfRange) }
        let amount = Money(pico: perUnit.pico * 1_000_000)
        if let earlier = amounts[slot], earlier != amount {
            contradicted.insert(slot)
            note(.conflict)
        }
        amounts[slot] = contradicted.contains(slot) ? nil : amount
    }

    /// `[{"range": [from, to], "input_cost_per_token": …}]`: the whole call at the rate of the band its input falls in.
    private mutating func readTiers(_ value: JSON) {
        for band in value.array ?? [] {
            guard let start = band["range"]?[0]?.numberText.flatMap({ Amount(number: $0) }), start >= .zero,
                start.pico % Amount.picoPerWhole == 0, let members = band.object
            else {
                notes.append(PriceNote(model: name, field: "tiered_pricing", reason: .malformed))
                continue
            }
            let from = Int64(start.pico / Amount.picoPerWhole)
            for member in members where member.name != "range" {
                if let slot = LiteLLMField(member.name, makesInput: false)?.slot, slot.contextFrom == 0 {
                    let banded = ListedRate.Slot(kind: slot.kind, serviceTier: slot.serviceTier, contextFrom: from == 0 ? 0 : from + 1)
                    take(banded, "tiered_pricing.\(member.name)", member.value)
                } else if LiteLLMField.isBillable(member.name) {
                    notes.append(PriceNote(model: name, field: "tiered_pricing.\(member.name)", reason: .unknownField))
                }
            }
        }
    }

    /// `{"search_context_size_low": 0.01, …}`: a price for each search where all sizes cost the same, since no usage says which it was.
    private mutating func readSearch(_ value: JSON) {
        let texts = Set((value.object ?? JSON.Object()).compactMap(\.value.numberText))
        guard texts.count == 1, let text = texts.first else {
            notes.append(PriceNote(model: name, field: "search_context_cost_per_query", reason: .notImported))
            return
        }
        take(.init(kind: "web_search_request"), "search_context_cost_per_query", .number(text))
    }

    private static let largestPerUnit = PriceList.largestAmount.pico / 1_000_000

    /// A whole positive number, however it is written (`128000`, `1e6`); anything else is as good as not stated.
    private static func tokens(_ value: JSON?) -> Int64? {
        guard let amount = value?.numberText.flatMap({ Amount(number: $0) }), amount > .zero, amount <= Amount(whole: 1 << 40),
            amount.pico % Amount.picoPerWhole == 0
        else { return nil }
        return Int64(amount.pico / Amount.picoPerWhole)
    }

    /// The provider that sends the bill; LiteLLM's names also tell its own code paths apart.
    private static func provider(_ text: String) -> String {
        switch text {
        case "bedrock_converse", "bedrock_mantle": "bedrock"
        case "cohere_chat": "cohere"
        case "gemini": "google"
        default: text.hasPrefix("vertex_ai-") ? "vertex_ai" : String(text.prefix(100))
        }
    }
}

/// A field name taken apart: `cache_read_input_token_cost_above_200k_tokens_priority`.
private struct LiteLLMField {
    let slot: ListedRate.Slot

    init?(_ field: String, makesInput: Bool) {
        var base = field[...]
        var tier = "standard"
        for (suffix, name) in Self.serviceTiers where base.hasSuffix(suffix) {
            base = base.dropLast(suffix.count)
            tier = name
        }
        var from: Int64 = 0
        if base.hasSuffix("k_tokens"), let above = base.range(ofLast: "_above_") {
            guard let thousands = Int64(base[above.upperBound...].dropLast("k_tokens".count)), (1...1_000_000).contains(thousands) else {
                return nil
            }
            // "Above 200k" begins with the next whole input token.
            from = thousands * 1000 + 1
            base = base[..<above.lowerBound]
        }
        guard var kind = Self.kinds[String(base)] else { return nil }
        if makesInput, kind == "image_read" { kind = "image_made" }
        slot = ListedRate.Slot(kind: kind, serviceTier: tier, contextFrom: from)
    }

    static let serviceTiers = [("_batches", "batch"), ("_priority", "priority"), ("_flex", "flex"), ("_ultrafast", "ultrafast")]

    static let kinds: [String: UsageKind] = [
        "input_cost_per_token": "input", "output_cost_per_token": "output", "output_cost_per_reasoning_token": "reasoning_output",
        "cache_read_input_token_cost": "cached_input", "input_cost_per_token_cache_hit": "cached_input",
        "cache_creation_input_token_cost": "cache_write_5m", "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
        "input_cost_per_audio_token": "input_audio", "output_cost_per_audio_token": "output_audio",
        "cache_read_input_audio_token_cost": "cached_input_audio", "cache_creation_input_audio_token_cost": "cache_write_audio",
        "input_cost_per_image_token": "input_image_token", "output_cost_per_image_token": "output_image_token",
        "cache_read_input_image_token_cost": "cached_input_image_token", "input_cost_per_video_token": "input_video_token",
        "output_cost_per_video_token": "output_video_token", "citation_cost_per_token": "citation",
        // Units that are no tokens must not be named like input or output: a hold prices all tokens at the dearest kind of those.
        "input_cost_per_character": "character_read", "output_cost_per_character": "character_made",
        "input_cost_per_image": "image_read", "output_cost_per_image": "image_made", "input_cost_per_pixel": "pixel_read",
        "output_cost_per_pixel": "pixel_made", "input_cost_per_second": "second_read", "output_cost_per_second": "second_made",
        "input_cost_per_audio_per_second": "audio_second_read", "input_cost_per_video_per_second": "video_second_read",
        "output_cost_per_video_per_second": "video_second_made", "ocr_cost_per_page": "page",
        "annotation_cost_per_page": "annotation_page", "input_cost_per_request": "request", "input_cost_per_query": "query",
        "code_interpreter_cost_per_session": "code_interpreter_session",
    ]

    /// Understood, but not a price per unit of a call's usage: multipliers, hours of the day, tools priced by their own units.
    static let notImported: Set<String> = [
        "google_maps_grounding_cost_per_query", "off_peak_pricing", "provider_specific_entry",
        "regional_endpoint_uplift_multiplier", "regional_processing_uplift_multiplier_eu", "regional_processing_uplift_multiplier_us",
        "input_dbu_cost_per_token", "output_dbu_cost_per_token", "file_search_cost_per_1k_calls", "file_search_cost_per_gb_per_day",
        "vector_store_cost_per_gb_per_day", "computer_use_input_cost_per_1k_tokens", "computer_use_output_cost_per_1k_tokens",
    ]

    /// Whether a field's name speaks of money at all.
    static func isBillable(_ field: String) -> Bool {
        field == "provider_specific_entry"
            || ["cost", "price", "pricing", "multiplier", "surcharge", "fee_"].contains { field.contains($0) }
    }
}

extension Substring {
    fileprivate func range(ofLast text: String) -> Range<Index>? {
        var start = endIndex
        while start > startIndex {
            start = index(before: start)
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
        }
        return nil
    }
}
