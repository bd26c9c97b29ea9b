/// `openapi/bursar.yaml` and the server say the same: routes, problem codes, and the fields of every body.
import Budgets
import Foundation
import HTTPTypes
import JSON
import Store
import Testing
import Yams

@testable import Server

@Suite struct ContractTests {
    @Test("every route is in the document, and everything in the document is a route")
    func routesAgree() throws {
        let contract = try Contract()
        let served = Set(routes.map { "\($0.method.rawValue) \($0.path)" })
        #expect(contract.operations == served)
    }

    @Test("the document names exactly the problem codes there are")
    func codesAgree() throws {
        let codes = try Contract().at("components", "schemas", "ProblemCode", "enum") as? [String]
        #expect(Set(codes ?? []) == Set(ProblemCode.allCases.map(\.rawValue)))
    }

    @Test("the document names exactly the scopes there are")
    func scopesAgree() throws {
        let scopes = try Contract().at("components", "schemas", "APIKeyScope", "enum") as? [String]
        #expect(Set(scopes ?? []) == Set(Permission.allCases.map(\.rawValue)))
    }

    @Test("the document names exactly what endpoints can subscribe to")
    func eventPatternsAgree() throws {
        let patterns = try Contract().at("components", "schemas", "EventPattern", "enum") as? [String]
        #expect(patterns == EventType.patterns)
    }

    @Test("routes that need no key say so, and no others")
    func securityAgrees() throws {
        let contract = try Contract()
        for route in routes {
            let security = contract.at("paths", route.path, route.method.rawValue.lowercased(), "security") as? [Any]
            if case .open = route.access {
                #expect(security?.isEmpty == true, "\(route.path)")
            } else {
                #expect(security == nil, "\(route.path)")
            }
        }
    }

    @Test("a body's fields in the document are those that the server takes", arguments: 0..<InvalidRequestTests.good.count)
    func fieldsAgree(index: Int) throws {
        let (method, path, body) = InvalidRequestTests.good[index]
        let contract = try Contract()
        let schema = try #require(contract.bodySchema(method, InvalidRequestTests.route(path)))
        #expect(schema["additionalProperties"] as? Bool == false)
        let documented = Set((schema["properties"] as? [String: Any] ?? [:]).keys)
        let taken = Set(body.object?.map(\.name) ?? [])
        // Fields that exclude one another cannot all be in one good body.
        let alternatives: Set = ["role", "user", "team", "model", "routing_key", "secret", "to", "usage", "provider_usage"]
        #expect(taken.isSubset(of: documented) && documented.subtracting(taken).isSubset(of: alternatives), "\(documented) \(taken)")
    }

    @Test("every field that comes in has a limit in the document")
    func limits() throws {
        let contract = try Contract()
        for (operation, schema) in contract.bodies {
            for fault in contract.unbounded(schema) { Issue.record("\(operation): \(fault)") }
        }
        for (operation, parameter) in contract.parameters {
            let fault = contract.unbounded(parameter["schema"] ?? [:] as [String: Any]).first
            #expect(fault == nil, "\(operation) \(parameter["name"] ?? "")")
        }
    }

    @Test("every body has an example")
    func hasExamples() throws {
        let contract = try Contract()
        for (operation, schema) in contract.bodies {
            let schema = contract.resolved(schema)
            let isEmpty = (schema["properties"] as? [String: Any])?.isEmpty ?? false
            #expect(isEmpty || (schema["examples"] as? [Any])?.isEmpty == false, "\(operation)")
        }
    }

    @Test("the examples work as they stand, once their ids are those of things that are there")
    func examplesWork() async throws {
        let contract = try Contract()
        var requests: [(method: HTTPRequest.Method, path: String, body: JSON)] = []
        for (method, path, _) in InvalidRequestTests.good {
            let schema = try #require(contract.bodySchema(method, InvalidRequestTests.route(path)))
            for example in schema["examples"] as? [Any] ?? [] {
                requests.append((method, path, try JSON.parse(Array(JSONSerialization.data(withJSONObject: example)))))
            }
        }
        try #require(requests.count > 20)
        try await withServer { [requests] served in
            let world = try await World.make(served)
            let names = try await Names(world)
            for (method, path, body) in requests {
                try await InvalidRequestTests.bring(path, to: world)
                let caller = path == "/v1/organizations" ? served.caller(served.operatorKey) : served.owner
                var body = try #require(names.exchange(body).object)
                // A day to come and within a year cannot be written down for ever.
                if body["starts_at"] == nil, body["ends_at"] != nil { body["ends_at"] = .string(Instant.now().adding(seconds: 60).rfc3339) }
                let answer = try await caller.send(method, names.fill(path), JSON.object(body).bytes, headers: [.ifMatch: "*"])
                #expect((200...299).contains(answer.status), "\(method) \(path) \(JSON.object(body).text): \(answer)")
            }
        }
    }

    @Test("every reference in the document leads somewhere, and operation ids are unique")
    func references() throws {
        let contract = try Contract()
        for reference in contract.references {
            let path = reference.dropFirst(2).split(separator: "/").map(String.init)
            #expect(contract.at(path) != nil, "\(reference)")
        }
        let ids = contract.operationIDs
        #expect(Set(ids).count == ids.count && ids.count == routes.count)
    }
}

/// The document, read from the repository.
private struct Contract {
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
    func unbounded(_ schema: Any, at pointer: String = "") -> [String] {
        let schema = resolved(schema as? [String: Any] ?? [:])
        let has = { (names: String...) in names.contains { schema[$0] != nil } }
        let types = (schema["type"] as? [String]) ?? (schema["type"] as? String).map { [$0] } ?? []
        var faults: [String] = []
        for type in types {
            let isBounded =
                switch type {
                case "string": has("maxLength", "pattern", "enum", "const", "format")
                case "integer": has("maximum", "enum")
                case "array": has("maxItems")
                case "object": has("maxProperties") || schema["additionalProperties"] as? Bool == false
                default: true
                }
            if !isBounded { faults.append("\(pointer): \(type)") }
        }
        for name in ["anyOf", "oneOf"] { faults += (schema[name] as? [Any] ?? []).flatMap { unbounded($0, at: pointer) } }
        for name in ["items", "additionalProperties"] where schema[name] is [String: Any] {
            faults += unbounded(schema[name] ?? [:], at: pointer + "/*")
        }
        for (name, property) in schema["properties"] as? [String: Any] ?? [:] { faults += unbounded(property, at: pointer + "/" + name) }
        return faults
    }

    func bodySchema(_ method: HTTPRequest.Method, _ path: String) -> [String: Any]? {
        let reference = at("paths", path, method.rawValue.lowercased(), "requestBody", "content", "application/json", "schema", "$ref")
        return (reference as? String).flatMap { at($0.dropFirst(2).split(separator: "/").map(String.init)) as? [String: Any] }
    }
}
