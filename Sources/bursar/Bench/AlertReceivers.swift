/// Where the alerts of `bench-alerts` arrive: `/alive` answers at once, `/dead` takes everything and never answers.
import JSON
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

final class AlertReceivers: Sendable {
    private struct State {
        var arrivals: [String: ContinuousClock.Instant] = [:]
        var waiter: (count: Int, continuation: CheckedContinuation<Void, Never>)?
    }

    let port: Int
    private let channel: any Channel
    private let group: MultiThreadedEventLoopGroup
    private let book: Book

    private init(port: Int, channel: any Channel, group: MultiThreadedEventLoopGroup, book: Book) {
        self.port = port
        self.channel = channel
        self.group = group
        self.book = book
    }

    /// Listens on a free port of 127.0.0.1, with a thread of its own, so that the time noted is that of the arrival.
    static func start() async throws -> AlertReceivers {
        let book = Book()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let channel = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(AlertReceiver(book))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return AlertReceivers(port: channel.localAddress?.port ?? 0, channel: channel, group: group, book: book)
    }

    /// Waits for that many alerts of different subjects; when each arrived first.
    func arrivals(atLeast count: Int) async -> [String: ContinuousClock.Instant] { await book.arrivals(atLeast: count) }

    func stop() async throws {
        try await channel.close()
        try await group.shutdownGracefully()
    }

    fileprivate final class Book: Sendable {
        private let state = Mutex(State())

        func note(_ subject: String) {
            let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
                if state.arrivals[subject] == nil { state.arrivals[subject] = .now }
                guard let waiter = state.waiter, state.arrivals.count >= waiter.count else { return nil }
                state.waiter = nil
                return waiter.continuation
            }
            waiter?.resume()
        }

        func arrivals(atLeast count: Int) async -> [String: ContinuousClock.Instant] {
            await withCheckedContinuation { continuation in
                let isThere = state.withLock { state in
                    if state.arrivals.count >= count { return true }
                    state.waiter = (count, continuation)
                    return false
                }
                if isThere { continuation.resume() }
            }
            return state.withLock { $0.arrivals }
        }
    }
}

private final class AlertReceiver: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let book: AlertReceivers.Book
    private var isAlive = false
    private var body: [UInt8] = []

    init(_ book: AlertReceivers.Book) { self.book = book }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            isAlive = head.uri == "/alive"
            body = []
        case .body(let part): body += Array(part.readableBytesView)
        case .end:
            guard isAlive else { return }
            if let subject = (try? JSON.parse(body))?["data"]?["subject"]?.string { book.note(subject) }
            let head = HTTPResponseHead(version: .http1_1, status: .noContent)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}
