/// How the bench offers load: closed loops for throughput, and an open loop at a fixed rate for latency. In the open loop every call is
/// timed from the moment it was due, not from when a busy connection came to send it: no coordinated omission.
import Budgets
import Histogram
import NIOCore

/// What one connection measured.
struct Measured: Sendable {
    var answered = 0
    var unexpected: [Int: Int] = [:]
    /// Microseconds.
    var latency = Histogram<UInt64>(highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: .three)

    mutating func add(_ other: Measured) {
        answered += other.answered
        for (status, count) in other.unexpected { unexpected[status, default: 0] += count }
        latency.add(other.latency)
    }
}

/// The calls of one connection, each with a request id of its own.
struct CallMaker: Sendable {
    enum Kind: Sendable {
        /// A route that reads the same body as a reservation, answers with its fields and does nothing else.
        case bare
        /// A route that reads no body and answers with two letters.
        case text
        case reserve
        /// A reservation and its settlement in turn.
        case cycle
    }

    let kind: Kind
    let heads: [RequestHead]
    let prefix: String
    private var count = 0
    private var open: [UInt8]?

    init(_ kind: Kind, heads: [RequestHead], prefix: String) {
        self.kind = kind
        self.heads = heads
        self.prefix = prefix
    }

    mutating func next() -> ByteBuffer {
        if kind == .text { return heads[0].request("GET", "/health/live") }
        if let open {
            let path = "/v1/reservations/\(String(decoding: open, as: UTF8.self))/settle"
            return heads[count % heads.count].request("POST", path, body: CallMaker.settlement)
        }
        count += 1
        var body = CallMaker.reservation
        body.append(contentsOf: "\(prefix)\(count)\"}".utf8)
        return heads[count % heads.count].request("POST", kind == .bare ? "/bench" : "/v1/reservations", body: body)
    }

    /// Notes the answer; false when it is not what was expected.
    mutating func answered(_ status: Int, _ body: ByteBuffer) -> Bool {
        switch kind {
        case .bare, .text: return status == 200
        case .reserve: return status == 201
        case .cycle:
            if open != nil {
                open = nil
                return status == 200
            }
            // The answer begins {"id":"rsv_ and 32 digits.
            guard status == 201, let id = body.getBytes(at: body.readerIndex + 7, length: 36) else { return false }
            open = id
            return true
        }
    }

    private static let reservation = Array(
        #"{"model":"gpt-4o","input_tokens":1200,"max_output_tokens":800,"feature":"bench","request_id":""#.utf8)
    private static let settlement = Array(#"{"usage":{"input":1200,"output":312},"latency_ms":910,"outcome":"ok"}"#.utf8)
}

/// Sends the next call as soon as the last is answered, until the time is over.
struct ClosedLoop: LoadDriver {
    var calls: CallMaker
    let until: NIODeadline
    var measured = Measured()

    mutating func next(now: NIODeadline) -> LoadStep { now < until ? .send(calls.next()) : .stop }

    mutating func answered(status: Int, body: ByteBuffer, sentAt: NIODeadline, now: NIODeadline) {
        measured.note(calls.answered(status, body), status, since: sentAt, now: now)
    }

    mutating func finish() -> Measured { measured }
}

/// Sends a call at each moment it is due, late if it must, and times it from that moment.
struct OpenLoop: LoadDriver {
    var calls: CallMaker
    let interval: TimeAmount
    var due: NIODeadline
    /// Whether the load ends before the call that is due then.
    let isOver: @Sendable (NIODeadline) -> Bool
    var measured = Measured()
    private var inFlight: NIODeadline = .now()

    init(calls: CallMaker, interval: TimeAmount, start: NIODeadline, isOver: @escaping @Sendable (NIODeadline) -> Bool) {
        self.calls = calls
        self.interval = interval
        due = start
        self.isOver = isOver
    }

    mutating func next(now: NIODeadline) -> LoadStep {
        guard !isOver(due) else { return .stop }
        guard due <= now else { return .wait(until: due) }
        inFlight = due
        due = due + interval
        return .send(calls.next())
    }

    mutating func answered(status: Int, body: ByteBuffer, sentAt: NIODeadline, now: NIODeadline) {
        measured.note(calls.answered(status, body), status, since: inFlight, now: now)
    }

    mutating func finish() -> Measured { measured }
}

extension LoadClient {
    /// Offers reservations at a fixed rate, over enough connections that a call in flight does not keep the next from leaving when it is due.
    func paced(_ heads: [RequestHead], perSecond: Double, seconds: Int) async throws -> Measured {
        let until = NIODeadline.now() + .seconds(Int64(seconds))
        return try await paced(heads, perSecond: perSecond) { due in due >= until }
    }

    /// The same until it is over.
    func paced(
        _ heads: [RequestHead], perSecond: Double, isOver: @escaping @Sendable (NIODeadline) -> Bool
    ) async throws -> Measured {
        let interval = TimeAmount.nanoseconds(Int64(1e9 * Double(LoadClient.pacedConnections) / perSecond))
        let start = NIODeadline.now() + .milliseconds(100)
        let run = UInt64.random(in: 0 ... .max)
        let parts = try await drive(connections: LoadClient.pacedConnections) { connection in
            OpenLoop(
                calls: CallMaker(.reserve, heads: heads, prefix: "\(run)-\(connection)-"), interval: interval,
                start: start + .nanoseconds(interval.nanoseconds * Int64(connection) / Int64(LoadClient.pacedConnections)), isOver: isOver)
        }
        return parts.reduce(into: Measured()) { $0.add($1) }
    }

    static let pacedConnections = 16
}

extension Measured {
    fileprivate mutating func note(_ isExpected: Bool, _ status: Int, since: NIODeadline, now: NIODeadline) {
        answered += 1
        if !isExpected { unexpected[status, default: 0] += 1 }
        latency.record(UInt64(max(1, (now - since).nanoseconds / 1000)))
    }
}
