/// What the document says of answers. Every test that talks to a server holds its answers to it (`Caller.send`), so that what the document
/// says is what the server does, in all the states that tests bring it to.
import HTTPTypes
import JSON
import Synchronization

@testable import Server

enum DeclaredAnswers {
    private struct Operation {
        let method: String
        let segments: [Substring]
        let responses: [String: Any]
    }

    private struct Document {
        let contract: Contract
        let operations: [Operation]

        init() throws {
            let contract = try Contract()
            operations = routes.map { route in
                let responses = contract.at("paths", route.path, route.method.rawValue.lowercased(), "responses") as? [String: Any]
                return Operation(method: route.method.rawValue, segments: route.path.split(separator: "/"), responses: responses ?? [:])
            }
            self.contract = contract
        }
    }

    private static let document = Mutex(try? Document())

    /// Where such an answer is not as the document says. What no operation stands behind is not its matter.
    static func faults(_ status: Int, _ headers: HTTPFields, _ text: String, to method: HTTPRequest.Method, _ path: String) -> [String] {
        document.withLock { document in
            guard let document else { return ["the document cannot be read"] }
            return faults(status, headers, text, method, path, document)
        }
    }

    private static func faults(
        _ status: Int, _ headers: HTTPFields, _ text: String, _ method: HTTPRequest.Method, _ path: String, _ document: Document
    ) -> [String] {
        let segments = path.prefix { $0 != "?" }.split(separator: "/")
        let operation = document.operations.first { operation in
            operation.method == method.rawValue && operation.segments.count == segments.count
                && zip(operation.segments, segments).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
        guard let operation else { return [] }
        guard let response = (operation.responses["\(status)"] as? [String: Any]).map(document.contract.resolved) else {
            return ["\(status) is not among the answers"]
        }
        var faults: [String] = []
        let tag = (response["headers"] as? [String: [String: Any]])?["ETag"].map(document.contract.resolved)
        if headers[.eTag] != nil, tag == nil { faults.append("an ETag is not said") }
        if headers[.eTag] == nil, tag?["required"] as? Bool == true { faults.append("there is no ETag") }
        guard !text.isEmpty else { return faults }
        let type = String((headers[.contentType] ?? "").prefix { $0 != ";" })
        guard let media = (response["content"] as? [String: Any])?[type] as? [String: Any] else {
            return faults + ["\(type) is not said"]
        }
        guard type.hasSuffix("json"), !type.hasSuffix("ndjson"), status != 206 else { return faults }
        guard let value = try? JSON.parse(text) else { return faults + ["it is no JSON"] }
        return faults + document.contract.misfits(value, media["schema"] as? [String: Any] ?? [:], isClosed: true)
    }
}
