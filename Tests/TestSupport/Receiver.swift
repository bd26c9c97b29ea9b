/// A real HTTP receiver on loopback, scripted by the test: it answers, holds, cuts, resets or floods, and keeps the exact bytes it got.
import Foundation
import Synchronization

/// What the receiver got, byte for byte.
public struct ReceivedRequest: Sendable {
    /// Counts from 1.
    public let number: Int
    /// The address of ours that was connected to.
    public let localAddress: String
    /// Which connection carried it, from 1: tells reuse from a new connection.
    public let connection: Int
    public let requestLine: String
    /// Names in lower case.
    public let headers: [String: String]
    public let body: [UInt8]

    public var text: String { String(decoding: body, as: UTF8.self) }
}

/// What the receiver does with a request.
public enum Reply: Sendable {
    case answer(Int, headers: [String: String] = [:], body: String = "")
    /// These bytes and then the end of the connection: for cut, malformed and interim answers.
    case raw(String)
    /// Bytes without end, after this beginning.
    case flood(String)
    /// No answer until `release()`; then this one.
    indirect case hold(Reply)
    /// These bytes, and then the other reply.
    indirect case first(String, Reply)
    /// An answer of TCP: connection reset.
    case reset

    public static let ok = Reply.answer(200, body: "ok")
}

public final class Receiver: Sendable {
    private struct State {
        var received: [ReceivedRequest] = []
        var waiters: [Int: (count: Int, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var lastWaiter = 0
        var sockets: Set<Int32> = []
        var connections = 0
        var isStopped = false
    }

    public let port: UInt16
    private let listener: Int32
    private let script: @Sendable (ReceivedRequest) -> Reply
    private let state = Mutex(State())
    private let gate = DispatchSemaphore(value: 0)

    /// Listens on a free port of 127.0.0.1 until `stop()`, or of every address of this machine.
    public init(anywhere: Bool = false, _ script: @escaping @Sendable (ReceivedRequest) -> Reply = { _ in .ok }) {
        self.script = script
        let (descriptor, port) = Sockets.listen(anywhere: anywhere)
        listener = descriptor
        self.port = port
        Thread { [self] in accept() }.start()
    }

    public func url(_ path: String = "/hook", host: String = "127.0.0.1") -> String { "http://\(host):\(port)\(path)" }

    /// How many connections were opened so far.
    public var connections: Int { state.withLock { $0.connections } }
    public var received: [ReceivedRequest] { state.withLock { $0.received } }

    /// How long anybody waits for a request: longer than a loaded machine needs, shorter than the time limits of suites.
    public static let patience: Duration = .seconds(50)

    /// Fewer requests came than were waited for.
    public struct NotReceived: Error { let wanted: Int, received: Int }

    /// Waits until that many requests have come in all, and returns them.
    /// - Throws: `NotReceived` after `patience`, and `CancellationError`.
    public func received(atLeast count: Int) async throws -> [ReceivedRequest] {
        let waiter = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        let deadline = Task {
            try await Task.sleep(for: Receiver.patience)
            endWait(waiter, .failure(NotReceived(wanted: count, received: received.count)))
        }
        defer { deadline.cancel() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result = state.withLock { state -> Result<Void, any Error>? in
                    if state.received.count >= count { return .success(()) }
                    // The handler below may have run when there was nothing to end yet.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters[waiter] = (count, continuation)
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            endWait(waiter, .failure(CancellationError()))
        }
        return received
    }

    private func endWait(_ waiter: Int, _ result: Result<Void, any Error>) {
        state.withLock { $0.waiters.removeValue(forKey: waiter) }?.continuation.resume(with: result)
    }

    /// Lets as many held requests go.
    public func release(_ count: Int = 1) {
        for _ in 0..<count { gate.signal() }
    }

    /// Closes everything; requests under way are cut.
    public func stop() {
        let sockets = state.withLock { state in
            state.isStopped = true
            return state.sockets
        }
        for descriptor in sockets { Sockets.shut(descriptor) }
        Sockets.shut(listener)
        release(1000)
    }

    private func accept() {
        while let descriptor = Sockets.accept(listener) {
            let connection = state.withLock { state -> Int? in
                guard !state.isStopped else { return nil }
                state.sockets.insert(descriptor)
                state.connections += 1
                return state.connections
            }
            guard let connection else {
                close(descriptor)
                break
            }
            Thread { [self] in
                serve(descriptor, connection: connection)
                state.withLock { state in
                    state.sockets.remove(descriptor)
                    close(descriptor)
                }
            }.start()
        }
        close(listener)
    }

    private func serve(_ descriptor: Int32, connection: Int) {
        var buffer: [UInt8] = []
        while let request = readRequest(descriptor, &buffer, connection: connection) {
            guard perform(script(request), on: descriptor) else { return }
        }
    }

    /// Returns whether the connection goes on.
    private func perform(_ reply: Reply, on descriptor: Int32) -> Bool {
        switch reply {
        case .answer(let status, let headers, let body):
            let lines = headers.map { "\($0.key): \($0.value)\r\n" }.joined()
            return Sockets.write(descriptor, "HTTP/1.1 \(status) X\r\n\(lines)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        case .raw(let text):
            _ = Sockets.write(descriptor, text)
            return false
        case .flood(let beginning):
            var isOpen = Sockets.write(descriptor, beginning)
            while isOpen { isOpen = Sockets.write(descriptor, String(repeating: "x", count: 4096)) }
            return false
        case .hold(let later):
            gate.wait()
            return perform(later, on: descriptor)
        case .first(let beginning, let rest):
            return Sockets.write(descriptor, beginning) && perform(rest, on: descriptor)
        case .reset:
            Sockets.resetOnClose(descriptor)
            return false
        }
    }

    private func readRequest(_ descriptor: Int32, _ buffer: inout [UInt8], connection: Int) -> ReceivedRequest? {
        let blank = Array("\r\n\r\n".utf8)
        while true {
            if let end = buffer.firstRange(of: blank) {
                let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    guard let colon = line.firstIndex(of: ":") else { continue }
                    headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
                }
                let length = headers["content-length"].flatMap(Int.init) ?? 0
                if buffer.count - end.upperBound >= length {
                    let body = Array(buffer[end.upperBound..<(end.upperBound + length)])
                    buffer.removeSubrange(..<(end.upperBound + length))
                    return record(
                        line: lines[0], headers: headers, body: body, connection: connection, at: Sockets.localAddress(descriptor))
                }
            }
            guard let more = Sockets.read(descriptor) else { return nil }
            buffer += more
            // A TLS handshake would wait for our half until its sender's deadline.
            if buffer.first == 0x16 { return nil }
        }
    }

    private func record(
        line: String, headers: [String: String], body: [UInt8], connection: Int, at address: String
    ) -> ReceivedRequest {
        let (request, ready) = state.withLock { state in
            let request = ReceivedRequest(
                number: state.received.count + 1, localAddress: address, connection: connection, requestLine: line, headers: headers,
                body: body)
            state.received.append(request)
            let count = state.received.count
            return (request, state.waiters.filter { $0.value.count <= count }.map(\.key))
        }
        for waiter in ready { endWait(waiter, .success(())) }
        return request
    }
}
