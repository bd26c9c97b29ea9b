/// The pure decisions of delivery: when to try again, what an answer means, and how a webhook is signed.
import Budgets
import Foundation
import JSON
import Outbound
import Store
import TestSupport
import Testing

@testable import Alerts

@Suite struct RetryScheduleTests {
    @Test("the schedule is the documented one, and the whole of it lasts about two days")
    func schedule() {
        #expect(RetrySchedule.delays.map(\.components.seconds) == [0, 5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400])
        #expect(RetrySchedule.delays.reduce(.zero, +) < .hours(48))
    }

    @Test("each delay is varied by a fifth at most, both ways, and after the eleventh attempt there is none")
    func jitter() throws {
        var generator = SeededGenerator(seed: 1)
        for attempt in 1...10 {
            let scheduled = RetrySchedule.delays[attempt]
            let delays = try (0..<1000).map { _ in try #require(RetrySchedule.delay(afterAttempt: attempt, using: &generator)) }
            #expect(delays.allSatisfy { $0 >= scheduled * 0.8 && $0 <= scheduled * 1.2 })
            #expect(delays.contains { $0 < scheduled * 0.85 } && delays.contains { $0 > scheduled * 1.15 })
        }
        #expect(RetrySchedule.delay(afterAttempt: 11, using: &generator) == nil)
        #expect(RetrySchedule.delay(afterAttempt: 0, using: &generator) == nil)
    }

    @Test(
        "a receiver's wish slows down, within bounds, and never hurries",
        arguments: [
            (1, .zero, 4.0, 6.0), (1, .seconds(1), 4, 6), (1, .seconds(60), 60, 60), (1, .hours(1), 3600, 3600), (1, .hours(2), 3600, 3600),
            (9, .hours(2), 34_560, 51_840), (9, .hours(20), 72_000, 72_000), (9, .hours(1000), 86_400, 86_400),
        ] as [(Int, Duration, Double, Double)])
    func wishes(attempt: Int, wish: Duration, least: Double, most: Double) throws {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<200 {
            let delay = try #require(RetrySchedule.delay(afterAttempt: attempt, wish: wish, using: &generator))
            #expect(delay >= .seconds(least) && delay <= .seconds(most))
        }
    }

    @Test(
        "Retry-After is read as seconds or as a date, and nothing else",
        arguments: [
            ("0", 0), ("120", 120), ("Fri, 20 Nov 2026 22:00:30 GMT", 30), ("Fri, 20 Nov 2026 21:00:00 GMT", 0),
            ("99999999999999999", 315_360_000), ("-1", nil), ("1.5", nil), ("soon", nil), ("", nil),
            ("Friday, 20-Nov-26 22:00:30 GMT", nil), ("Fri, 99 Nov 2026 22:00:30 GMT", nil), ("Fri, 20 Nov 2026 22:00:30 CET", nil),
        ] as [(String, Int?)])
    func retryAfter(text: String, seconds: Int?) throws {
        let now = try #require(Instant(rfc3339: "2026-11-20T22:00:00Z"))
        #expect(RetrySchedule.wish(retryAfter: text, at: now) == seconds.map { .seconds($0) })
    }
}

@Suite struct VerdictTests {
    enum Expected { case delivered, retry, failed, disable }

    private func verdict(_ kind: EndpointCredentials.Kind, _ status: Int, _ body: String = "", retryAfter: String? = nil) -> Verdict {
        let headers = retryAfter.map { [Header("retry-after", $0)] } ?? []
        return .of(
            .success(OutboundResponse(status: status, headers: headers, body: Array(body.utf8), isComplete: true)), from: kind,
            at: Instant(seconds: 0))
    }

    @Test(
        "every status means what its vendor says",
        arguments: [
            (.slack, [200, 202], .delivered), (.slack, [301, 302, 307, 400, 401, 405, 413], .failed), (.slack, [403, 404, 410], .disable),
            (.slack, [408, 425, 429, 500, 502, 503, 504], .retry), (.pagerduty, [200, 202], .delivered),
            (.pagerduty, [302, 400, 401, 403, 404, 413], .failed), (.pagerduty, [410], .disable),
            (.pagerduty, [408, 425, 429, 500, 502, 503, 504, 599], .retry), (.webhook, [200, 201, 202, 204, 299], .delivered),
            (.webhook, [410], .disable),
            (.webhook, [300, 301, 302, 308, 400, 401, 403, 404, 408, 409, 422, 425, 429, 500, 503, 504], .retry),
        ] as [(EndpointCredentials.Kind, [Int], Expected)])
    func statuses(kind: EndpointCredentials.Kind, statuses: [Int], expected: Expected) {
        for status in statuses {
            let matches =
                switch (verdict(kind, status), expected) {
                case (.delivered, .delivered), (.retry, .retry), (.failed, .failed), (.disableEndpoint, .disable): true
                default: false
                }
            #expect(matches, "\(kind) \(status)")
        }
    }

