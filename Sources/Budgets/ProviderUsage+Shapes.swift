/// The usage objects of the providers, field by field, as their SDKs declare them (openai 3.52, anthropic 2.11, google-genai 3.4).

/// Where OpenAI's two interfaces keep the same counts.
struct OpenAINames {
    let input, inputDetails, output, outputDetails: String

    static let chat = OpenAINames(
        input: "prompt_tokens", inputDetails: "prompt_tokens_details", output: "completion_tokens",
        outputDetails: "completion_tokens_details")
    static let responses = OpenAINames(
        input: "input_tokens", inputDetails: "input_tokens_details", output: "output_tokens", outputDetails: "output_tokens_details")
}

extension ProviderReader {
    var isOpenAIResponse: Bool { has("total_tokens") || hasAny(below: "input_tokens_details") || hasAny(below: "input_token_details") }

    /// Inclusive: cached and written tokens, audio and images are parts of the input; reasoning is part of the output.
    mutating func readOpenAI(_ names: OpenAINames) {
        let (input, output) = (count(names.input), count(names.output))
        // Transcriptions and realtime sessions spell it without an s.
        let details = hasAny(below: "input_token_details") ? "input_token_details" : names.inputDetails
        let outputDetails = hasAny(below: "output_token_details") ? "output_token_details" : names.outputDetails

        // DeepSeek speaks the same language, with a name of its own for what was cached.
        let cached = max(count(details + ".cached_tokens"), count("prompt_cache_hit_tokens"))
        ignore("prompt_cache_miss_tokens", details + ".text_tokens", details + ".cached_tokens_details.text_tokens")
        let cachedAudio = count(details + ".cached_tokens_details.audio_tokens")
        let cachedImage = count(details + ".cached_tokens_details.image_tokens")
        let written = count(details + ".cache_write_tokens")
        let writtenLong = count(details + ".cache_write_tokens_details.ttl_12h_tokens")
        ignore(details + ".cache_write_tokens_details.ttl_30m_tokens")
        let audio = rest(of: count(details + ".audio_tokens"), details + ".audio_tokens", without: cachedAudio)
        let image = rest(of: count(details + ".image_tokens"), details + ".image_tokens", without: cachedImage)
        add(rest(of: input, names.input, without: cached, written, audio, image), "input")
        add(rest(of: cached, details + ".cached_tokens", without: cachedAudio, cachedImage), "cached_input")
        add(cachedAudio, "cached_input_audio")
        add(cachedImage, "cached_input_image_token")
        add(rest(of: written, details + ".cache_write_tokens", without: writtenLong), "cache_write_30m")
        add(writtenLong, "cache_write_12h")
        add(audio, "input_audio")
        add(image, "input_image_token")

        let reasoning = count(outputDetails + ".reasoning_tokens")
        let (audioMade, imageMade) = (count(outputDetails + ".audio_tokens"), count(outputDetails + ".image_tokens"))
        ignore(
            outputDetails + ".text_tokens", outputDetails + ".accepted_prediction_tokens", outputDetails + ".rejected_prediction_tokens")
        // xAI, in the same shape, reasons beside the completion: its total says so.
        let total = count("total_tokens")
        let isBeside = reasoning > 0 && total == input + output + reasoning
        add(rest(of: output, names.output, without: isBeside ? 0 : reasoning, audioMade, imageMade), "output")
        add(reasoning, "reasoning_output")
        add(audioMade, "output_audio")
        add(imageMade, "output_image_token")
        check(total: "total_tokens", against: input + output + (isBeside ? reasoning : 0))
        switch word("service_tier") {
        case "default", "standard": serve(in: "standard")
        case "fast": serve(in: "priority")
        case "auto", nil: break  // what was asked for, not what was served
        case let tier?: serve(tier)
        }
    }

