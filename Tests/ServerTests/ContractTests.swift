/// `openapi/bursar.yaml` and the server say the same: routes, problem codes, and the fields of every body.
import Budgets
import Foundation
import HTTPTypes
import JSON
import Store
import Testing

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

    @Test("every field that comes in or goes out has a limit in the document")
    func limits() throws {
        let contract = try Contract()
        for (operation, schema) in contract.bodies {
            for fault in contract.unbounded(schema) { Issue.record("\(operation): \(fault)") }
        }
        for (name, schema) in try #require(contract.at("components", "schemas") as? [String: Any]) {
            for fault in contract.unbounded(schema, isOutgoing: true) { Issue.record("\(name): \(fault)") }
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

    @Test("every operation says each status that it may answer by itself, and what each means")
    func statuses() throws {
        let contract = try Contract()
        for route in routes {
            let operation = contract.at("paths", route.path, route.method.rawValue.lowercased()) as? [String: Any]
            let responses = try #require(operation?["responses"] as? [String: Any])
            #expect(responses.keys.allSatisfy { Int($0) != nil }, "\(route.path): \(responses.keys.sorted())")
            var least: Set<String> = ["500"]
            if case .needs = route.access { least.formUnion(["401", "403", "429", "503"]) }
            if route.path.contains("{") { least.insert("404") }
            if operation?["requestBody"] != nil { least.formUnion(["400", "413", "415", "422"]) }
            if route.isChange { least.insert("409") }
            if [.patch, .put, .delete].contains(route.method) { least.formUnion(["412", "428"]) }
            #expect(least.isSubset(of: responses.keys), "\(route.method) \(route.path): \(least.subtracting(responses.keys))")
            for (status, response) in responses {
                let response = contract.resolved(response as? [String: Any] ?? [:])
                #expect((response["description"] as? String)?.isEmpty == false, "\(route.path) \(status)")
                guard let code = Int(status), code >= 400 else { continue }
                let content = response["content"] as? [String: Any]
                #expect(content?["application/problem+json"] != nil, "\(route.path) \(status)")
            }
        }
    }

    @Test("every answer has an example, and each is as its schema says; without a member, or with one more, it would not be")
    func answersHaveExamples() throws {
        let contract = try Contract()
        for (operation, type, media) in contract.successes where type != "application/zip" {
            let examples = contract.examples(media)
            #expect(!examples.isEmpty, "\(operation) \(type)")
            let schema = try #require(media["schema"] as? [String: Any])
            guard type == "application/json", schema["$ref"] != nil else { continue }
            for example in examples {
                let faults = contract.misfits(example, schema, isClosed: true)
                #expect(faults == [], "\(operation)")
                var other = try #require(example.object)
                other["undocumented"] = 1
                #expect(!contract.misfits(.object(other), schema, isClosed: true).isEmpty, "\(operation)")
                for name in contract.resolved(schema)["required"] as? [String] ?? [] {
                    var other = try #require(example.object)
                    other[name] = nil
                    #expect(!contract.misfits(.object(other), schema, isClosed: true).isEmpty, "\(operation) without \(name)")
                }
            }
        }
    }

    @Test("each code has an example of its problem where its status stands, and it is the problem that we write")
    func problemsHaveExamples() throws {
        let contract = try Contract()
        let responses = try #require(contract.at("components", "responses") as? [String: [String: Any]])
        var shown: [String: Set<ProblemCode>] = [:]
        for (name, response) in responses {
            let content = response["content"] as? [String: [String: Any]]
            for example in content?["application/problem+json"].map(contract.examples) ?? [] {
                let code = try #require(example["code"]?.string.flatMap(ProblemCode.init))
                shown[name, default: []].insert(code)
                var problem = Problem(code, example["detail"]?.string)
                problem.status = name == "badRequest" ? 400 : code.status
                #expect(example["title"]?.string == code.title && example["status"]?.int64 == Int64(problem.status), "\(example)")
                #expect(example["type"]?.string == "https://bursar.dev/problems/\(code.rawValue)")
                #expect(contract.misfits(example, ["$ref": "#/components/schemas/Problem"], isClosed: true) == [], "\(code)")
            }
        }
        #expect(shown.values.reduce(into: Set()) { $0.formUnion($1) } == Set(ProblemCode.allCases))
        for route in routes {
            let responses = contract.at("paths", route.path, route.method.rawValue.lowercased(), "responses") as? [String: [String: Any]]
            for (status, response) in responses ?? [:] {
                guard let reference = response["$ref"] as? String, let name = reference.split(separator: "/").last else { continue }
                let codes = try #require(shown[String(name)], "\(name)")
                #expect(codes.allSatisfy { "\($0.status)" == status || status == "400" }, "\(route.path) \(status): \(codes)")
            }
        }
    }

    @Test("what makes a thing links to what can be done with it")
    func links() throws {
        let contract = try Contract()
        for route in routes where route.method == .get && route.path.hasSuffix("/{id}") {
            let collection = String(route.path.dropLast("/{id}".count))
            let responses = contract.at("paths", collection, "post", "responses") as? [String: Any]
            guard let made = contract.resolved(responses?["201"] as? [String: Any] ?? [:])["links"] as? [String: Any] else {
                // Reallocations, grants and deliveries among others are made by something else.
                #expect(responses?["201"] == nil, "\(collection) links to nothing")
                continue
            }
            let reading = contract.at("paths", route.path, "get", "operationId") as? String
            #expect(made.keys.contains(reading ?? ""), "\(collection): \(made.keys.sorted())")
        }
    }

    @Test("each type of event is a webhook in the document, and the examples of docs/webhooks.md are what it says")
    func webhooks() throws {
        let contract = try Contract()
        let hooks = try #require(contract.at("webhooks") as? [String: Any])
        #expect(hooks.keys.sorted() == EventType.allCases.map(\.rawValue).sorted())
        #expect(contract.at("components", "schemas", "EventType", "enum") as? [String] == EventType.allCases.map(\.rawValue))
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../docs/webhooks.md").standardized
        let examples = try String(contentsOf: file, encoding: .utf8).components(separatedBy: "```json\n").dropFirst().map { part in
            try JSON.parse(part.components(separatedBy: "```")[0])
        }
        let frame = try #require(examples.first?.object)
        let events = examples.filter { $0["version"] != nil }
        #expect(events.count == hooks.count)
        for event in events {
            let type = try #require(event["type"]?.string)
            let hook = contract.resolved(hooks[type] as? [String: Any] ?? [:])
            let post = try #require(hook["post"] as? [String: Any], "\(type)")
            let body = (post["requestBody"] as? [String: Any])?["content"] as? [String: Any]
            let schema = try #require((body?["application/json"] as? [String: Any])?["schema"] as? [String: Any])
            var sent = frame
            (sent["type"], sent["data"]) = (.string(type), event)
            #expect(contract.misfits(.object(sent), schema) == [], "\(type)")
            // And it can tell: without one of its members, or with a changed one, the example is no such event.
            for member in ["id", "organization"] {
                var data = try #require(event.object)
                data[member] = .number(7)
                sent["data"] = .object(data)
                #expect(!contract.misfits(.object(sent), schema).isEmpty, "\(type) \(member)")
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
