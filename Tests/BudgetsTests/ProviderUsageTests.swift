// Whatever a consistent provider counts, each token is billed once: the kinds of the input sum to the input, those of the output to it.

import Budgets
import Testing

struct ProviderUsageTests {
    private struct Parts {
        var fresh, cached, cachedAudio, written, audio, text, reasoning, audioMade: Int64

        init(_ random: inout Seeded) {
            func some() -> Int64 { random.chance(0.3) ? 0 : random.magnitude(upTo: 1_000_000) }
            (fresh, cached, cachedAudio, written) = (some(), some(), some(), some())
            (audio, text, reasoning, audioMade) = (some(), some(), some(), some())
        }
    }

    private func map(_ numbers: KeyValuePairs<String, Int64>) throws -> ProviderUsage {
        try ProviderUsage.map(ProviderFields(numbers: numbers.map { ($0.key, "\($0.value)") })).get()
    }

    private func sum(_ usage: Usage, _ belongs: (UsageKind) -> Bool) -> Int64 {
        usage.quantities.filter { belongs($0.kind) }.reduce(0) { $0 + $1.quantity }
    }

    @Test("Inclusive and exclusive counts of the same call are billed alike, each token once")
    func alike() throws {
        var random = Seeded("provider usage")
        for _ in 0..<3000 {
            let p = Parts(&random)
            let input = p.fresh + p.cached + p.cachedAudio + p.written + p.audio
            let output = p.text + p.reasoning + p.audioMade
            let openAI = try map([
                "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
                "prompt_tokens_details.cached_tokens": p.cached + p.cachedAudio,
                "prompt_tokens_details.cached_tokens_details.audio_tokens": p.cachedAudio,
                "prompt_tokens_details.cache_write_tokens": p.written, "prompt_tokens_details.audio_tokens": p.audio + p.cachedAudio,
                "completion_tokens_details.reasoning_tokens": p.reasoning, "completion_tokens_details.audio_tokens": p.audioMade,
            ])
            #expect(openAI.unmapped.isEmpty, "\(openAI.unmapped), seed \(random.seed)")
            #expect(sum(openAI.usage, Usage.isInput) == input && sum(openAI.usage, Usage.isOutput) == output, "seed \(random.seed)")
            #expect((openAI.usage["input"] ?? 0) == p.fresh && (openAI.usage["input_audio"] ?? 0) == p.audio, "seed \(random.seed)")

            let prompt = input - p.written
            let gemini = try map([
                "promptTokenCount": prompt, "cachedContentTokenCount": p.cached + p.cachedAudio,
                "candidatesTokenCount": p.text + p.audioMade,
                "thoughtsTokenCount": p.reasoning, "totalTokenCount": prompt + output,
                "promptTokensDetails.TEXT": p.fresh + p.cached, "promptTokensDetails.AUDIO": p.audio + p.cachedAudio,
                "cacheTokensDetails.TEXT": p.cached, "cacheTokensDetails.AUDIO": p.cachedAudio,
                "candidatesTokensDetails.AUDIO": p.audioMade,
            ])
            #expect(gemini.unmapped.isEmpty, "\(gemini.unmapped), seed \(random.seed)")
            for kind in ["input", "cached_input", "cached_input_audio", "input_audio", "output", "reasoning_output", "output_audio"] {
                #expect(gemini.usage[kind] == openAI.usage[kind], "\(kind), seed \(random.seed)")
            }

            let anthropic = try map([
                "input_tokens": p.fresh, "cache_read_input_tokens": p.cached, "cache_creation_input_tokens": p.written,
                "output_tokens": p.text + p.reasoning, "output_tokens_details.thinking_tokens": p.reasoning,
            ])
            #expect(anthropic.unmapped.isEmpty, "\(anthropic.unmapped), seed \(random.seed)")
            #expect(sum(anthropic.usage, Usage.isInput) == p.fresh + p.cached + p.written, "seed \(random.seed)")
            #expect(anthropic.usage["cached_input"] ?? 0 == p.cached && anthropic.usage["output"] ?? 0 == p.text, "seed \(random.seed)")
        }
    }
}
