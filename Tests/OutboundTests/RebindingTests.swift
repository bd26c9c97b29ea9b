/// Names that lie: answers that change between looks, mix what is allowed with what is not, and certificates of somebody else. The rule is
/// kept at the socket, so nothing here may reach an address outside the list.
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Outbound

@Suite(.timeLimit(.minutes(2)), .keepsLog) struct RebindingTests {
    private func client(
        allow: [String], authorities: String? = nil, names: (@Sendable (String) -> [String])? = nil
    ) -> OutboundClient {
        var policy = TargetPolicy(allowTargets: allow.compactMap { CIDR($0) })
        policy.authorities = authorities
        policy.names = names
        return OutboundClient(policy, logger: testLogger)
    }

    private func send(_ client: OutboundClient, _ url: String) async -> Result<Int, OutboundError> {
        do throws(OutboundError) {
            return .success(try await client.send(OutboundRequest(url: url, headers: [], body: [1], deadline: .seconds(5))).status)
        } catch {
            return .failure(error)
        }
    }

    @Test("a name that answers well at first and then with an address inside gets no second request")
    func rebinding() async throws {
        let receiver = Receiver(anywhere: true) { _ in .answer(200, headers: ["Connection": "close"]) }
        defer { receiver.stop() }
        let looks = Atomic(0)
        let client = client(allow: ["127.0.1.0/24"]) { _ in
            looks.add(1, ordering: .relaxed).oldValue == 0 ? ["127.0.1.1"] : ["127.0.0.1"]
        }
        defer { client.shutdown() }
        #expect(await send(client, "http://rebind.test:\(receiver.port)/") == .success(200))
        #expect(await send(client, "http://rebind.test:\(receiver.port)/") == .failure(.notAllowed))
        #expect(receiver.received.map(\.localAddress) == ["127.0.1.1"] && receiver.connections == 1)
    }

    @Test("of a name's mixed answers only those that are allowed are connected to")
    func mixed() async throws {
        let receiver = Receiver(anywhere: true)
        defer { receiver.stop() }
        let client = client(allow: ["127.0.1.0/24"]) { _ in ["127.0.0.1", "10.0.0.1", "::1", "127.0.1.9"] }
        defer { client.shutdown() }
        #expect(await send(client, "http://mixed.test:\(receiver.port)/") == .success(200))
        #expect(receiver.received.map(\.localAddress) == ["127.0.1.9"] && receiver.connections == 1)
    }

    @Test("whatever a name answers, no address outside the list is ever connected to")
    func property() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        let generator = Mutex(SeededGenerator(seed: seed))
        let receiver = Receiver(anywhere: true) { request in
            request.number.isMultiple(of: 3) ? .answer(200, headers: ["Connection": "close"]) : .ok
        }
        defer { receiver.stop() }
        // Inside, in every form; only 127.0.1.0/24 is allowed. All of them would end at the receiver, or nowhere.
        @Sendable func address(_ generator: inout SeededGenerator) -> String {
            let (a, b) = (Int.random(in: 0...255, using: &generator), Int.random(in: 0...255, using: &generator))
            let forms = [
                "127.0.1.\(a)", "127.0.1.\(b)", "127.0.0.\(a)", "127.\(a).\(b == 1 ? 2 : b).1", "127.0.2.\(a)", "0.0.0.0", "::1",
                "::ffff:127.0.0.\(a)",
                "::ffff:127.0.1.\(a)", "::127.0.0.1", "10.\(a).\(b).1", "169.254.169.254", "192.168.\(a).\(b)", "100.64.0.\(a)",
                "fd00::\(a)",
                "fe80::\(a)", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1", "172.16.\(a).\(b)", "198.18.0.1", "240.0.0.\(a)",
            ]
            return forms[Int.random(in: 0..<forms.count, using: &generator)]
        }
        let client = client(allow: ["127.0.1.0/24"]) { _ in
            generator.withLock { generator in (0...Int.random(in: 0...3, using: &generator)).map { _ in address(&generator) } }
        }
        defer { client.shutdown() }
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<400 {
                group.addTask {
                    // Few names, so that connections are used again under answers that have changed.
                    _ = await send(client, "http://name\(number % 7).test:\(receiver.port)/")
                    _ = await send(client, "https://name\(number % 7).test:\(receiver.port)/")
                }
            }
        }
        let reached = Set(receiver.received.map(\.localAddress))
        #expect(!reached.isEmpty, "seed \(seed)")
        #expect(reached.allSatisfy { $0.hasPrefix("127.0.1.") }, "seed \(seed): \(reached.sorted())")
    }

    @Test(
        "TLS: the right name is spoken to; a certificate of another name, or of nobody we know, is not",
        .enabled(if: Certificate.areThere, "no openssl or no Python"))
    func certificates() async throws {
        let receiver = Receiver { _ in .answer(202) }
        let (ours, others) = (try await Certificate(), try await Certificate(for: "somebody.else"))
        let (good, other) = (try TLSFront(receiver, ours), try TLSFront(receiver, others))
        let trusting = client(allow: ["127.0.0.0/8"], authorities: ours.path)
        let strange = client(allow: ["127.0.0.0/8"], authorities: others.path)
        defer {
            for client in [trusting, strange] { client.shutdown() }
            for front in [good, other] { front.stop() }
            receiver.stop()
        }
        #expect(await send(trusting, good.url()) == .success(202))
        #expect(await send(strange, other.url()) == .failure(.untrusted))
        #expect(await send(strange, good.url()) == .failure(.untrusted))
        #expect(receiver.received.count == 1)
    }

    @Test(
        "a 301 to a metadata address over TLS is an answer, and nobody goes there",
        .enabled(if: Certificate.areThere, "no openssl or no Python"))
    func redirect() async throws {
        let receiver = Receiver { _ in .answer(301, headers: ["Location": "http://169.254.169.254/latest/meta-data"]) }
        let certificate = try await Certificate()
        let front = try TLSFront(receiver, certificate)
        let client = client(allow: ["127.0.0.0/8"], authorities: certificate.path)
        defer {
            client.shutdown()
            front.stop()
            receiver.stop()
        }
        #expect(await send(client, front.url()) == .success(301))
        #expect(receiver.received.count == 1)
    }
}
