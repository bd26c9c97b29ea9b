/// A road to Postgres that can be made bad: TCP on loopback in front, the server's Unix socket behind. What it does to the bytes is told
/// by the test and, where chance has a part, by a seed.
import Foundation
public import Postgres
import Synchronization

public final class FaultyProxy: Sendable {
    public enum Direction: Sendable, CaseIterable { case toServer, toClient }

    public enum Fault: Sendable {
        /// Whatever passes does so a random while later, at most this.
        case delay(Duration)
        /// After so many bytes more in that direction the connection that carries them is closed on both sides.
        case cut(Direction, after: Int)
        /// All connections of this moment fall silent: their bytes are swallowed and nobody hangs up. New ones are served.
        case halfOpen
        /// Every connection falls silent, new ones too.
        case blackHole
        /// The server's answers trickle, so many bytes at a time with a pause after each.
        case slowReads(bytes: Int, pause: Duration)
    }

    private struct State {
        var fault: Fault?
        var random: SeededGenerator
        var links: [Int: Link] = [:]
        var linkCount = 0
        var hits = 0
        var hitWaiters: [CheckedContinuation<Void, Never>] = []
        var isStopped = false
    }

    private struct Link {
        let client: Int32
        let server: Int32
        var isSilent = false
        var openEnds = 2
        var conversation = Conversation()
    }

    private let listener: Int32
    private let port: UInt16
    private let path: String
    private let state: Mutex<State>

    /// Listens on a free port of 127.0.0.1 until `stop()`. The server must be one on a Unix socket, as those of tests are.
    public init(to server: PostgresConfiguration, seed: UInt64) {
        let host = server.hosts[0]
        path = "\(host.name)/.s.PGSQL.\(host.port)"
        state = Mutex(State(random: SeededGenerator(seed: seed)))
        (listener, port) = Sockets.listen()
        Thread { [self] in accept() }.start()
    }

    /// How to reach the same database on this road, and with how much patience: for connecting, for a statement, and for its answer.
    public func configuration(_ direct: PostgresConfiguration, patience: Duration) -> PostgresConfiguration {
        var configuration = direct
        configuration.hosts = [.init("127.0.0.1", port: Int(port))]
        configuration.connectTimeout = patience
        configuration.statementTimeout = patience
        configuration.lockTimeout = patience
        configuration.idleInTransactionTimeout = patience
        configuration.answerGrace = patience / 2
        return configuration
    }

    /// From now on, until `heal()`.
    public func inflict(_ fault: Fault) {
        state.withLock { state in
            state.fault = fault
            switch fault {
            case .halfOpen, .blackHole: for number in state.links.keys { state.links[number]?.isSilent = true }
            case .delay, .cut, .slowReads: break
            }
        }
    }

    /// The road is good again. Connections that had fallen silent are closed on both sides: their bytes are lost.
    public func heal() {
        state.withLock { state in
            state.fault = nil
            for link in state.links.values where link.isSilent { hangUp(link) }
        }
    }

    /// Returns once a cut has been made since the last one that was waited for.
    public func cutWasMade() async {
        await withCheckedContinuation { waiter in
            let isMade = state.withLock { state in
                if state.hits > 0 {
                    state.hits -= 1
                    return true
                }
                state.hitWaiters.append(waiter)
                return false
            }
            if isMade { waiter.resume() }
        }
    }

    /// What all clients together say while `body` runs, in the order of their connections.
    public func listen(_ body: () async throws -> Void) async throws -> [Conversation] {
        state.withLock { state in for number in state.links.keys { state.links[number]?.conversation.begin() } }
        try await body()
        return state.withLock { $0.links.sorted { $0.key < $1.key }.map(\.value.conversation) }
    }

    public func stop() {
        state.withLock { state in
            state.isStopped = true
            for link in state.links.values { hangUp(link) }
        }
        Sockets.shut(listener)
    }

    private func hangUp(_ link: Link) {
        Sockets.shut(link.client)
        Sockets.shut(link.server)
    }

    private func accept() {
        while let client = Sockets.accept(listener) {
            guard let server = Sockets.connect(path: path) else {
                close(client)
                continue
            }
            let number = state.withLock { state in
                state.linkCount += 1
                var link = Link(client: client, server: server)
                if case .blackHole = state.fault { link.isSilent = true }
                if state.isStopped { hangUp(link) }
                state.links[state.linkCount] = link
                return state.linkCount
            }
            Thread { [self] in carry(number, .toServer, from: client, to: server) }.start()
            Thread { [self] in carry(number, .toClient, from: server, to: client) }.start()
        }
        close(listener)
    }

    /// What is to be done with bytes that have arrived.
    private enum Treatment {
        case pass(after: Duration)
        case swallow
        case trickle(Int, Duration)
        case cut(after: Int)
    }

    private func carry(_ number: Int, _ direction: Direction, from source: Int32, to target: Int32) {
        while let bytes = Sockets.read(source) {
            var isOpen = true
            if direction == .toServer { state.withLock { $0.links[number]?.conversation.read(bytes) } }
            switch treatment(of: bytes.count, on: number, direction) {
            case .swallow: break
            case .pass(let delay):
                if delay > .zero { pause(delay) }
                isOpen = Sockets.write(target, bytes[...])
            case .trickle(let size, let rest):
                var left = bytes[...]
                while isOpen, !left.isEmpty {
                    isOpen = Sockets.write(target, left.prefix(size))
                    left = left.dropFirst(size)
                    pause(rest)
                }
            case .cut(let after):
                _ = Sockets.write(target, bytes.prefix(after))
                isOpen = false
                reportCut()
            }
            if !isOpen { break }
        }
        // The peer of one that vanished does not hear of it.
        state.withLock { state in
            guard var link = state.links[number] else { return }
            if !link.isSilent { hangUp(link) }
            link.openEnds -= 1
            state.links[number] = link.openEnds > 0 ? link : nil
            if link.openEnds == 0 {
                close(link.client)
                close(link.server)
            }
        }
    }

    private func treatment(of count: Int, on number: Int, _ direction: Direction) -> Treatment {
        state.withLock { state in
            if state.links[number]?.isSilent == true { return .swallow }
            switch state.fault {
            case nil, .halfOpen, .blackHole: return .pass(after: .zero)
            case .delay(let longest): return .pass(after: longest * Double.random(in: 0...1, using: &state.random))
            case .slowReads(let size, let rest): return direction == .toClient ? .trickle(size, rest) : .pass(after: .zero)
            case .cut(direction, let after):
                state.fault = after >= count ? .cut(direction, after: after - count) : nil
                return after >= count ? .pass(after: .zero) : .cut(after: after)
            case .cut: return .pass(after: .zero)
            }
        }
    }

    private func reportCut() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard let first = state.hitWaiters.first else {
                state.hits += 1
                return nil
            }
            state.hitWaiters.removeFirst()
            return first
        }
        waiter?.resume()
    }

    /// Time passing is the fault itself here, not something a test waits for.
    private func pause(_ duration: Duration) { Thread.sleep(forTimeInterval: duration / .seconds(1)) }
}
