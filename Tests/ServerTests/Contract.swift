/// `openapi/bursar.yaml` as tests read it.
import Foundation
import HTTPTypes
import JSON
import Testing
import Yams

@testable import Server

/// The document, read from the repository.
struct Contract {
    private let root: [String: Any]

    init() throws {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../openapi/bursar.yaml").standardized
        root = try #require(try Yams.load(yaml: String(contentsOf: file, encoding: .utf8)) as? [String: Any])
    }

    func at(_ path: String...) -> Any? { at(path) }

    func at(_ path: [String]) -> Any? { path.reduce(root as Any?) { ($0 as? [String: Any])?[$1] } }

    private var methods: [(path: String, method: String, operation: [String: Any])] {
        (root["paths"] as? [String: Any] ?? [:]).flatMap { path, item in
            (item as? [String: Any] ?? [:]).compactMap { method, operation in
                method == "parameters" ? nil : (path, method, operation as? [String: Any] ?? [:])
            }
        }
    }

    var operations: Set<String> { Set(methods.map { "\($0.method.uppercased()) \($0.path)" }) }
    var operationIDs: [String] { methods.compactMap { $0.operation["operationId"] as? String } }

    var references: [String] {
        func all(_ value: Any) -> [String] {
            switch value {
            case let members as [String: Any]: members.flatMap { name, value in name == "$ref" ? [value as? String ?? ""] : all(value) }
            case let elements as [Any]: elements.flatMap(all)
            default: []
            }
        }
        return all(root)
    }

    /// The schema of each body, by its operation.
    var bodies: [(operation: String, schema: [String: Any])] {
        methods.compactMap { path, method, operation in
            let body = (operation["requestBody"] as? [String: Any])?["content"] as? [String: Any]
            let schema = (body?["application/json"] as? [String: Any])?["schema"] as? [String: Any]
            return schema.map { ("\(method.uppercased()) \(path)", $0) }
        }
    }

    var parameters: [(operation: String, parameter: [String: Any])] {
        methods.flatMap { path, method, operation in
            (operation["parameters"] as? [[String: Any]] ?? []).map { ("\(method.uppercased()) \(path)", resolved($0)) }
        }
    }

    func resolved(_ schema: [String: Any]) -> [String: Any] {
        guard let reference = schema["$ref"] as? String else { return schema }
        return (at(reference.dropFirst(2).split(separator: "/").map(String.init)) as? [String: Any]).map(resolved) ?? [:]
    }

    /// What in a schema could be as large as a caller likes.
    /// - Parameter isOutgoing: of what we answer: its objects may grow members, and parts with a name of their own are looked at by that.
    func unbounded(_ schema: Any, at pointer: String = "", isOutgoing: Bool = false) -> [String] {
        let schema = isOutgoing ? schema as? [String: Any] ?? [:] : resolved(schema as? [String: Any] ?? [:])
        let has = { (names: String...) in names.contains { schema[$0] != nil } }
        let types = (schema["type"] as? [String]) ?? (schema["type"] as? String).map { [$0] } ?? []
        var faults: [String] = []
        for type in types {
            let isBounded =
                switch type {
                case "string": has("maxLength", "pattern", "enum", "const", "format")
                case "integer": has("maximum", "enum", "const") || isOutgoing && has("format")
                case "array": has("maxItems")
                case "object": has("maxProperties") || schema["additionalProperties"] as? Bool == false || isOutgoing && has("properties")
                default: true
                }
            if !isBounded { faults.append("\(pointer): \(type)") }
        }
        for name in ["anyOf", "oneOf", "allOf"] {
            faults += (schema[name] as? [Any] ?? []).flatMap { unbounded($0, at: pointer, isOutgoing: isOutgoing) }
        }
        for name in ["items", "additionalProperties"] where schema[name] is [String: Any] {
            faults += unbounded(schema[name] ?? [:], at: pointer + "/*", isOutgoing: isOutgoing)
        }
        for (name, property) in schema["properties"] as? [String: Any] ?? [:] {
            faults += unbounded(property, at: pointer + "/" + name, isOutgoing: isOutgoing)
        }
        return faults
    }

