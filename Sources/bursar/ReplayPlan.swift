/// Who the calls of a replay come from: weights over project keys, models, end users and features, and the calls drawn by them.
import JSON

/// What a plan file says.
struct ReplayPlan: Sendable {
    struct Weighted: Sendable {
        let value: String
        let weight: Double
    }

    let keys: [Weighted]
    let models: [Weighted]
    let features: [Weighted]
    /// Calls are attributed to `user-1` … `user-N`; 0: to nobody.
    let endUsers: Int
    /// What each call asks for, or its real output where that is more.
    let maxOutputTokens: Int64

    init(keys: [Weighted], models: [Weighted], features: [Weighted], endUsers: Int, maxOutputTokens: Int64 = 1024) {
        self.keys = keys
        self.models = models
        self.features = features
        self.endUsers = endUsers
        self.maxOutputTokens = maxOutputTokens
    }

    /// Reads `{"keys":[{"api_key":"bur_…","weight":3}],"models":[{"name":"gpt-4o","weight":1}],"end_users":200,
    /// "features":[{"name":"chat","weight":1}],"max_output_tokens":1024}`. Weights default to 1; features and end users may be absent.
    init(json bytes: [UInt8]) throws {
        let document = try JSON.parse(bytes)
        keys = try Self.weighted(document["keys"], name: "api_key", field: "keys")
        models = try Self.weighted(document["models"], name: "name", field: "models")
        features = try document["features"].map { try Self.weighted($0, name: "name", field: "features") } ?? []
        endUsers = try Self.whole(document["end_users"], field: "end_users") ?? 0
        maxOutputTokens = Int64(try Self.whole(document["max_output_tokens"], field: "max_output_tokens") ?? 1024)
        if keys.isEmpty || models.isEmpty { throw TraceError(description: "the plan names no keys or no models") }
    }

    private static func weighted(_ value: JSON?, name: String, field: String) throws(TraceError) -> [Weighted] {
        guard let elements = value?.array else { throw TraceError(description: "the plan's '\(field)' is not an array") }
        var found: [Weighted] = []
        for element in elements {
            let weight = element["weight"].map { $0.numberText.flatMap { Double($0) } } ?? 1
            guard let value = element[name]?.string, let weight, weight > 0, weight.isFinite else {
                throw TraceError(description: "an element of the plan's '\(field)' has no '\(name)' or no weight above 0")
            }
            found.append(Weighted(value: value, weight: weight))
        }
        return found
    }

    private static func whole(_ value: JSON?, field: String) throws(TraceError) -> Int? {
        guard let value else { return nil }
        guard let number = value.int64, (0...1_000_000_000).contains(number) else {
            throw TraceError(description: "the plan's '\(field)' is not a whole number from 0")
        }
        return Int(number)
    }
}

/// One call with everything it sends.
struct ReplayCall: Sendable {
    let trace: TraceCall
    /// Which of the plan's keys makes it.
    let key: Int
    /// Which of the plan's models it asks for.
    let model: Int
    let reserveBody: [UInt8]
    let settleBody: [UInt8]
}

extension ReplayPlan {
    /// Draws who makes each call of a trace. The same run, trace, plan and seed give the same requests, byte for byte.
    /// - Parameter run: begins every `request_id`, so that two runs are not each other's repetitions.
    func calls(_ trace: [TraceCall], run: String, seed: UInt64) -> [ReplayCall] {
        var random = SplitMix64(seed: seed ^ 0xB0D6_E75A_11CE_5EED)
        func draw(_ choices: [Weighted]) -> Int {
            var rest = Double.random(in: 0..<choices.reduce(0) { $0 + $1.weight }, using: &random)
            for (index, choice) in choices.enumerated() {
                rest -= choice.weight
                if rest < 0 { return index }
            }
            return choices.count - 1
        }
        return trace.enumerated().map { index, call in
            let key = draw(keys)
            let model = draw(models)
            let feature = features.isEmpty ? nil : features[draw(features)].value
            let user = endUsers == 0 ? nil : "user-\(Int.random(in: 1...endUsers, using: &random))"
            var reserve = JSONWriter(capacity: 256)
            reserve.object { writer in
                writer.field("request_id", "\(run)-\(index)")
                writer.field("model", models[model].value)
                writer.field("input_tokens", call.inputTokens)
                writer.field("max_output_tokens", max(maxOutputTokens, call.outputTokens))
                if let user { writer.field("end_user", user) }
                if let feature { writer.field("feature", feature) }
            }
            var settle = JSONWriter(capacity: 128)
            settle.object { writer in
                writer.name("usage")
                writer.object { writer in
                    writer.field("input", call.inputTokens)
                    writer.field("output", call.outputTokens)
                }
            }
            return ReplayCall(trace: call, key: key, model: model, reserveBody: reserve.bytes, settleBody: settle.bytes)
        }
    }
}
