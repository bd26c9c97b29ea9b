/// What happens around the handler of every administrative write: one Postgres transaction, the author for the audit events, and
/// the first answer again for a repeated `Idempotency-Key`.
import Budgets
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Store

extension API {
    /// Runs the handler with a store whose reads and changes are one transaction, and commits it with the answer.
    func write(
        _ exchange: Exchange, _ handle: @escaping @Sendable (API) -> @Sendable (Exchange) async throws -> Response
    ) async throws -> Response {
        let author = Author(
            organization: exchange.organization, actor: exchange.credential.actor, apiKey: exchange.credential.apiKey,
            requestID: exchange.requestID)
        let repeatable = try exchange.repeatableRequest()
        let place = SealedPlace(
            table: "idempotent_requests", organization: author.organization, row: "\(author.actor) \(repeatable?.key ?? "")")
        let written = try await store.write(by: author, repeatable) { store in
            var api = self
            api.store = store
            let response = try await handle(api)(exchange)
            return repeatable == nil ? .passing(response) : .kept(try await KeptAnswer(response))
        } seal: { (answer: Answer) in
            guard case .kept(let kept) = answer else { return [] }
            return try sealer.seal(kept.json.bytes, at: place)
        }
        // There may be deliveries among what was committed.
        wakeDispatcher()
        switch written {
        case .done(.passing(let response)): return response
        case .done(.kept(let answer)): return answer.response
        case .repeated(let sealed): return try KeptAnswer(json: JSON.parse(try sealer.open(sealed, at: place))).response.replayed(true)
        }
    }

    private enum Answer: Sendable {
        case passing(Response)
        case kept(KeptAnswer)
    }
}

extension Exchange {
    static let idempotencyKey = HTTPField.Name("idempotency-key")!

    /// What `Idempotency-Key` names; nil without one. The draft quotes the text, most clients do not: both are the same.
    fileprivate func repeatableRequest() throws(Problem) -> RepeatableRequest? {
        guard let header = request.headers[Exchange.idempotencyKey] else { return nil }
        let isQuoted = header.count > 2 && header.first == "\"" && header.last == "\""
        let key = isQuoted ? String(header.dropFirst().dropLast()) : header
        guard (1...255).contains(header.utf8.count), key.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .invalid("Idempotency-Key must have 1 to 255 visible ASCII characters.")
        }
        let head = "\(request.method.rawValue) \(request.uri.path)\n\(request.headers[.ifMatch] ?? "")\n"
        return RepeatableRequest(key: key, content: Array(head.utf8) + body)
    }
}

/// An answer that can be given again: status, the fields that a handler sets, and the body.
private struct KeptAnswer: Sendable {
    let status: Int
    let contentType: String?
    let eTag: String?
    let location: String?
    let body: [UInt8]

    init(_ response: Response) async throws {
        status = response.status.code
        contentType = response.headers[.contentType]
        eTag = response.headers[.eTag]
        location = response.headers[.location]
        let collected = CollectedBody()
        try await response.body.write(CollectingWriter(into: collected))
        body = collected.bytes
    }

    /// - Throws: for what was not written by `json`.
    init(json: JSON) throws {
        guard let status = json["status"]?.int64, let body = json["body"]?.string else { throw Problem(.internalError) }
        self.status = Int(status)
        contentType = json["content_type"]?.string
        eTag = json["etag"]?.string
        location = json["location"]?.string
        self.body = Array(body.utf8)
    }

    /// Answers of administrative writes are JSON or empty, so the body is text.
    var json: JSON {
        [
            "status": .number(status), "content_type": contentType.map { .string($0) } ?? .null,
            "etag": eTag.map { .string($0) } ?? .null, "location": location.map { .string($0) } ?? .null,
            "body": .string(String(decoding: body, as: UTF8.self)),
        ]
    }

    var response: Response {
        var headers = HTTPFields()
        headers[.contentType] = contentType
        headers[.eTag] = eTag
        headers[.location] = location
        return Response(
            status: HTTPResponse.Status(code: status), headers: headers,
            body: body.isEmpty ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }
}

/// Takes a body that is in memory already: bounded by what handlers answer.
private final class CollectedBody {
    var bytes: [UInt8] = []
}

private struct CollectingWriter: ResponseBodyWriter {
    let body: CollectedBody

    init(into body: CollectedBody) { self.body = body }

    mutating func write(_ buffer: ByteBuffer) async throws { body.bytes += buffer.readableBytesView }
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
