/// E-mail on its way out: one message to a few recipients, over the operator's own server.

/// The server that takes our mail. Set by the operator, so it may be anywhere; tenants name only recipients.
public struct MailServer: Sendable {
    /// `smtp://host:587` (then STARTTLS is required) or `smtps://host:465`.
    public let url: String
    /// Nil: no login.
    public let user: String?
    public let password: String?
    /// What stands in `From`, and what the server is told.
    public let sender: String

    public init(url: String, user: String? = nil, password: String? = nil, sender: String) {
        self.url = url
        self.user = user
        self.password = password
        self.sender = sender
    }
}

extension MailServer: CustomStringConvertible, CustomDebugStringConvertible {
    public var description: String { "mail server" }
    public var debugDescription: String { description }
}

/// A message as it goes over the wire (RFC 5322), with CRLF line ends.
public struct OutboundMail: Sendable {
    public let server: MailServer
    /// Addresses without display names.
    public let recipients: [String]
    public let message: [UInt8]
    /// From `send` to the server's last word.
    public let deadline: Duration

    public init(server: MailServer, recipients: [String], message: [UInt8], deadline: Duration = OutboundRequest.longest) {
        self.server = server
        self.recipients = recipients
        self.message = message
        self.deadline = deadline
    }

    /// Whether the text can be an address in an SMTP command: nothing in it ends the command or begins another.
    public static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && (3...254).contains(text.utf8.count) && parts.allSatisfy { !$0.isEmpty }
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !Array("<>()[]\\,;:\"".utf8).contains($0) }
    }
}

/// What a transfer sends.
enum Outgoing: Sendable {
    case request(OutboundRequest, BodySink?)
    case mail(OutboundMail)

    var deadline: Duration {
        switch self {
        case .request(let request, _): request.deadline
        case .mail(let mail): mail.deadline
        }
    }
}
