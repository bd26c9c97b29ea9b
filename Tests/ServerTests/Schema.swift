/// Values held to the schemas of `openapi/bursar.yaml`: as much of JSON Schema as it uses of what is sent.
import Budgets
import Foundation
import JSON

extension Contract {
    /// Where a value is not what a schema says.
    /// - Parameter isClosed: whether a member that no schema names is a fault too. Of what we answer it is, though readers must expect more.
    func misfits(_ value: JSON, _ schema: [String: Any], at pointer: String = "", isClosed: Bool = false) -> [String] {
        var faults = shapeFaults(value, schema, at: pointer, isClosed)
        if isClosed, let members = value.object, let known = names(schema) {
            faults += members.filter { !known.contains($0.name) }.map { "\(pointer)/\($0.name): undocumented" }
        }
        return faults
    }

    /// All but what members there may be besides, which is known only of the whole.
    private func shapeFaults(_ value: JSON, _ schema: [String: Any], at pointer: String, _ isClosed: Bool) -> [String] {
        let schema = resolved(schema)
        var faults: [String] = []
        for part in schema["allOf"] as? [[String: Any]] ?? [] { faults += shapeFaults(value, part, at: pointer, isClosed) }
        for (name, most) in [("anyOf", Int.max), ("oneOf", 1)] {
            guard let parts = schema[name] as? [[String: Any]] else { continue }
            let fitting = parts.count { misfits(value, $0, isClosed: isClosed).isEmpty }
            if fitting == 0 || fitting > most { faults.append("\(pointer): \(fitting) of \(parts.count) in \(name)") }
        }
        if !Contract.fits(value, schema) { faults.append("\(pointer): \(value.text.prefix(100))") }
        for (index, element) in (value.array ?? []).enumerated() {
            faults += misfits(element, schema["items"] as? [String: Any] ?? [:], at: "\(pointer)/\(index)", isClosed: isClosed)
        }
        guard let members = value.object else { return faults }
        let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
        let others = schema["additionalProperties"] as? [String: Any]
        for name in schema["required"] as? [String] ?? [] where members[name] == nil { faults.append("\(pointer)/\(name): missing") }
        for member in members {
            if let part = properties[member.name] ?? others {
                faults += misfits(member.value, part, at: "\(pointer)/\(member.name)", isClosed: isClosed)
            } else if schema["additionalProperties"] as? Bool == false {
                faults.append("\(pointer)/\(member.name): unknown")
            }
        }
        return faults
    }

    /// The members that a schema and its parts name; nil where any may be.
    private func names(_ schema: [String: Any]) -> Set<String>? {
        let schema = resolved(schema)
        let properties = schema["properties"] as? [String: Any]
        if schema["additionalProperties"] is [String: Any] { return nil }
        let parts = ["allOf", "anyOf", "oneOf"].flatMap { schema[$0] as? [[String: Any]] ?? [] }.map(resolved)
        let objects = parts.filter { $0["properties"] != nil || $0["allOf"] != nil || Contract.types($0).contains("object") }
        if properties == nil, objects.isEmpty { return nil }
        var all = Set((properties ?? [:]).keys)
        for part in objects {
            guard let more = names(part) else { return nil }
            all.formUnion(more)
        }
        return all
    }

    private static func types(_ schema: [String: Any]) -> [String] {
        (schema["type"] as? [String]) ?? (schema["type"] as? String).map { [$0] } ?? []
    }

    /// What can be told of the value without looking into it.
    private static func fits(_ value: JSON, _ schema: [String: Any]) -> Bool {
        let types = types(schema)
        guard types.isEmpty || types.contains(where: { isOf($0, value) }) else { return false }
        if let const = schema["const"].flatMap(JSON.init(yaml:)), const != value { return false }
        if let words = schema["enum"] as? [Any], !words.compactMap(JSON.init(yaml:)).contains(value) { return false }
        if let most = schema["maxItems"] as? Int, let array = value.array, array.count > most { return false }
        if let most = schema["maximum"] as? Int, let number = value.int64, number > most { return false }
        if let least = schema["minimum"] as? Int, let number = value.int64, number < least { return false }
        guard let text = value.string else { return true }
        if let most = schema["maxLength"] as? Int, text.unicodeScalars.count > most { return false }
        if schema["format"] as? String == "date-time", Instant(rfc3339: text) == nil { return false }
        guard let pattern = schema["pattern"] as? String else { return true }
        return text.range(of: pattern, options: .regularExpression) != nil
    }

    private static func isOf(_ type: String, _ value: JSON) -> Bool {
        switch type {
        case "string": value.string != nil
        case "integer": value.int64 != nil
        case "number": if case .number = value { true } else { false }
        case "array": value.array != nil
        case "object": value.object != nil
        case "boolean": value.bool != nil
        case "null": value == .null
        default: false
        }
    }
}

extension JSON {
    /// What Yams made of a document; nil for what JSON has no word for.
    init?(yaml: Any) {
        switch yaml {
        case is NSNull: self = .null
        case let flag as Bool: self = .bool(flag)
        case let number as Int: self = .number(Int64(number))
        case let text as String: self = .string(text)
        case let elements as [Any]: self = .array(elements.compactMap(JSON.init(yaml:)))
        case let members as [String: Any]:
            self = .object(members.sorted { $0.key < $1.key }.compactMap { name, value in JSON(yaml: value).map { (name, $0) } })
        default: return nil
        }
    }
}
