/// Where the demo's alerts arrive: real HTTP receivers on loopback that answer as Slack, PagerDuty and a webhook's owner would.
import JSON
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// One alert as one receiver got it.
struct DemoAlert: Hashable, Sendable {
    let receiver: String
    let budget: String
    let threshold: Int64
}

/// The three receivers, on one port.
final class DemoReceivers: Sendable {
    static let names = ["slack", "pagerduty", "webhook"]

    private struct State {
        var alerts: [DemoAlert] = []
        /// Bodies that no alert could be read from: none in a healthy run.
        var unread: [String] = []
    }

    let port: Int
    private let channel: any Channel
    private let state: Mutex<State>

    private init(port: Int, channel: any Channel, state: consuming Mutex<State>) {
        self.port = port
        self.channel = channel
        self.state = state
    }

    /// Listens on a free port of 127.0.0.1. `onAlert` is called for each alert as it arrives.
    static func start(onAlert: @escaping @Sendable (DemoAlert) -> Void) async throws -> DemoReceivers {
        let handed = HandedOver()
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        DemoReceiver { receiver, body in handed.receivers?.take(receiver, body, onAlert) })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let receivers = DemoReceivers(port: channel.localAddress?.port ?? 0, channel: channel, state: Mutex(State()))
        handed.set(receivers)
        return receivers
    }

    func stop() async throws { try await channel.close() }

    var alerts: [DemoAlert] { state.withLock { $0.alerts } }
    var unread: [String] { state.withLock { $0.unread } }

    private func take(_ receiver: String, _ body: [UInt8], _ onAlert: (DemoAlert) -> Void) {
        guard let alert = DemoAlert(receiver: receiver, body: body) else {
            return state.withLock { $0.unread.append(String(decoding: body.prefix(500), as: UTF8.self)) }
        }
        onAlert(alert)
        state.withLock { $0.alerts.append(alert) }
    }

    /// The handlers are made before the receivers know their port.
    private final class HandedOver: Sendable {
        private let value = Mutex<DemoReceivers?>(nil)
        var receivers: DemoReceivers? { value.withLock { $0 } }
        func set(_ receivers: DemoReceivers) { value.withLock { $0 = receivers } }
    }
}

extension DemoAlert {
    /// Reads what each kind of receiver is sent; nil when it is not a budget's alert.
    init?(receiver: String, body: [UInt8]) {
        guard let message = try? JSON.parse(body) else { return nil }
        self.receiver = receiver
        switch receiver {
        case "pagerduty":
            guard let details = message["payload"]?["custom_details"], let budget = details["budget"]?["name"]?.string,
                let threshold = details["threshold"]?.int64
            else { return nil }
            (self.budget, self.threshold) = (budget, threshold)
        case "slack":
            // The header block: `Budget 90% used: NAME`, or `Budget used up: NAME`.
            guard let header = message["blocks"]?[0]?["text"]?["text"]?.string, let colon = header.firstRange(of: ": ") else { return nil }
            budget = String(header[colon.upperBound...])
            let percent = header.prefix { $0 != "%" }.drop { !$0.isNumber }
            threshold = header.hasPrefix("Budget used up") ? 100 : Int64(percent) ?? 0
        default:
            guard let data = message["data"], let budget = data["budget"]?["name"]?.string, let threshold = data["threshold"]?.int64 else {
                return nil
            }
            (self.budget, self.threshold) = (budget, threshold)
        }
    }
}

/// Collects one request's body and answers like the service of that name.
private final class DemoReceiver: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let take: (String, [UInt8]) -> Void
    private var name = ""
    private var body: [UInt8] = []

    init(take: @escaping (String, [UInt8]) -> Void) { self.take = take }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            name = head.uri.split(separator: "/").first.map(String.init) ?? ""
            body = []
        case .body(let part): body += Array(part.readableBytesView)
        case .end:
            take(name, body)
            let answer = ByteBuffer(string: name == "slack" ? "ok" : #"{"status":"success"}"#)
            let head = HTTPResponseHead(
                version: .http1_1, status: name == "pagerduty" ? .accepted : .ok,
                headers: ["content-length": String(answer.readableBytes)])
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(answer))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}
