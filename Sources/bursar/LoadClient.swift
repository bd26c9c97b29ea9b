// A small HTTP/1.1 client for offering load: `replay`, `demo` and `bench` send through it. It exists because a general client costs
// more CPU than the server it measures: here requests are rendered ahead, answers parsed by `AnswerParser`, and everything a
// connection does happens on its own event loop.
import NIOCore
import NIOPosix

/// What one connection does. Made, called and finished on that connection's event loop only, so it needs no lock.
protocol LoadDriver: SendableMetatype {
    associatedtype Outcome: Sendable
    /// Called when the connection is free.
    mutating func next(now: NIODeadline) -> LoadStep
    /// Called with the answer to the request last sent. `sentAt` is when it was written to the socket.
    mutating func answered(status: Int, body: ByteBuffer, sentAt: NIODeadline, now: NIODeadline)
    /// Called once, after `LoadStep.stop`.
    mutating func finish() -> Outcome
}

/// What a free connection does next.
enum LoadStep {
    /// Send these bytes: exactly one request.
    case send(ByteBuffer)
    /// Ask again at this moment (a paced load whose next call is not yet due).
    case wait(until: NIODeadline)
    /// Close the connection.
    case stop
}

/// Why a load could not go on.
enum LoadError: Error, CustomStringConvertible {
    case unreachable(host: String, port: Int)
    case connectionLost(host: String, port: Int)
    case malformedAnswer(String)

    var description: String {
        switch self {
        case .unreachable(let host, let port): "nothing accepts connections at \(host):\(port)"
        case .connectionLost(let host, let port): "the server at \(host):\(port) closed the connection before it answered"
        case .malformedAnswer(let reason): "the server's answer is not HTTP/1.1: \(reason)"
        }
    }
}

/// Keep-alive connections to one server, one request at a time on each.
struct LoadClient: Sendable {
    let host: String
    let port: Int
    private let group: MultiThreadedEventLoopGroup

    /// - Parameter threads: event loops; one is enough for some 50,000 requests a second.
    init(host: String, port: Int, threads: Int = 1) {
        self.host = host
        self.port = port
        group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
    }

    /// Opens `connections` connections, lets each run its driver to the end and gives back what they found, in their order.
    /// A connection that the server closed between two requests is opened again; one lost in the middle ends everything.
    /// - Throws: `LoadError`, or NIO's error when a connection breaks.
    func drive<Driver: LoadDriver>(
        connections: Int, _ makeDriver: @escaping @Sendable (_ connection: Int) -> Driver
    ) async throws -> [Driver.Outcome] {
        let futures = (0..<connections).map { index in
            let loop = group.next()
            let promise = loop.makePromise(of: Driver.Outcome.self)
            loop.execute { open(driver: makeDriver(index), on: loop, promise: promise) }
            return promise.futureResult
        }
        return try await EventLoopFuture.whenAllSucceed(futures, on: group.next()).get()
    }

    /// Sends one request on a connection of its own: for set-up and comparison, not for load.
    func send(_ request: ByteBuffer) async throws -> (status: Int, body: [UInt8]) {
        try await drive(connections: 1) { _ in OneRequest(request: request) }[0]
    }

    /// Ends the event loops. The client cannot be used afterwards.
    func shutdown() async throws { try await group.shutdownGracefully() }

    private func open<Driver: LoadDriver>(driver: Driver, on loop: any EventLoop, promise: EventLoopPromise<Driver.Outcome>) {
        let driver = NIOLoopBound(driver, eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = LoadHandler(driver: driver.value, promise: promise, lost: .connectionLost(host: host, port: port)) {
                        open(driver: $0, on: loop, promise: promise)
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(host: host, port: port)
            .whenFailure { _ in promise.fail(LoadError.unreachable(host: host, port: port)) }
    }
}

/// One connection's loop: ask the driver, write, parse, tell the driver.
private final class LoadHandler<Driver: LoadDriver>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var driver: Driver
    private var parser = AnswerParser()
    private var sentAt: NIODeadline?
    private var isFinished = false
    private let promise: EventLoopPromise<Driver.Outcome>
    private let lost: LoadError
    private let reopen: (Driver) -> Void

    init(driver: Driver, promise: EventLoopPromise<Driver.Outcome>, lost: LoadError, reopen: @escaping (Driver) -> Void) {
        self.driver = driver
        self.promise = promise
        self.lost = lost
        self.reopen = reopen
    }

    func channelActive(context: ChannelHandlerContext) { step(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        parser.append(unwrapInboundIn(data))
        do {
            while let answer = try parser.next() {
                guard let sentAt else { throw LoadError.malformedAnswer("an answer without a request") }
                self.sentAt = nil
                driver.answered(status: answer.status, body: answer.body, sentAt: sentAt, now: .now())
                if parser.isClosing { context.close(promise: nil) } else { step(context) }
            }
        } catch {
            fail(error, context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if isFinished { return }
        isFinished = true
        if sentAt == nil { reopen(driver) } else { promise.fail(lost) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset between two requests is a close like any other.
        if sentAt == nil { context.close(promise: nil) } else { fail(error, context) }
    }

    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        if !isFinished { promise.fail(error) }
        isFinished = true
        context.close(promise: nil)
    }

    private func step(_ context: ChannelHandlerContext) {
        if isFinished || sentAt != nil { return }
        switch driver.next(now: .now()) {
        case .send(let request):
            sentAt = .now()
            context.writeAndFlush(wrapOutboundOut(request), promise: nil)
        case .wait(let until):
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(deadline: until) { bound.value.0.step(bound.value.1) }
        case .stop:
            isFinished = true
            promise.succeed(driver.finish())
            context.close(promise: nil)
        }
    }
}

private struct OneRequest: LoadDriver {
    let request: ByteBuffer
    var isSent = false
    var answer: (status: Int, body: [UInt8]) = (0, [])

    mutating func next(now: NIODeadline) -> LoadStep {
        defer { isSent = true }
        return isSent ? .stop : .send(request)
    }
    mutating func answered(status: Int, body: ByteBuffer, sentAt: NIODeadline, now: NIODeadline) {
        answer = (status, Array(body.readableBytesView))
    }
    mutating func finish() -> (status: Int, body: [UInt8]) { answer }
}
