/// The REST API as `apply` and `dump` speak it: pages read to their end, writes that can be repeated until they are answered.
import Foundation
import JSON
import Logging
import Outbound
import Synchronization

/// What the server refused, in its own words.
struct SetupProblem: Error, CustomStringConvertible {
    let status: Int
    let code: String
    let detail: String
    let faults: [(pointer: String, detail: String)]

    init(status: Int, _ body: JSON) {
        self.status = status
        code = body["code"]?.string ?? "status_\(status)"
        detail = body["detail"]?.string ?? body["title"]?.string ?? "the server answered \(status)"
        faults = (body["errors"]?.array ?? []).map { ($0["pointer"]?.string ?? "", $0["detail"]?.string ?? "") }
    }

    var description: String {
        switch code {
        case "revision_mismatch": "it was changed by somebody else in the meantime"
        case "unauthenticated": "the server does not know the API key"
        default: "\(detail) (\(code))"
        }
    }
}

struct SetupAPI: Sendable {
    typealias Send = @Sendable (OutboundRequest) async throws(OutboundError) -> OutboundResponse

    let url: String
    let apiKey: String
    let send: Send
    /// Waits between two attempts.
    let pause: @Sendable (Duration) async throws -> Void

    /// After so many attempts, half a minute in all, whoever started it should look.
    private static let attempts = 7
    private static let longestPause = 16
    /// So long may an answer take: longer than any of the server's statements.
    private static let patience: Duration = .seconds(60)

    init(
        url: String, apiKey: String, send: @escaping Send,
        pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.apiKey = apiKey
        self.send = send
        self.pause = pause
    }

    func read(_ path: String) async throws -> JSON { try await ask(request(.get, path)) }

    /// All elements of a list.
    func list(_ path: String) async throws -> [JSON] {
        var items: [JSON] = []
        var cursor: String?
        repeat {
            let page = try await read("\(path)?limit=200" + (cursor.map { "&cursor=\($0)" } ?? ""))
            items += page["data"]?.array ?? []
            cursor = page["next_cursor"]?.string
        } while cursor != nil
        return items
    }

    /// A change, done once however often it has to be sent: an answer that got lost is given again.
    /// - Parameter revision: what it rests on, for all but a POST.
    func write(_ method: OutboundRequest.Method, _ path: String, _ body: JSON? = nil, revision: Int64? = nil) async throws -> JSON {
        var headers = [Header("idempotency-key", "apply-\(UUID().uuidString)")]
        if let revision { headers.append(Header("if-match", "\"\(revision)\"")) }
        return try await ask(request(method, path, body?.bytes ?? [], headers))
    }

    private func request(
        _ method: OutboundRequest.Method, _ path: String, _ body: [UInt8] = [], _ headers: [Header] = []
    ) -> OutboundRequest {
        let usual = [Header("authorization", "Bearer \(apiKey)"), Header("content-type", "application/json")]
        return OutboundRequest(method, url: url + path, headers: usual + headers, body: body, deadline: Self.patience)
    }

    private func ask(_ request: OutboundRequest) async throws -> JSON {
        for attempt in 1... {
            var pause = min(Self.longestPause, 1 << (attempt - 1))
            do {
                let response = try await send(request)
                let body = (try? JSON.parse(response.body)) ?? .null
                if (200...299).contains(response.status), response.isComplete { return body }
                let problem = SetupProblem(status: response.status, body)
                guard response.isComplete == false || problem.isPassing, attempt < Self.attempts else { throw problem }
                if let asked = response.header("retry-after").flatMap({ Int($0) }) { pause = min(max(pause, asked), Self.longestPause) }
            } catch let error as OutboundError {
                guard error.isPassing, attempt < Self.attempts else { throw CommandError("\(url): \(error.text)") }
            }
            try await self.pause(.seconds(pause))
        }
        preconditionFailure("the last attempt returns or throws")
    }
}

extension SetupAPI {
    /// A page of the longest names and patterns stays far below it.
    private static let longestAnswer = 64 << 20

    /// Sends through curl. A key goes in the clear only inside private networks: to public addresses it takes https.
    static func sender(_ client: OutboundClient) -> Send {
        { request throws(OutboundError) in
            let bytes = Mutex<[UInt8]>([])
            let response = try await client.send(
                request,
                body: BodySink { more in
                    bytes.withLock { bytes in
                        bytes += more
                        return bytes.count <= longestAnswer
                    }
                })
            let body = bytes.withLock { $0 }
            return OutboundResponse(status: response.status, headers: response.headers, body: body, isComplete: response.isComplete)
        }
    }

    static let privateNetworks = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1", "fc00::/7"]
        .compactMap { CIDR($0) }
}

extension SetupProblem {
    /// Whether the same request may be answered otherwise in a moment.
    fileprivate var isPassing: Bool { status == 503 || status == 429 || code == "request_in_flight" }
}

extension OutboundError {
    fileprivate var isPassing: Bool {
        switch self {
        case .interrupted, .timedOut, .unreachable, .overloaded: true
        default: false
        }
    }

    fileprivate var text: String {
        self == .notAllowed ? "take https on port 443 or 8443, or an address in a private network" : description
    }
}
