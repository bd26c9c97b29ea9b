/// One request as its handler sees it, and the ways to answer. Bodies are read by our own parser, never by Foundation's decoders.
import Budgets
import HTTPTypes
import Hummingbird
import JSON
import Logging
import NIOCore
import Outbound
import Store

/// What Hummingbird carries along with a request.
struct ServerContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The address at the other end of the connection.
    let peer: IPAddress?

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        peer = source.channel.remoteAddress.flatMap { IPAddress($0) }
    }
}

struct Exchange: Sendable {
    let request: Request
    let parameters: Parameters
    /// Who asks. On routes open to anyone: nobody.
    let credential: Credential
    /// How far it may do what the route does.
    let reach: Reach
    let body: [UInt8]
    /// From the caller, or made here; in every answer and log line.
    let requestID: String
    let now: Instant
    let logger: Logger

    var organization: OrganizationID { credential.organization }

    /// The id in the path; one that cannot be read names nothing.
    func id<Kind: IDKind>(_ kind: Kind.Type) throws(Problem) -> ID<Kind> {
        guard let id = parameters.get("id").flatMap({ ID<Kind>($0) }) else { throw Problem(.notFound) }
        return id
    }

    /// Refuses what another team's thing would be changed, made or read by.
    func require(_ team: TeamID) throws(Problem) {
        guard reach.covers(team) else { throw Problem(.forbidden, "Your role there does not reach that team.") }
    }

    /// The body's fields. An empty body stands for an object without any.
    func fields() throws(Problem) -> FieldReader {
        guard !body.isEmpty else { return FieldReader(JSON.Object()) }
        guard let type = request.headers[.contentType], Exchange.isJSON(type) else { throw Problem(.unsupportedMediaType) }
        let value: JSON
        do {
            value = try JSON.parse(body)
        } catch {
            throw .invalid("The body is not JSON: \(error).")
        }
        guard case .object(let object) = value else { throw .invalid("The body must be a JSON object, not \(value.kindName).") }
        return FieldReader(object)
    }

    /// The query's parameters as they came; each at most once.
    func queryMembers() throws(Problem) -> [JSON.Object.Member] {
        guard let query = request.uri.query else { return [] }
        var members: [JSON.Object.Member] = []
        for part in query.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = pair.count == 2 ? pair[1] : ""
            guard let name = Exchange.decoded(pair[0]), let text = Exchange.decoded(value),
                !members.contains(where: { $0.name == name })
            else { throw .invalid("The query cannot be read.") }
            members.append(JSON.Object.Member(name: name, value: .string(text)))
        }
        return members
    }

    /// The revision in `If-Match`: nil when any will do, which has to be said (`*`), because a lost update of a limit costs money.
    func expectedRevision() throws(Problem) -> Int64? {
        guard let header = request.headers[.ifMatch] else {
            throw Problem(.preconditionRequired, "Send the ETag of the revision that the change rests on as If-Match, or * for any.")
        }
        if header == "*" { return nil }
        // Our tags are strong: a weak one, or several, cannot match (RFC 9110 §13.1.1).
        guard header.first == "\"", header.last == "\"", let revision = Int64(header.dropFirst().dropLast()) else {
            throw Problem(.revisionMismatch, "If-Match is not a revision of this resource.")
        }
        return revision
    }

    /// Percent-decoded (RFC 3986 §2.1), `+` for a blank as forms write it; nil when it is not UTF-8.
    private static func decoded(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
                bytes.append(value)
                rest = rest.dropFirst(2)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// `application/json`, or a type with the suffix `+json`; parameters are ignored.
    private static func isJSON(_ header: String) -> Bool {
        if header == "application/json" { return true }
        let type = header.prefix { $0 != ";" }.filter { $0 != " " }.lowercased()
        return type == "application/json" || (type.hasPrefix("application/") && type.hasSuffix("+json"))
    }
}

extension Response {
    /// An answer whose JSON the body writes.
    static func json(
        _ status: HTTPResponse.Status = .ok, revision: Int64? = nil, _ body: (inout JSONWriter) -> Void
    ) -> Response {
        var writer = JSONWriter(capacity: 2048)  // what a reservation with four budgets takes, without growing on the way
        body(&writer)
        var fields = HTTPFields()
        fields[.contentType] = "application/json"
        if let revision { fields[.eTag] = "\"\(revision)\"" }
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: writer.bytes)))
    }

    static func text(_ type: String, _ bytes: [UInt8]) -> Response {
        Response(status: .ok, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

/// Thrown when the body breaks off: the connection is beyond an answer, and Hummingbird has to see the cause.
struct BodyLost: Error {
    let cause: any Error
}

enum RequestBodies {
    /// The largest body that is read: a batch of 1,000 usage events with all their attribution fits (law 11).
    static let bound = 1 << 20
    /// So much of a larger one is still read and thrown away, because many clients look for an answer only after sending all.
    static let drainBound = 16 << 20

    static func collect(_ request: Request) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        var size = 0
        do {
            for try await chunk in request.body {
                size += chunk.readableBytes
                if size <= bound { bytes.append(contentsOf: chunk.readableBytesView) }
                if size > drainBound { break }
            }
        } catch {
            throw BodyLost(cause: error)
        }
        guard size <= bound else { throw Problem(.bodyTooLarge, "A body may have \(bound) bytes.") }
        return bytes
    }
}
