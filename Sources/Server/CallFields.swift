/// The fields that reservations, usage events and questions about allowance share.
import Budgets
import Crypto
import HTTPTypes
import JSON
import Store

enum CallFields {
    /// The key's project, or for a key of a person or service the one named in the body.
    static func project(_ fields: inout FieldReader, _ credential: Credential) -> ProjectID {
        guard let own = credential.project else { return fields.require("project", .id(ProjectKind.self)) }
        if let named = fields.optional("project", .id(ProjectKind.self)), named != own {
            fields.fault("project", .invalidValue, "is not the project of this API key")
        }
        return own
    }

    static func call(_ fields: inout FieldReader, project: ProjectID, apiKey: APIKeyID) -> Call {
        Call(
            project: project, apiKey: apiKey, model: fields.require("model", modelName),
            serviceTier: fields.optional("service_tier", serviceTier) ?? "standard", endUser: fields.optional("end_user", endUser),
            feature: fields.optional("feature", feature), tags: fields.optional("tags", .tags))
    }

    static func report(_ fields: inout FieldReader) -> Report {
        let isRaw = fields.has("provider_usage")
        if isRaw, fields.has("usage") { fields.fault("usage", .invalidValue, "cannot stand beside provider_usage") }
        let provider = fields.optional("provider_usage", .providerUsage) ?? nil
        let usage = isRaw ? fields.optional("usage", .usage) : fields.require("usage", .usage)
        return Report(
            usage: provider?.mapped.usage ?? usage ?? noUsage,
            providerRequestID: fields.optional("provider_request_id", providerRequestID),
            latencyMilliseconds: fields.optional("latency_ms", .integer(0...86_400_000)),
            outcome: fields.optional("outcome", outcome) ?? "ok", serviceTier: provider?.mapped.serviceTier,
            providerUsage: provider?.text, unmapped: Array(provider?.mapped.unmapped.prefix(maximumUnmapped) ?? []))
    }

    /// Fields that one entry may list as unmapped: all that a provider may come to add at once (law 11).
    private static let maximumUnmapped = 20

    /// SHA-256 of the content in one fixed form, so that the same request is the same whatever its blanks and order (law 4).
    static func hash(_ content: (inout JSONWriter) -> Void) -> ContentHash {
        var writer = JSONWriter()
        writer.array(content)
        return Array(SHA256.hash(data: writer.bytes))
    }

    private static let modelName = FieldRule.text(1...200)
    private static let serviceTier = FieldRule.word(1...50)
    private static let endUser = FieldRule.text(1...200)
    private static let feature = FieldRule.text(1...200)
    private static let providerRequestID = FieldRule.text(1...200)
    private static let outcome = FieldRule.word(1...50)
}

extension FieldRule where Value == String {
    static var requestID: FieldRule { .text(1...200) }
}

extension FieldRule where Value == Tags {
    /// At most 16 texts under names, sorted by name.
    static var tags: FieldRule {
        FieldRule(placeholder: Tags(pairs: [], text: "{}")) { json in
            guard case .object(let object) = json else { return .wrongType(json, "an object") }
            guard object.count <= 16 else { return .fault(.outOfRange, "must have at most 16 tags") }
            var faults: [FieldFault] = []
            var pairs: [(name: String, value: String)] = []
            var writer = JSONWriter()
            writer.beginObject()
            for member in object.members.sorted(by: { $0.name < $1.name }) {
                if case .failure(let found) = FieldRule<String>.text(1...100).read(.string(member.name)) {
                    faults += found.list.map { FieldFault(pointer: "", code: $0.code, detail: "a tag's name \($0.detail)") }
                }
                switch FieldRule<String>.text(0...500).read(member.value) {
                case .success(let text):
                    writer.name(member.name)
                    writer.string(text)
                    pairs.append((member.name, text))
                case .failure(let found):
                    faults += found.list.map {
                        FieldFault(pointer: "/" + FieldReader.escaped(member.name), code: $0.code, detail: $0.detail)
                    }
                }
            }
            writer.endObject()
            guard faults.isEmpty else { return .failure(FieldFaults(list: faults)) }
            return .success(Tags(pairs: pairs, text: String(decoding: writer.bytes, as: UTF8.self)))
        }
    }
}

extension FieldRule where Value == Int64 {
    /// As much as one usage kind may have: a million times a context of today.
    static var tokenCount: FieldRule { .integer(0...Usage.maximumQuantity) }
}

/// Stands in for a usage that is at fault.
private let noUsage: Usage = {
    guard let usage = Usage([]) else { preconditionFailure("a usage of nothing is a usage") }
    return usage
}()

extension FieldRule where Value == Usage {
    /// `{"input":1200,"output":312}`: kinds with whole quantities.
    static var usage: FieldRule {
        FieldRule(placeholder: noUsage) { json in
            guard case .object(let object) = json else { return .wrongType(json, "an object") }
            guard (1...Usage.maximumKinds).contains(object.count) else {
                return .fault(.outOfRange, "must have 1 to \(Usage.maximumKinds) usage kinds")
            }
            var quantities: [(kind: UsageKind, quantity: Int64)] = []
            var faults: [FieldFault] = []
            for member in object {
                let pointer = "/" + FieldReader.escaped(member.name)
                if !Usage.isKind(member.name) {
                    faults.append(FieldFault(pointer: pointer, code: .unknownField, detail: "cannot be a usage kind"))
                }
                switch FieldRule<Int64>.tokenCount.read(member.value) {
                case .success(let quantity): quantities.append((member.name, quantity))
                case .failure(let found):
                    faults += found.list.map { FieldFault(pointer: pointer, code: $0.code, detail: $0.detail) }
                }
            }
            guard faults.isEmpty else { return .failure(FieldFaults(list: faults)) }
            guard let usage = Usage(quantities) else { return .fault(.invalidValue, "is not a usage") }
            return .success(usage)
        }
    }
}

extension Call {
    func writeContent(_ writer: inout JSONWriter) {
        writer.string(model)
        writer.string(serviceTier)
        for text in [endUser, feature, tags?.text] {
            if let text { writer.string(text) } else { writer.null() }
        }
    }
}

extension Report {
    func writeContent(_ writer: inout JSONWriter) {
        for (kind, quantity) in usage.quantities {
            writer.string(kind)
            writer.number(quantity)
        }
        if let providerRequestID { writer.string(providerRequestID) } else { writer.null() }
        writer.number(latencyMilliseconds ?? -1)
        writer.string(outcome)
        if let providerUsage { writer.string(providerUsage) }
        if let serviceTier { writer.string(serviceTier) }
    }
}
