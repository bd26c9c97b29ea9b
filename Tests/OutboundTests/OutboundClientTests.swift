/// The client against real servers on loopback: what goes over the wire, and every way a receiver can misbehave.
import Foundation
import TestSupport
import Testing

@testable import Outbound

/// Gives each test of a suite its log, in which no secret may show.
struct KeepsLog: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await withTestLog(function)
    }
}

extension Trait where Self == KeepsLog {
    static var keepsLog: KeepsLog { KeepsLog() }
}

enum TestClient {
    /// A proxy in the environment that nobody answers at: every test here also shows that it is not asked.
    private static let proxies: Void = {
        for name in ["http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"] { setenv(name, "http://127.0.0.1:1", 1) }
    }()

    static func make(allow: [String] = ["127.0.0.0/8"]) -> OutboundClient {
        proxies
        return OutboundClient(allowTargets: allow.compactMap { CIDR($0) }, logger: testLogger)
    }
}

@Suite(.timeLimit(.minutes(1)), .keepsLog) struct OutboundClientTests {
    let client = TestClient.make()

    private func send(_ url: String, _ body: String = "{}", headers: [Header] = [], deadline: Duration = .seconds(15)) async throws
        -> OutboundResponse
    {
        TestLog.current?.secrets.add(pathOf: url)
        for header in headers { secret(header.value) }
        return try await client.send(OutboundRequest(url: url, headers: headers, body: Array(secret(body).utf8), deadline: deadline))
    }

    @Test("the body and the headers arrive as given, and the answer comes back")
    func exactBytes() async throws {
        let receiver = Receiver { _ in .answer(202, headers: ["Retry-After": " 7 ", "X-Twice": "a"], body: "done") }
        defer { receiver.stop() }
        let body = "{\"ä\":\"\u{0}\\n\"}"
        let response = try await send(
            receiver.url("/a/b?c=d%20e"), body,
            headers: [Header("Content-Type", "application/json"), Header("X-Empty", ""), Header("X-Text", "é")])
        #expect(response.status == 202)
        #expect(response.body == Array("done".utf8))
        #expect(response.header("retry-after") == "7")
        #expect(response.isComplete)
        let request = try #require(receiver.received.first)
        #expect(request.requestLine == "POST /a/b?c=d%20e HTTP/1.1")
        #expect(request.body == Array(body.utf8))
        #expect(request.headers["content-type"] == "application/json" && request.headers["x-text"] == "é")
        #expect(request.headers["expect"] == nil && request.headers["accept-encoding"] == nil)
    }

    @Test("bodies from nothing to a megabyte arrive whole", arguments: [0, 1, 1024, 1025, 65_536, 1_048_576])
    func sizes(count: Int) async throws {
        let receiver = Receiver()
        defer { receiver.stop() }
        let body = String(repeating: "z", count: count)
        _ = try await send(receiver.url(), body)
        #expect(receiver.received.first?.text == body)
        #expect(receiver.received.first?.headers["content-length"] == "\(count)")
    }

    @Test(
        "every method goes out under its own name, a GET without a body",
        arguments: [OutboundRequest.Method.get, .post, .patch, .delete])
    func methods(method: OutboundRequest.Method) async throws {
        let receiver = Receiver()
        defer { receiver.stop() }
        let body = method == .get ? [] : Array("{}".utf8)
        #expect(try await client.send(OutboundRequest(method, url: receiver.url("/a"), headers: [], body: body)).status == 200)
        let request = try #require(receiver.received.first)
        #expect(request.requestLine == "\(method.rawValue) /a HTTP/1.1")
        #expect(request.body == body && request.headers["content-length"] == (method == .get ? nil : "2"))
    }

    @Test("a header with a line break is refused, and nothing is sent", arguments: ["a\r\nX-Evil: 1", "a\nb", "a\u{0}b", "a\u{7F}"])
    func headerInjection(value: String) async throws {
        let receiver = Receiver()
        defer { receiver.stop() }
        await #expect(throws: OutboundError.invalid("malformed header")) {
            _ = try await send(receiver.url(), headers: [Header("X-Name", value)])
        }
        await #expect(throws: OutboundError.invalid("malformed header")) {
            _ = try await send(receiver.url(), headers: [Header(value, "x")])
        }
        #expect(receiver.connections == 0)
    }

    @Test(
        "a redirect is an answer, wherever it leads",
        arguments: ["http://169.254.169.254/latest/meta-data", "/elsewhere", "file:///etc/passwd"])
    func redirects(location: String) async throws {
        let receiver = Receiver { _ in .answer(301, headers: ["Location": location]) }
        defer { receiver.stop() }
        let response = try await send(receiver.url())
        #expect(response.status == 301)
        #expect(receiver.received.count == 1)
    }

    @Test("an endless body is read up to the bound and no further")
    func flood() async throws {
        let receiver = Receiver { _ in .flood("HTTP/1.1 200 OK\r\n\r\n") }
        defer { receiver.stop() }
        let response = try await send(receiver.url())
        #expect(response.status == 200)
        #expect(response.body.count == OutboundResponse.longestBody)
        #expect(!response.isComplete)
    }

    @Test("an endless head is no answer")
    func headFlood() async throws {
        let receiver = Receiver { _ in .flood("HTTP/1.1 200 OK\r\nX: ") }
        defer { receiver.stop() }
        await #expect(throws: OutboundError.self) { _ = try await send(receiver.url()) }
    }

    @Test("a status that came counts, although the rest was cut")
    func cut() async throws {
        let receiver = Receiver { _ in .raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok") }
        defer { receiver.stop() }
        let response = try await send(receiver.url())
        #expect(response.status == 200)
        #expect(String(decoding: response.body, as: UTF8.self) == "ok")
        #expect(!response.isComplete)
    }

    @Test("an interim answer is not the answer")
    func interim() async throws {
        let receiver = Receiver { _ in
            .raw("HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\nHTTP/1.1 503 No\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n")
        }
        defer { receiver.stop() }
        let response = try await send(receiver.url())
        #expect(response.status == 503)
        #expect(response.header("x-a") == nil && response.header("x-b") == "2")
    }

    @Test(
        "without a final status there is no answer",
        arguments: [
            (.reset, .interrupted), (.raw(""), .interrupted), (.raw("HTTP/1.1 200 OK\r\nX-Half"), nil), (.raw("220 smtp ready\r\n"), nil),
            (.raw("HTTP/1.1 100 Continue\r\n\r\n"), nil),
        ] as [(Reply, OutboundError?)])
    func noStatus(reply: Reply, expected: OutboundError?) async throws {
        let receiver = Receiver { _ in reply }
        defer { receiver.stop() }
        do {
            let response = try await send(receiver.url())
            Issue.record("answered \(response.status)")
        } catch let error as OutboundError {
            if let expected { #expect(error == expected) }
        }
    }

    @Test("nobody listens: unreachable")
    func unreachable() async throws {
        let receiver = Receiver()
        receiver.stop()
        await #expect(throws: OutboundError.unreachable) { _ = try await send("http://127.0.0.2:1/") }
    }

    @Test("a certificate that nobody vouches for is not trusted", .enabled(if: OpenSSLServer.isInstalled, "openssl is not installed"))
    func untrusted() async throws {
        let server = try OpenSSLServer()
        defer { server.stop() }
        await #expect(throws: OutboundError.untrusted) { _ = try await send("https://127.0.0.1:\(server.port)/") }
    }

    @Test("a silent receiver ends at the deadline, and the next request is served")
    func deadline() async throws {
        let receiver = Receiver { $0.number == 1 ? .hold(.ok) : .ok }
        defer { receiver.stop() }
        let start = ContinuousClock.now
        await #expect(throws: OutboundError.timedOut) { _ = try await send(receiver.url(), deadline: .milliseconds(200)) }
        #expect(ContinuousClock.now - start < .seconds(3))
        #expect(try await send(receiver.url()).status == 200)
    }

    @Test("cancelling the task ends the transfer at once")
    func cancellation() async throws {
        let receiver = Receiver { _ in .hold(.ok) }
        defer { receiver.stop() }
        let sending = Task { try await send(receiver.url()) }
        _ = try await receiver.received(atLeast: 1)
        sending.cancel()
        await #expect(throws: OutboundError.cancelled) { _ = try await sending.value }
    }

    @Test("a task cancelled beforehand does not send")
    func cancelledBefore() async throws {
        let receiver = Receiver()
        defer { receiver.stop() }
        let sending = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await send(receiver.url())
        }
        await #expect(throws: OutboundError.cancelled) { _ = try await sending.value }
    }

    @Test("one connection serves many requests in turn, and is checked each time")
    func reuse() async throws {
        let receiver = Receiver()
        defer { receiver.stop() }
        for _ in 1...20 { _ = try await send(receiver.url()) }
        #expect(receiver.connections == 1)
        #expect(receiver.received.count == 20)
    }

    @Test("a thousand requests at once are all answered, few at a time")
    func many() async throws {
        let receiver = Receiver { .answer(200, body: $0.text) }
        defer { receiver.stop() }
        let answers = try await withThrowingTaskGroup(of: (String, String).self) { group in
            for number in 1...1000 {
                group.addTask {
                    let response = try await send(receiver.url(), "\(number)")
                    return ("\(number)", String(decoding: response.body, as: UTF8.self))
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.allSatisfy { $0 == $1 })
        #expect(receiver.connections <= TransferLoop.mostPerHost)
    }

    @Test("beyond the queue's bound a caller is told so, and shutting down answers everyone")
    func bounds() async throws {
        let receiver = Receiver { _ in .hold(.ok) }
        defer { receiver.stop() }
        let outcomes = await withTaskGroup(of: OutboundError?.self) { group in
            for _ in 1...(Mailbox.longestQueue + 10) {
                group.addTask {
                    do throws(OutboundError) {
                        _ = try await client.send(OutboundRequest(url: receiver.url(), headers: [], body: []))
                        return nil
                    } catch { return error }
                }
            }
            var outcomes: [OutboundError?] = []
            for await outcome in group {
                outcomes.append(outcome)
                if outcomes.count == 10 { client.shutdown() }
            }
            return outcomes
        }
        #expect(outcomes.count { $0 == .overloaded } == 10)
        #expect(outcomes.count { $0 == .stopped } == Mailbox.longestQueue)
        await #expect(throws: OutboundError.stopped) { _ = try await send(receiver.url()) }
    }

    @Test("errors and requests never show the URL")
    func secrecy() async throws {
        let request = OutboundRequest(url: "https://hooks.example.com/services/T0/B0/secret", headers: [], body: [])
        #expect(!"\(request)".contains("secret") && !String(reflecting: request).contains("secret"))
    }
}

/// `openssl s_server` with a certificate made on the spot.
private final class OpenSSLServer {
    static let program = "/usr/bin/openssl"
    static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: program) }

    let port: Int
    private let process = Process()
    private let directory = FileManager.default.temporaryDirectory.appending(path: "bursar-tls-\(UUID().uuidString)")

    init() throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let make = Process()
        make.executableURL = URL(filePath: OpenSSLServer.program)
        make.currentDirectoryURL = directory
        make.arguments =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.pem -out c.pem -subj /CN=localhost -days 1"
            .components(separatedBy: " ")
        make.standardError = FileHandle.nullDevice
        try make.run()
        make.waitUntilExit()
        process.executableURL = make.executableURL
        process.currentDirectoryURL = directory
        process.arguments = "s_server -accept 127.0.0.1:0 -cert c.pem -key k.pem -www".components(separatedBy: " ")
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = Pipe()
        try process.run()
        // It says where it listens once it does: "ACCEPT 127.0.0.1:33145".
        var said = ""
        while !said.contains(/ACCEPT .*\n/) {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { break }
            said += String(decoding: more, as: UTF8.self)
        }
        port = try #require(said.firstMatch(of: /ACCEPT .*:(\d+)/).flatMap { Int($0.1) })
    }

    func stop() {
        process.terminate()
        try? FileManager.default.removeItem(at: directory)
    }
}
