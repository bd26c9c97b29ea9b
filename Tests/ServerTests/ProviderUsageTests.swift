/// The usage objects of the providers as they really come, each with what it must be billed as: the traps are whether cached, written,
/// thought and heard tokens are counted in or beside the others.
import Budgets
import JSON
import Testing

@testable import Server

@Suite(.serialized) struct ProviderUsageTests {
    struct Example: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let json: String
        let usage: KeyValuePairs<UsageKind, Int64>
        var tier: String?
        var unmapped: [String] = []
    }

    static let examples: [Example] = [
        Example(
            testDescription: "OpenAI chat: cached tokens are part of the prompt, reasoning is part of the completion",
            json: """
                {"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
                 "prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},
                 "completion_tokens_details":{"reasoning_tokens":64,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}
                """,
            usage: ["cached_input": 1920, "input": 86, "output": 236, "reasoning_output": 64]),
        Example(
            testDescription: "OpenAI chat: rejected predictions are billed, and are part of the completion already",
            json: """
                {"prompt_tokens":10,"completion_tokens":50,"total_tokens":60,
                 "completion_tokens_details":{"accepted_prediction_tokens":10,"rejected_prediction_tokens":30}}
                """,
            usage: ["input": 10, "output": 50]),
        Example(
            testDescription: "OpenAI chat: details may be null; the tier stands beside the usage of the response",
            json: """
                {"id":"chatcmpl-1","choices":[{"message":{"content":"secret"}}],"service_tier":"flex",
                 "usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":null}}
                """,
            usage: ["input": 19, "output": 10], tier: "flex"),
        Example(
            testDescription: "OpenAI chat with audio: audio both ways apart from text, cached audio apart from cached text",
            json: """
                {"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500,
                 "prompt_tokens_details":{"cached_tokens":300,"text_tokens":600,"audio_tokens":400,
                                          "cached_tokens_details":{"text_tokens":200,"audio_tokens":100}},
                 "completion_tokens_details":{"text_tokens":100,"audio_tokens":400}}
                """,
            usage: [
                "cached_input": 200, "cached_input_audio": 100, "input": 400, "input_audio": 300, "output": 100, "output_audio": 400,
            ]),
        Example(
            testDescription: "OpenAI responses: written tokens are part of the input too, by how long they live",
            json: """
                {"input_tokens":5000,"input_tokens_details":{"cached_tokens":1000,"cache_write_tokens":3000,
                    "cache_write_tokens_details":{"ttl_30m_tokens":2000,"ttl_12h_tokens":1000}},
                 "output_tokens":700,"output_tokens_details":{"reasoning_tokens":600},"total_tokens":5700}
                """,
            usage: [
                "cache_write_12h": 1000, "cache_write_30m": 2000, "cached_input": 1000, "input": 1000, "output": 100,
                "reasoning_output": 600,
            ]),
        Example(
            testDescription: "OpenAI embeddings: nothing is put out", json: #"{"prompt_tokens":8,"total_tokens":8}"#, usage: ["input": 8]),
        Example(
            testDescription: "xAI in OpenAI's shape: reasoning is beside the completion, as its total says",
            json: """
                {"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,
                 "completion_tokens_details":{"reasoning_tokens":94}}
                """,
            usage: ["input": 32, "output": 9, "reasoning_output": 94]),
        Example(
            testDescription: "DeepSeek in OpenAI's shape: hits and misses are the prompt",
            json: """
                {"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}
                """,
            usage: ["cached_input": 64, "input": 36, "output": 20]),
        Example(
            testDescription: "Anthropic: read and written tokens are beside the input; a web search costs by the request",
            json: """
                {"input_tokens":21,"cache_creation_input_tokens":188086,"cache_read_input_tokens":1000,
                 "cache_creation":{"ephemeral_5m_input_tokens":188000,"ephemeral_1h_input_tokens":86},"output_tokens":393,
                 "output_tokens_details":{"thinking_tokens":300},"server_tool_use":{"web_search_requests":2,"web_fetch_requests":1},
                 "service_tier":"standard","inference_geo":"global","speed":"standard"}
                """,
            usage: [
                "cache_write_1h": 86, "cache_write_5m": 188_000, "cached_input": 1000, "input": 21, "output": 93, "reasoning_output": 300,
                "web_search_request": 2,
            ], tier: "standard"),
        Example(
            testDescription: "Anthropic's plainest, which is OpenAI's plainest too", json: #"{"input_tokens":10,"output_tokens":5}"#,
            usage: ["input": 10, "output": 5]),
        Example(
            testDescription: "Anthropic without a split: the five minutes that are the default",
            json: #"{"input_tokens":1,"cache_creation_input_tokens":50,"cache_read_input_tokens":0,"output_tokens":5}"#,
            usage: ["cache_write_5m": 50, "input": 1, "output": 5]),
        Example(
            testDescription: "Anthropic's stream wrote more than its split says: the dearer life, and it is told",
            json: """
                {"input_tokens":1,"cache_creation_input_tokens":70,
                 "cache_creation":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":10},"output_tokens":5,"service_tier":"batch"}
                """,
            usage: ["cache_write_1h": 30, "cache_write_5m": 40, "input": 1, "output": 5], tier: "batch",
            unmapped: ["cache_creation_input_tokens"]),
        Example(
            testDescription: "Anthropic's surcharges and other models' turns are told, as no price has them",
            json: """
                {"input_tokens":1,"output_tokens":5,"speed":"fast","inference_geo":"us",
                 "iterations":[{"type":"message","model":"other","input_tokens":7,"output_tokens":0}]}
                """,
            usage: ["input": 1, "output": 5], unmapped: ["inference_geo: us", "iterations[].input_tokens", "speed: fast"]),
        Example(
            testDescription: "Gemini: the prompt includes what was cached, thoughts are beside the candidates",
            json: """
                {"promptTokenCount":2000,"cachedContentTokenCount":1500,"candidatesTokenCount":100,"thoughtsTokenCount":400,
                 "toolUsePromptTokenCount":50,"totalTokenCount":2550,
                 "promptTokensDetails":[{"modality":"TEXT","tokenCount":2000}],"cacheTokensDetails":[{"modality":"TEXT","tokenCount":1500}],
                 "candidatesTokensDetails":[{"modality":"TEXT","tokenCount":100}],
                 "toolUsePromptTokensDetails":[{"modality":"TEXT","tokenCount":50}],"trafficType":"ON_DEMAND_FLEX"}
                """,
            usage: ["cached_input": 1500, "input": 550, "output": 100, "reasoning_output": 400], tier: "flex"),
        Example(
            testDescription: "Gemini with sounds and pictures: each modality apart, what of it was cached apart",
            json: """
                {"usageMetadata":{"promptTokenCount":1000,"cachedContentTokenCount":300,"candidatesTokenCount":1290,"totalTokenCount":2290,
                 "promptTokensDetails":[{"modality":"TEXT","tokenCount":100},{"modality":"AUDIO","tokenCount":600},{"modality":"VIDEO","tokenCount":300}],
                 "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":300}],
                 "candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":1290}]}}
                """,
            usage: [
                "cached_input_audio": 300, "input": 100, "input_audio": 300, "input_video_token": 300, "output_image_token": 1290,
            ]),
        Example(
            testDescription: "Gemini's total knows of tokens that nothing else does: output, the dearest, and it is told",
            json: #"{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":25}"#, usage: ["input": 10, "output": 15],
            unmapped: ["totalTokenCount"]),
        Example(
            testDescription: "a part above its whole counts in full, and it is told",
            json: #"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":12}}"#,
            usage: ["cached_input": 12, "output": 5], unmapped: ["prompt_tokens"]),
        Example(
            testDescription: "a field that nobody announced is told; one of which nothing was used is not",
            json: """
                {"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"telepathy_tokens":3,"prompt_tokens_details":{"smell_tokens":0},
                 "completion_tokens_details":{"taste_seconds":1.5}}
                """,
            usage: ["input": 10, "output": 5], unmapped: ["completion_tokens_details.taste_seconds", "telepathy_tokens"]),
    ]

    @Test("each provider's usage becomes disjoint kinds", arguments: examples)
    func mapped(example: Example) throws {
        let posted = try #require(try FieldRule.providerUsage.read(JSON.parse(example.json)).get())
        #expect(posted.mapped.usage == Usage(example.usage.map { ($0.key, $0.value) }), "\(posted.mapped.usage.quantities)")
        #expect(posted.mapped.serviceTier == example.tier)
        #expect(posted.mapped.unmapped == example.unmapped)
        #expect(!posted.text.contains("secret"), "what people wrote is not kept")
    }

    @Test(
        "what is no usage is refused with its place",
        arguments: [
            ("{}", ""), (#"{"tokens":5}"#, ""), (#"{"prompt_tokens":-1}"#, "/prompt_tokens"), (#"{"input_tokens":1.5}"#, "/input_tokens"),
            (
                #"{"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":1e30}}}"#,
                "/usage/prompt_tokens_details/cached_tokens"
            ),
            (#"{"prompt_tokens":1,"type":"a\u0000b"}"#, ""), (#"{"prompt_tokens":1,"x":1e400}"#, ""),
        ])
    func refused(json: String, pointer: String) throws {
        guard case .failure(let faults) = FieldRule.providerUsage.read(try JSON.parse(json)) else { return #expect(Bool(false), "\(json)") }
        #expect(faults.list.map(\.pointer) == [pointer])
    }

    @Test("posted raw, it is priced in the tier that served it, kept with the entry, and what is not understood is raised")
    func settled() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            for (kind, tier, amount) in [("cached_input", "standard", "0.1"), ("input", "flex", "0.5"), ("output", "flex", "1")] {
                let price = try await served.owner.post(
                    "/v1/prices",
                    [
                        "model": "model-a", "usage_kind": .string(kind), "service_tier": .string(tier),
                        "amount_per_million": .string(amount), "valid_from": "2020-01-01T00:00:00Z",
                    ])
                try #require(price.status == 201, "\(price)")
            }
            let held = try await world.reserve("r1", input: 3000, output: 500)
            let usage: JSON = [
                "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
                "prompt_tokens_details": ["cached_tokens": 1920, "smell_tokens": 4],
            ]
            let settled = try await world.caller.post("/v1/reservations/\(held.id)/settle", ["provider_usage": usage])
            // 86 × 1 + 1920 × 0.1 + 300 × 2 dollars a million.
            #expect(settled.status == 200 && settled.body["cost"]?["amount"] == "0.000878000000", "\(settled)")
            let sorted: JSON = [
                "prompt_tokens_details": ["smell_tokens": 4, "cached_tokens": 1920], "total_tokens": 2306, "prompt_tokens": 2006,
                "completion_tokens": 300,
            ]
            let again = try await world.caller.post("/v1/reservations/\(held.id)/settle", ["provider_usage": sorted])
            #expect(again.text == settled.text, "the order of members is no content: \(again)")
            let both = try await world.caller.post(
                "/v1/reservations/\(held.id)/settle", ["provider_usage": usage, "usage": ["input": 1]])
            #expect(both.status == 422 && both.faults == ["/usage invalid_value"], "\(both)")

            let flex: JSON = ["service_tier": "flex", "usage": ["prompt_tokens": 1000, "completion_tokens": 100, "smell_tokens": 1]]
            let booked = try await world.caller.post(
                "/v1/usage", ["events": [["request_id": "u1", "model": "model-a", "provider_usage": flex]]])
            #expect(booked.body["results"]?[0]?["cost"]?["amount"] == "0.000600000000", "\(booked)")

            let unmapped = try await served.owner.get("/v1/unmapped-usage")
            let fields = unmapped.body["data"]?.array?.compactMap { $0["field"]?.string } ?? []
            #expect(fields.sorted() == ["prompt_tokens_details.smell_tokens", "smell_tokens"], "\(unmapped)")
            #expect(unmapped.body["data"]?[0]?["entries"] == 1 && unmapped.body["data"]?[0]?["model"] == "model-a")
            let metrics = try await served.owner.get("/metrics")
            #expect(metrics.text.contains("bursar_unmapped_usage_fields_total 2"))
        }
    }

    @Test("an estimate: calls × days at the price of a settlement, the cheapest allowed model first")
    func estimate() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            for (model, amount) in [("model-b", "0.3"), ("other", "0.1"), ("model-free", nil)] {
                _ = try await served.owner.post("/v1/models", ["name": .string(model), "provider": "acme"])
                for kind in ["input", "output"] {
                    guard let amount else { continue }
                    _ = try await served.owner.post(
                        "/v1/prices", ["model": .string(model), "usage_kind": .string(kind), "amount_per_million": .string(amount)])
                }
            }
            let ask: JSON = ["usage": ["input": 1200, "output": 300], "calls_per_day": 5000, "days": 30]
            let answer = try await world.caller.post("/v1/estimates", ask)
            #expect(answer.status == 200 && answer.body["calls"] == 150_000 && answer.body["unpriced_models"] == 1, "\(answer)")
            let rows = answer.body["data"]?.array ?? []
            #expect(rows.compactMap { $0["model"]?.string } == ["model-b", "model-a", "other", "model-free"])
            #expect(rows.compactMap { $0["allowed"]?.bool } == [true, true, false, true])
            // 1500 × 0.3 $ a million, 150,000 times.
            #expect(rows.first?["cost_per_call"]?["amount"] == "0.000450000000")
            #expect(rows.first?["cost_per_day"]?["amount"] == "2.250000000000" && rows.first?["cost"]?["amount"] == "67.500000000000")
            #expect(rows.last?["cost"] == .null && rows.last?["unpriced"] == ["input", "output"])
            let few = try await served.owner.post(
                "/v1/estimates", ["usage": ["input": 1], "calls_per_day": 1, "models": ["model-*"], "limit": 1])
            #expect(few.body["models"] == 3 && few.body["data"]?.array?.count == 1, "\(few)")
            let huge = try await served.owner.post(
                "/v1/estimates", ["usage": ["input": 1_000_000_000], "calls_per_day": 1_000_000_000, "days": 3660])
            #expect(huge.body["data"]?[0]?["cost"]?["amount"]?.string != nil, "\(huge)")
        }
    }
}