    /// Exclusive: the input is what was neither read from nor written to a cache. Thinking is part of the output.
    mutating func readAnthropic() {
        add(count("input_tokens"), "input")
        add(count("cache_read_input_tokens"), "cached_input")
        let written = count("cache_creation_input_tokens")
        let short = count("cache_creation.ephemeral_5m_input_tokens")
        let long = count("cache_creation.ephemeral_1h_input_tokens")
        add(short, "cache_write_5m")
        add(long, "cache_write_1h")
        // A stream's last word has no split. What it adds to an earlier one is taken at the dearer of the lives in use.
        let unsplit = written - short - long
        if unsplit != 0, short + long > 0 { remark("cache_creation_input_tokens") }
        add(unsplit, long > 0 ? "cache_write_1h" : "cache_write_5m")
        let (output, thinking) = (count("output_tokens"), count("output_tokens_details.thinking_tokens"))
        add(rest(of: output, "output_tokens", without: thinking), "output")
        add(thinking, "reasoning_output")
        add(count("server_tool_use.web_search_requests"), "web_search_request")
        ignore("server_tool_use.web_fetch_requests")  // costs the tokens it brings in and nothing else
        if let speed = word("speed"), speed != "standard" { remark("speed: \(speed)") }
        if let place = word("inference_geo"), !["global", "not_available"].contains(place) { remark("inference_geo: \(place)") }
        if let tier = word("service_tier") { serve(tier) }
    }

    /// The prompt includes what was cached; thoughts and the prompts of tools stand beside the candidates and the prompt.
    mutating func readGemini() {
        let (prompt, cached) = (count("promptTokenCount"), count("cachedContentTokenCount"))
        let (tools, thoughts) = (count("toolUsePromptTokenCount"), count("thoughtsTokenCount"))
        // The live interface calls them responses.
        let live = has("responseTokenCount")
        let made = count(live ? "responseTokenCount" : "candidatesTokenCount")
        var (freshApart, cachedApart, madeApart) = (Int64(0), Int64(0), Int64(0))
        for (modality, kind) in [("AUDIO", "audio"), ("IMAGE", "image_token"), ("VIDEO", "video_token")] {
            let ofCache = count("cacheTokensDetails.\(modality)")
            let ofPrompt = count("promptTokensDetails.\(modality)")
            let fresh = rest(of: ofPrompt, "promptTokensDetails.\(modality)", without: ofCache)
            let output = count("\(live ? "responseTokensDetails" : "candidatesTokensDetails").\(modality)")
            add(ofCache, "cached_input_\(kind)")
            add(fresh, "input_\(kind)")
            add(output, "output_\(kind)")
            (freshApart, cachedApart, madeApart) = (freshApart + fresh, cachedApart + ofCache, madeApart + output)
        }
        for details in ["promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails", "responseTokensDetails"] {
            ignore("\(details).TEXT", "\(details).DOCUMENT", "\(details).MODALITY_UNSPECIFIED")
        }
        for modality in ["TEXT", "DOCUMENT", "AUDIO", "IMAGE", "VIDEO", "MODALITY_UNSPECIFIED"] {
            ignore("toolUsePromptTokensDetails.\(modality)")
        }
        add(rest(of: prompt, "promptTokenCount", without: cached, freshApart) + tools, "input")
        add(rest(of: cached, "cachedContentTokenCount", without: cachedApart), "cached_input")
        add(rest(of: made, live ? "responseTokenCount" : "candidatesTokenCount", without: madeApart), "output")
        add(thoughts, "reasoning_output")
        check(total: "totalTokenCount", against: prompt + tools + made + thoughts)
        switch word("serviceTier") ?? word("trafficType") {
        case "ON_DEMAND", "standard": serve(in: "standard")
        case "ON_DEMAND_PRIORITY", "priority": serve(in: "priority")
        case "ON_DEMAND_FLEX", "flex": serve(in: "flex")
        case "PROVISIONED_THROUGHPUT": serve(in: "provisioned")
        case "TRAFFIC_TYPE_UNSPECIFIED", "unspecified", nil: break
        case let tier?: serve(tier)
        }
    }

    /// A tier by the provider's own name, if it can be a name of ours.
    private mutating func serve(_ tier: String) {
        guard Usage.isKind(tier) else { return remark("service_tier: \(tier)") }
        serve(in: tier)
    }
}
