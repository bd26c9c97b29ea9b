/// What goes out, what comes back, and the ways it can fail.

/// A request with a small body: a POST unless another method is named.
public struct OutboundRequest: Sendable {
    public enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    public let method: Method
    /// Absolute; may be a credential in itself, and is therefore never logged.
    public let url: String
    public let headers: [Header]
    public let body: [UInt8]
    /// From `send` to the end of the answer, waiting in the queue included.
    public let deadline: Duration

    public init(
        _ method: Method = .post, url: String, headers: [Header], body: [UInt8], deadline: Duration = OutboundRequest.longest
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.deadline = deadline
    }

    /// The usual deadline. Webhook senders of trust wait 10 to 30 s; a lease on a delivery must outlast this.
    public static let longest: Duration = .seconds(15)
    /// How long of that a connection may take to come about, name lookup and TLS included.
    public static let longestConnect: Duration = .seconds(5)
}

extension OutboundRequest: CustomStringConvertible, CustomDebugStringConvertible {
    public var description: String { "\(method.rawValue) of \(body.count) bytes" }
    public var debugDescription: String { description }
}

/// Where the body of an answer goes while it comes, for answers that are longer than `OutboundResponse.longestBody` or are to be passed on
/// before they end.
public struct BodySink: Sendable {
    /// Takes the next bytes, in order; false ends the transfer. Runs on the client's only thread: it must not wait, or every other
    /// transfer waits too. Whoever is slower than the network bounds what it keeps, and ends the transfer beyond.
    let take: @Sendable ([UInt8]) -> Bool

    public init(_ take: @escaping @Sendable ([UInt8]) -> Bool) { self.take = take }
}

/// One line of a request's or a response's head. Names compare without case; a response's are in lower case.
public struct Header: Hashable, Sendable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A final status, and as much of the rest as came.
public struct OutboundResponse: Sendable {
    public let status: Int
    public let headers: [Header]
    /// At most `longestBody` bytes.
    public let body: [UInt8]
    /// False when the body was cut: by us at `longestBody`, or by the peer, the network or the deadline after the status had arrived.
    public let isComplete: Bool

    public init(status: Int, headers: [Header], body: [UInt8], isComplete: Bool) {
        self.status = status
        self.headers = headers
        self.body = body
        self.isComplete = isComplete
    }

    /// Answers of webhook receivers are a word or a short problem; reading stops here, so that a flood costs nothing.
    public static let longestBody = 64 * 1024
    /// The same bound for the head.
    public static let longestHead = 64 * 1024

    /// The first header of that name, given in lower case.
    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Why a request has no answer. Never holds a URL, a header or an address, and may be shown to a tenant.
public enum OutboundError: Error, Hashable, Sendable {
    /// The URL or a header can never be sent; the text says what is wrong with it.
    case invalid(String)
    /// The name leads to an address, port or scheme that is not allowed. Trying again is pointless.
    case notAllowed
    case unresolved
    case unreachable
    /// The certificate does not prove that the peer is who the URL says, or TLS failed otherwise.
    case untrusted
    /// Sent at least in part, and cut before a status came: the peer may have acted on it.
    case interrupted
    case timedOut
    case cancelled
    /// Too many requests are waiting already.
    case overloaded
    /// The client was shut down.
    case stopped
    /// What libcurl calls by this number (curl_easy_strerror).
    case other(Int)
}

extension OutboundError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalid(let reason): reason
        case .notAllowed: "address not allowed"
        case .unresolved: "name not resolved"
        case .unreachable: "no connection"
        case .untrusted: "TLS failed"
        case .interrupted: "connection cut"
        case .timedOut: "timed out"
        case .cancelled: "cancelled"
        case .overloaded: "too many requests waiting"
        case .stopped: "shutting down"
        case .other(let code): "transfer failed (\(code))"
        }
    }
}
