/// `openapi/bursar.yaml` as tests read it. `Schema.swift` holds values to what it says.
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

    /// The media types of each answer that is made: how they are described, by operation.
    var successes: [(operation: String, type: String, media: [String: Any])] {
        methods.flatMap { path, method, operation in
            (operation["responses"] as? [String: Any] ?? [:]).filter { $0.key.hasPrefix("2") }.flatMap { status, response in
                let content = resolved(response as? [String: Any] ?? [:])["content"] as? [String: Any] ?? [:]
                return content.map { ("\(method.uppercased()) \(path) \(status)", $0.key, $0.value as? [String: Any] ?? [:]) }
            }
        }
    }

    /// What a media type has for examples: its own, or those of its schema.
    func examples(_ media: [String: Any]) -> [JSON] {
        let named = (media["examples"] as? [String: [String: Any]])?.values.compactMap { $0["value"] }
        let own = named ?? media["example"].map { [$0] }
        return (own ?? resolved(media["schema"] as? [String: Any] ?? [:])["examples"] as? [Any] ?? []).compactMap(JSON.init(yaml:))
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
}
