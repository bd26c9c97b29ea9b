/// What a client says to Postgres, read off the road: how many round trips it makes, and the statements in them.
import Foundation

/// The front end's side of the protocol (PostgreSQL 55.7), as far as counting needs it.
public struct Conversation: Sendable {
    /// Each asks the server to answer all before it and is waited for: one round trip.
    public private(set) var syncs = 0
    /// The SQL of what was executed, in order.
    public private(set) var executed: [String] = []

    private var unread: [UInt8] = []
    private var hasStarted = false
    private var prepared: [String: String] = [:]
    private var bound: String?

    /// Forgets what was said so far, but not what was prepared.
    mutating func begin() { (syncs, executed) = (0, []) }

    mutating func read(_ bytes: [UInt8]) {
        unread += bytes
        while let message = next() {
            switch message.type {
            case UInt8(ascii: "S"): syncs += 1
            case UInt8(ascii: "P"): prepared[message.text(0)] = message.text(1)
            case UInt8(ascii: "B"): bound = prepared[message.text(1)]
            case UInt8(ascii: "E"): executed.append(bound ?? "?")
            default: break
            }
        }
    }

    private struct Message {
        let type: UInt8
        let body: ArraySlice<UInt8>

        /// The body's zero-terminated texts, by number.
        func text(_ index: Int) -> String {
            String(decoding: body.split(separator: 0, maxSplits: index + 1, omittingEmptySubsequences: false)[index], as: UTF8.self)
        }
    }

    /// The next whole message. Those before the session has started have no type; asking for encryption is such a one, too.
    private mutating func next() -> Message? {
        let head = hasStarted ? 1 : 0
        guard unread.count >= head + 8 || hasStarted && unread.count >= 5 else { return nil }
        let length = unread[head..<head + 4].reduce(0) { $0 << 8 | Int($1) }
        guard unread.count >= head + length else { return nil }
        let message = Message(type: hasStarted ? unread[0] : 0, body: unread[(head + 4)..<(head + length)])
        if !hasStarted { hasStarted = message.body.prefix(4).elementsEqual([0, 3, 0, 0]) }
        unread.removeFirst(head + length)
        return message
    }
}
