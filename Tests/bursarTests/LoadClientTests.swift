// The load client must never misread an answer: what it counts is what the proof of the main job rests on.
import NIOCore
import NIOPosix
import Testing

@testable import bursar

@Suite struct AnswerParserTests {
    @Test(
        "Answers are cut wherever the network splits them",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            ("HTTP/1.1 402 Payment Required\r\ncontent-type: x\r\ncontent-length:  2 \r\n\r\n{}", 402, "{}"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", 200, "abc0123456789"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\n1", 201, "1"),
        ])
    func wherever(text: String, status: Int, body: String) throws {
        for cut in 0...text.utf8.count {
            var parser = AnswerParser()
            var answers: [(Int, String)] = []
            for part in [text.utf8.prefix(cut), text.utf8.dropFirst(cut)] {
                parser.append(ByteBuffer(bytes: part))
                while let answer = try parser.next() { answers.append((answer.status, String(buffer: answer.body))) }
            }
            #expect(answers.count == 1 && answers[0] == (status, body), "cut at \(cut)")
        }
    }

    @Test("Two answers in one packet are two answers")
    func pipelined() throws {
        var parser = AnswerParser()
        parser.append(ByteBuffer(string: "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 503 No\r\ncontent-length: 1\r\n\r\nb"))
        #expect(try parser.next()?.status == 200)
        #expect(try parser.next()?.status == 503)
        #expect(try parser.next() == nil)
    }

    @Test(
        "What is not HTTP is an error",
        arguments: ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 abc\r\n\r\nxx", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"])
    func malformed(text: String) {
        var parser = AnswerParser()
        parser.append(ByteBuffer(string: text))
        #expect(throws: LoadError.self) { try parser.next() }
    }
}

@Suite struct LoadClientTests {
    /// Answers each request with the length of what arrived since the last one; closes after `closeAfter` answers.
    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let closeAfter: Int
        var answered = 0
        init(closeAfter: Int) { self.closeAfter = closeAfter }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let body = String(unwrapInboundIn(data).readableBytes)
            answered += 1
            let connection = answered == closeAfter ? "Connection: close\r\n" : ""
            let answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\n\(connection)content-length: \(body.utf8.count)\r\n\r\n\(body)")
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
            if answered == closeAfter { context.close(promise: nil) }
        }
    }

    private struct Counting: LoadDriver {
        let request: ByteBuffer
        var left: Int
        var answers: [String] = []
        mutating func next(now: NIODeadline) -> LoadStep { left == 0 ? .stop : .send(request) }
        mutating func answered(status: Int, body: ByteBuffer, sentAt: NIODeadline, now: NIODeadline) {
            left -= 1
            answers.append(String(buffer: body))
        }
        mutating func finish() -> [String] { answers }
    }

    @Test("Each connection gets its own answers, and one that the server closes after an answer is opened again")
    func reopens() async throws {
        let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Echo(closeAfter: 100)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = LoadClient(host: "127.0.0.1", port: try #require(server.localAddress?.port))
        let request = RequestHead(host: "127.0.0.1", port: client.port, apiKey: "bur_x").request("POST", "/", body: Array("{}".utf8))
        let found = try await client.drive(connections: 4) { Counting(request: request, left: 250 + $0) }
        #expect(found.map(\.count) == [250, 251, 252, 253])
        #expect(Set(found.joined()) == ["\(request.readableBytes)"])
        #expect(try await client.send(request).status == 200)
        try await server.close()
        await #expect(throws: (any Error).self) { try await client.send(request) }
        try await client.shutdown()
    }
}