    func bodySchema(_ method: HTTPRequest.Method, _ path: String) -> [String: Any]? {
        let reference = at("paths", path, method.rawValue.lowercased(), "requestBody", "content", "application/json", "schema", "$ref")
        return (reference as? String).flatMap { at($0.dropFirst(2).split(separator: "/").map(String.init)) as? [String: Any] }
    }

    /// Where a value is not what a schema says; of JSON Schema what this document uses of events.
    func misfits(_ value: JSON, _ schema: [String: Any], at pointer: String = "") -> [String] {
        let schema = resolved(schema)
        var faults: [String] = []
        for part in schema["allOf"] as? [[String: Any]] ?? [] { faults += misfits(value, part, at: pointer) }
        if let parts = schema["anyOf"] as? [[String: Any]], parts.allSatisfy({ !misfits(value, $0).isEmpty }) {
            faults.append("\(pointer): none of \(parts.count)")
        }
        let types = (schema["type"] as? [String]) ?? (schema["type"] as? String).map { [$0] } ?? []
        if !types.isEmpty, !types.contains(where: { Contract.isOf($0, value) }) { faults.append("\(pointer): no \(types)") }
        if let words = schema["enum"] as? [String], let text = value.string, !words.contains(text) { faults.append("\(pointer): \(text)") }
        if let pattern = (schema["pattern"] as? String).flatMap({ try? Regex($0) }), let text = value.string,
            (try? pattern.firstMatch(in: text)) == nil
        {
            faults.append("\(pointer): \(text)")
        }
        for (index, element) in (value.array ?? []).enumerated() {
            faults += misfits(element, schema["items"] as? [String: Any] ?? [:], at: "\(pointer)/\(index)")
        }
        guard let members = value.object else { return faults }
        let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
        let others = schema["additionalProperties"] as? [String: Any]
        for name in schema["required"] as? [String] ?? [] where members[name] == nil { faults.append("\(pointer)/\(name): missing") }
        for member in members {
            if let part = properties[member.name] ?? others { faults += misfits(member.value, part, at: "\(pointer)/\(member.name)") }
            let isClosed = schema["additionalProperties"] as? Bool == false
            if isClosed, properties[member.name] == nil { faults.append("\(pointer)/\(member.name): unknown") }
        }
        return faults
    }

    private static func isOf(_ type: String, _ value: JSON) -> Bool {
        switch type {
        case "string": value.string != nil
        case "integer": value.int64 != nil
        case "array": value.array != nil
        case "object": value.object != nil
        case "boolean": value == .bool(true) || value == .bool(false)
        case "null": value == .null
        default: true
        }
    }
}

/// Which statuses the document tells of, by operation. Every test that talks to a server holds its answers to it (`Caller.send`).
enum DeclaredStatuses {
    /// Whether such an answer is in the document. What no operation stands behind is not its matter.
    static func allow(_ status: Int, _ method: HTTPRequest.Method, _ path: String) -> Bool {
        let segments = path.prefix { $0 != "?" }.split(separator: "/")
        let operation = operations.first { operation in
            operation.method == method.rawValue && operation.segments.count == segments.count
                && zip(operation.segments, segments).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
        return operation?.statuses.contains(status) ?? true
    }

    private static let operations: [(method: String, segments: [Substring], statuses: Set<Int>)] = {
        guard let contract = try? Contract() else { return [] }
        return routes.map { route in
            let responses = contract.at("paths", route.path, route.method.rawValue.lowercased(), "responses") as? [String: Any]
            return (route.method.rawValue, route.path.split(separator: "/"), Set((responses ?? [:]).keys.compactMap { Int($0) }))
        }
    }()
}
