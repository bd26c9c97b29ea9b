/// `provider_usage`: a provider's usage object as it came, instead of `usage`.
import Budgets
import JSON

/// A provider's usage with the text that is kept of it.
struct PostedProviderUsage: Sendable {
    let mapped: ProviderUsage
    /// Members sorted, so that the same object is the same text whatever its order.
    let text: String
}

extension FieldRule where Value == PostedProviderUsage? {
    /// The usage object itself, or the response around it with its `usage` (Gemini: `usageMetadata`) and `service_tier`. Nothing else of
    /// a response is looked at or kept: it has what people wrote.
    static var providerUsage: FieldRule {
        FieldRule(placeholder: nil) { json in
            guard case .object(let object) = json else { return .wrongType(json, "an object") }
            let inner = ["usage", "usageMetadata"].first { object[$0]?.object != nil }
            let usage = inner.flatMap { object[$0] } ?? json
            let text = usage.sorted.text
            guard text.utf8.count <= ProviderUsage.maximumBytes else {
                return .fault(.outOfRange, "must have at most \(ProviderUsage.maximumBytes) bytes")
            }
            guard usage.isKeepable else { return .fault(.invalidValue, "has a number or a text that cannot be kept") }
            var fields = ProviderFields()
            fields.take(usage, at: "")
            if inner != nil, let tier = object["service_tier"]?.string { fields.words.append(("service_tier", tier)) }
            switch ProviderUsage.map(fields) {
            case .success(let mapped): return .success(PostedProviderUsage(mapped: mapped, text: text))
            case .failure(let fault):
                let path = [inner].compactMap(\.self) + fault.path.split(separator: ".").map(String.init)
                return .failure(
                    FieldFaults(list: [
                        FieldFault(
                            pointer: path.map { "/" + FieldReader.escaped($0) }.joined(), code: .invalidValue, detail: fault.detail)
                    ]))
            }
        }
    }
}

extension ProviderFields {
    fileprivate mutating func take(_ value: JSON, at path: String) {
        switch value {
        case .number(let text): numbers.append((path, text))
        case .string(let text): words.append((path, String(text.prefix(50))))
        case .object(let object):
            for member in object { take(member.value, at: (path.isEmpty ? member.name : "\(path).\(member.name)").shortened) }
        case .array(let elements):
            for element in elements {
                if let modality = element["modality"]?.string, let count = element["tokenCount"] {
                    take(count, at: "\(path).\(modality)".shortened)
                } else {
                    take(element, at: path + "[]")
                }
            }
        case .null, .bool: break
        }
    }
}

extension String {
    /// Paths are listed and indexed; a longer one than any provider's loses its end (law 11).
    fileprivate var shortened: String { utf8.count <= 200 ? self : String(prefix(50)) }
}

extension JSON {
    /// The same value with the members of every object in the order of their names.
    fileprivate var sorted: JSON {
        switch self {
        case .object(let object):
            .object(JSON.Object(members: object.map { .init(name: $0.name, value: $0.value.sorted) }.sorted { $0.name < $1.name }))
        case .array(let elements): .array(elements.map(\.sorted))
        case .null, .bool, .number, .string: self
        }
    }

    /// Whether Postgres takes it as jsonb: no zero bytes in texts, no number beyond what it can write out.
    fileprivate var isKeepable: Bool {
        switch self {
        case .null, .bool: true
        case .string(let text): !text.utf8.contains(0)
        case .array(let elements): elements.allSatisfy(\.isKeepable)
        case .object(let object): object.allSatisfy { !$0.name.utf8.contains(0) && $0.value.isKeepable }
        case .number(let text):
            text.utf8.count <= 60 && text.lowercased().split(separator: "e").dropFirst().allSatisfy { (-99...99).contains(Int($0) ?? 100) }
        }
    }
}
