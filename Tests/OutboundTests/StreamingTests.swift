/// Bodies that are passed on while they come.
import Synchronization
import TestSupport
import Testing

@testable import Outbound

@Suite(.timeLimit(.minutes(1)), .keepsLog) struct StreamingTests {
    let client = TestClient.make()

    private func request(_ receiver: Receiver) -> OutboundRequest { OutboundRequest(url: receiver.url(), headers: [], body: []) }

    @Test("a body far beyond the bound of `send` comes whole, in order, and is not kept")
    func whole() async throws {
        let body = String((0..<400_000).map { Character(UnicodeScalar(UInt8(ascii: "a") + UInt8($0 % 26))) })
        let receiver = Receiver { _ in .answer(200, headers: ["X-A": "1"], body: body) }
        defer { receiver.stop() }
        let taken = Mutex([UInt8]())
        let response = try await client.send(
            request(receiver),
            body: BodySink { bytes in
                taken.withLock { $0 += bytes }
                return true
            })
        #expect(response.status == 200 && response.header("x-a") == "1" && response.isComplete && response.body.isEmpty)
        #expect(taken.withLock { $0 } == Array(body.utf8))
    }

    @Test("whoever has enough ends the transfer, also of a body without end")
    func enough() async throws {
        let receiver = Receiver { _ in .flood("HTTP/1.1 200 OK\r\n\r\n") }
        defer { receiver.stop() }
        let count = Atomic(0)
        let response = try await client.send(
            request(receiver),
            body: BodySink { bytes in
                count.add(bytes.count, ordering: .relaxed).newValue < 1_000_000
            })
        #expect(response.status == 200 && !response.isComplete)
        #expect((1_000_000..<1_100_000).contains(count.load(ordering: .relaxed)))
    }

    @Test("the first bytes are handed on before the last have been sent")
    func early() async throws {
        let receiver = Receiver { _ in .first("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst", .hold(.raw("other"))) }
        defer { receiver.stop() }
        let taken = Mutex("")
        let response = try await client.send(
            request(receiver),
            body: BodySink { bytes in
                // The rest is sent only now.
                receiver.release()
                taken.withLock { $0 += String(decoding: bytes, as: UTF8.self) }
                return true
            })
        #expect(taken.withLock { $0 } == "firstother" && response.isComplete)
    }
}
