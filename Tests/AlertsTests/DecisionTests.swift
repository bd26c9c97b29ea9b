/// The pure decisions of delivery: when to try again, what an answer means, and how a webhook is signed.
import Budgets
import Crypto
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
            (.webhook, [410], .disable), (.teams, [200, 202], .delivered), (.teams, [400, 413], .failed),
            (.teams, [401, 403, 404, 410], .disable), (.teams, [408, 429, 500, 503], .retry), (.email, [250], .delivered),
            (.email, [421, 450, 451, 452], .retry), (.email, [550, 552, 554], .failed),
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
        let headers = WebhookMessage.headers(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", at: Instant(seconds: 1_614_265_330), body: Array(#"{"test": 2432232314}"#.utf8),
            secrets: [secret])
        #expect(headers.last?.value == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        #expect(secret.revealed == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    }

    @Test("a changed id, time, body or secret changes the signature")
    func sensitivity() {
        var generator = SeededGenerator(seed: 3)
        let secret = WebhookSecret(.hmac, using: &generator)
        let other = WebhookSecret(.hmac, using: &generator)
        func sign(_ id: String, _ time: Int64, _ body: [UInt8], _ secret: WebhookSecret) -> String? {
            WebhookMessage.headers(id: id, at: Instant(seconds: time), body: body, secrets: [secret]).last?.value
        }
        let signatures = [
            sign("a", 1, [1], secret), sign("b", 1, [1], secret), sign("a", 2, [1], secret), sign("a", 1, [2], secret),
            sign("a", 1, [1], other),
        ]
        #expect(Set(signatures).count == 5)
    }

    @Test("a rotated secret signs beside the new one until its time is over")
    func rotation() {
        var generator = SeededGenerator(seed: 4)
        let (new, old) = (WebhookSecret(.ed25519, using: &generator), WebhookSecret(.hmac, using: &generator))
        let secrets = [new, old.expiring(at: Instant(seconds: 100))]
        func tokens(_ time: Int64) -> [String] {
            let header = WebhookMessage.headers(id: "a", at: Instant(seconds: time), body: [1], secrets: secrets).last?.value ?? ""
            return header.split(separator: " ").map { String($0.prefix { $0 != "," }) }
        }
        #expect(tokens(99) == ["v1a", "v1"])
        #expect(tokens(100) == ["v1a"])
        #expect(old.expiring(at: Instant(seconds: 5)).expiring(at: Instant(seconds: 9)).until == Instant(seconds: 5))
    }

    @Test("an ed25519 signature is the one of the public key that was shown")
    func ed25519() throws {
        var generator = SeededGenerator(seed: 6)
        let secret = WebhookSecret(.ed25519, using: &generator)
        let key = try Curve25519.Signing.PublicKey(
            rawRepresentation: try #require(Data(base64Encoded: String(secret.revealed.dropFirst("whpk_".count)))))
        let signature = try #require(Data(base64Encoded: String(secret.signature(of: Array("a.1.b".utf8)).dropFirst("v1a,".count))))
        #expect(secret.revealed.hasPrefix("whpk_") && key.isValidSignature(signature, for: Data("a.1.b".utf8)))
        #expect(!key.isValidSignature(signature, for: Data("a.1.c".utf8)))
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