    @Test("Slack's word for an error is one even with status 200; other words are not")
    func slackWords() {
        #expect(verdict(.slack, 200, "ok") == .delivered)
        #expect(verdict(.slack, 200, "{\"success\":true}") == .delivered)
        #expect(verdict(.slack, 200, "invalid_payload") == .failed(reason: "HTTP 200: invalid_payload"))
    }

    @Test("Retry-After goes into the verdict; PagerDuty is left alone for 30 s at least")
    func wishes() {
        #expect(verdict(.webhook, 503, retryAfter: "77") == .retry(reason: "HTTP 503", wish: .seconds(77)))
        #expect(verdict(.slack, 429, retryAfter: "7") == .retry(reason: "HTTP 429", wish: .seconds(7)))
        #expect(verdict(.pagerduty, 429, retryAfter: "7") == .retry(reason: "HTTP 429", wish: .seconds(30)))
        #expect(verdict(.pagerduty, 429) == .retry(reason: "HTTP 429", wish: .seconds(30)))
    }

    @Test("without an answer it is tried again, unless the address can never be reached")
    func errors() {
        for error in [OutboundError.unresolved, .unreachable, .untrusted, .interrupted, .timedOut, .overloaded, .other(1)] {
            #expect(Verdict.of(.failure(error), from: .webhook, at: Instant(seconds: 0)) == .retry(reason: "\(error)", wish: nil))
        }
        #expect(
            Verdict.of(.failure(.notAllowed), from: .webhook, at: Instant(seconds: 0)) == .disableEndpoint(reason: "address not allowed"))
        #expect(Verdict.of(.failure(.invalid("x")), from: .slack, at: Instant(seconds: 0)) == .disableEndpoint(reason: "x"))
    }
}

@Suite struct SignatureTests {
    @Test("the signature is the one the specification's libraries make")
    func knownAnswer() throws {
        let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let signature = WebhookMessage.signature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: "1614265330", body: Array(#"{"test": 2432232314}"#.utf8), secret: secret)
        #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        #expect(secret.revealed == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    }

    @Test("a changed id, time, body or secret changes the signature")
    func sensitivity() {
        var generator = SeededGenerator(seed: 3)
        let secret = WebhookSecret(using: &generator)
        let other = WebhookSecret(using: &generator)
        func sign(_ id: String, _ time: String, _ body: [UInt8], _ secret: WebhookSecret) -> String {
            WebhookMessage.signature(id: id, timestamp: time, body: body, secret: secret)
        }
        let signatures = [
            sign("a", "1", [1], secret), sign("b", "1", [1], secret), sign("a", "2", [1], secret), sign("a", "1", [2], secret),
            sign("a", "1", [1], other),
        ]
        #expect(Set(signatures).count == 5)
    }

    @Test(
        "secrets that are none are not read",
        arguments: [
            "", "whsec_", "whsec_!!!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=",
            "whsec_" + String(repeating: "QUFB", count: 22),
        ])
    func malformed(text: String) {
        #expect(WebhookSecret(text) == nil)
    }

    @Test(
        "the library of the specification accepts a signature made now",
        .enabled(if: Python.has("standardwebhooks"), "python3 has no standardwebhooks"))
    func oracle() throws {
        var generator = SystemRandomNumberGenerator()
        let secret = WebhookSecret(using: &generator)
        let body = eventBody().text
        let headers = WebhookMessage.headers(id: "evt_1", at: .now(), body: Array(body.utf8), secret: secret)
        let fields = headers.map { "'\($0.name)': '\($0.value)'" }.joined(separator: ", ")
        let program =
            "import sys; from standardwebhooks.webhooks import Webhook; Webhook('\(secret.revealed)').verify(sys.stdin.read(), {\(fields)})"
        #expect(try Python.run(program, input: body) == 0)
    }
}

/// The system's python3, when there is one.
enum Python {
    static func has(_ module: String) -> Bool { (try? run("import \(module)", input: "")) == 0 }

    static func run(_ program: String, input: String) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        process.arguments = ["-c", program]
        let pipe = Pipe()
        process.standardInput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        try pipe.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try pipe.fileHandleForWriting.close()
        process.waitUntilExit()
        return process.terminationStatus
    }
}

@Suite struct ScrubbingTests {
    @Test("what a receiver repeats of our secrets is not kept, nor controls, nor more than 2 kB")
    func scrubbing() {
        let secret = "https://hooks.example.com/services/T/B/abc"
        #expect(scrubbed(Array("no \(secret) here\u{0}\u{1B}[31m".utf8), of: [secret]) == "no […] here  [31m")
        #expect(scrubbed(Array(repeating: 0xFF, count: 10), of: []).unicodeScalars.allSatisfy { $0 == "\u{FFFD}" })
        let straddling = String(repeating: "x", count: 2040) + secret
        #expect(!scrubbed(Array(straddling.utf8), of: [secret]).contains("https"))
        #expect(scrubbed(Array(repeating: UInt8(ascii: "y"), count: 100_000), of: [secret]).utf8.count == 2048)
    }
}
