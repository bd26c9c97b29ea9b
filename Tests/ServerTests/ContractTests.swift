/// `openapi/bursar.yaml` and the server say the same: routes, problem codes, and the fields of every body.
import Foundation
import HTTPTypes
import JSON
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
        let scopes = try Contract().at("components", "schemas", "Scope", "enum") as? [String]
        #expect(Set(scopes ?? []) == Set(Permission.allCases.map(\.rawValue)))
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
        let route = path.split(separator: "/").map { $0.hasPrefix("$") ? "{id}" : String($0) }.joined(separator: "/")
        let schema = try #require(contract.bodySchema(method, "/" + route))
        #expect(schema["additionalProperties"] as? Bool == false)
        let documented = Set((schema["properties"] as? [String: Any] ?? [:]).keys)
        let taken = Set(body.object?.map(\.name) ?? [])
        // Fields that exclude one another cannot all be in one good body.
        let alternatives: Set = ["role", "user", "team", "model", "routing_key", "secret"]
        #expect(taken.isSubset(of: documented) && documented.subtracting(taken).isSubset(of: alternatives), "\(documented) \(taken)")
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

    func bodySchema(_ method: HTTPRequest.Method, _ path: String) -> [String: Any]? {
        let reference = at("paths", path, method.rawValue.lowercased(), "requestBody", "content", "application/json", "schema", "$ref")
        return (reference as? String).flatMap { at($0.dropFirst(2).split(separator: "/").map(String.init)) as? [String: Any] }
    }
}
