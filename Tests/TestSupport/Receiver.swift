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
    /// An answer of TCP: connection reset.
    case reset

    public static let ok = Reply.answer(200, body: "ok")
}

public final class Receiver: Sendable {
    private struct State {
        var received: [ReceivedRequest] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
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

    /// Waits until that many requests have come in all, and returns them.
    public func received(atLeast count: Int) async -> [ReceivedRequest] {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.received.count >= count { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
        return received
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
            let ready = state.waiters.filter { $0.count <= count }
            state.waiters.removeAll { $0.count <= count }
            return (request, ready.map(\.continuation))
        }
        for continuation in ready { continuation.resume() }
        return request
    }
}

/// The few socket calls, over IPv4 loopback.
private enum Sockets {
    static func listen(anywhere: Bool) -> (Int32, UInt16) {
        #if canImport(Glibc)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(anywhere ? 0 : 0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                precondition(bind(descriptor, pointer, length) == 0 && Foundation.listen(descriptor, 128) == 0, "cannot listen on loopback")
                precondition(getsockname(descriptor, pointer, &length) == 0, "no name")
            }
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    static func localAddress(_ descriptor: Int32) -> String {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isKnown = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) == 0 }
        }
        let bits = UInt32(bigEndian: address.sin_addr.s_addr)
        return isKnown ? [24, 16, 8, 0].map { String(bits >> $0 & 0xFF) }.joined(separator: ".") : ""
    }

    static func accept(_ listener: Int32) -> Int32? {
        let descriptor = Foundation.accept(listener, nil, nil)
        return descriptor >= 0 ? descriptor : nil
    }

    static func read(_ descriptor: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 16_384)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }

    static func write(_ descriptor: Int32, _ text: String) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            bytes = bytes.dropFirst(count)
        }
        return true
    }

    static func shut(_ descriptor: Int32) {
        #if canImport(Glibc)
            _ = shutdown(descriptor, Int32(SHUT_RDWR))
        #else
            _ = shutdown(descriptor, SHUT_RDWR)
        #endif
    }

    static func resetOnClose(_ descriptor: Int32) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }
}
