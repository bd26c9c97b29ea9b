/// Credentials, roles and the wall between organizations.
import Budgets
import Crypto
import HTTPTypes
import JSON
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct TrustTests {
    static let badKeys: [String?] = [
        nil, "", "nonsense", "bur_", "bur_000000000000000000000000000000000000", String(repeating: "x", count: 5000),
    ]

    @Test("without a valid key there is no answer but 401")
    func unauthenticated() async throws {
        try await withServer { served in
            for key in Self.badKeys {
                for path in ["/v1/teams", "/v1/allowance?model=x"] {
                    let answer = try await served.caller(key).get(path)
                    #expect(answer.status == 401 && answer.code == "unauthenticated", "\(answer)")
                    #expect(answer.headers[.wwwAuthenticate] == "Bearer")
                }
            }
        }
    }

    @Test("after ten attempts with one bad key, and a hundred with any from one address, bad ones wait and good ones are served")
    func throttled() async throws {
        try await withServer { served in
            let unseen = try await served.owner.post("/v1/api-keys", ["name": "unseen", "role": "auditor"]).body["secret"]?.string
            let bad = served.caller(APIKeySecret.ofTest().text)
            func refused(_ answer: Caller.Answer) {
                #expect(answer.status == 429 && answer.code == "too_many_attempts", "\(answer)")
                #expect((1...60).contains(answer.headers[.retryAfter].flatMap { Int($0) } ?? 0))
            }
            for _ in 0..<LoginThrottle.failuresPerKey { #expect(try await bad.get("/v1/teams").status == 401) }
            refused(try await bad.get("/v1/teams"))
            for _ in LoginThrottle.failuresPerKey..<100 {
                #expect(try await served.caller(APIKeySecret.ofTest().text).get("/v1/teams").status == 401)
            }
            refused(try await served.caller(APIKeySecret.ofTest().text).get("/v1/teams"))
            refused(try await served.caller("nonsense").get("/v1/teams"))
            #expect(try await served.caller(unseen).get("/v1/teams").status == 200)
        }
    }

    @Test("attempts are counted by key and by address, for a minute, in bounded memory")
    func throttle() {
        let most = 30
        var throttle = LoginThrottle(failuresPerAddress: most)
        let (start, next) = (Instant(microseconds: 0), Instant(microseconds: 1_000_001))
        func key(_ number: Int) -> SHA256Digest { SHA256.hash(data: Array("\(number)".utf8)) }
        for number in 0..<most {
            #expect(throttle.wait(key: key(number / LoginThrottle.failuresPerKey), at: start) == nil)
            #expect(throttle.failed(address: "a", key: key(number / LoginThrottle.failuresPerKey), at: start) == nil)
        }
        #expect(throttle.wait(key: key(0), at: next) == 59 && throttle.wait(key: key(200), at: next) == nil)
        #expect(throttle.failed(address: "a", key: key(200), at: next) == 59)
        #expect(throttle.failed(address: "b", key: key(200), at: next) == nil)
        let later = start.adding(seconds: 60)
        #expect(throttle.wait(key: key(0), at: later) == nil && throttle.failed(address: "a", key: nil, at: later) == nil)
        for number in 0..<2 * LoginThrottle.bound { _ = throttle.failed(address: "\(number)", key: key(number), at: start) }
        for windows in ["keys", "addresses"] {
            let count = Mirror(reflecting: throttle).descendant(windows).map { Mirror(reflecting: $0).children.count }
            #expect((1...LoginThrottle.bound).contains(count ?? 0))
        }
    }

    @Test("an operator says how many bad keys one address may try")
    func throttledSooner() async throws {
        @Sendable func strict(_ settings: inout ServerSettings) { settings.badKeysPerMinute = 12 }
        try await withServer(adjusting: strict) { served in
            for attempt in 1...13 {
                let answer = try await served.caller("nonsense").get("/v1/teams")
                #expect(answer.status == (attempt > 12 ? 429 : 401), "\(attempt): \(answer)")
            }
            #expect(try await served.owner.get("/v1/teams").status == 200)
        }
    }

    @Test("an admin cannot make, rotate or revoke an owner's key")
    func noReachingUp() async throws {
        try await withServer { served in
            let made = try await served.owner.post("/v1/api-keys", ["name": "admin", "role": "admin"])
            let admin = served.caller(made.body["secret"]?.string)
            #expect(try await admin.post("/v1/api-keys", ["name": "x", "role": "owner"]).status == 403)
            #expect(try await admin.post("/v1/api-keys", ["name": "x", "role": "operator"]).status == 403)
            let keys = try await admin.get("/v1/api-keys")
            let owners = try #require(keys.body["data"]?.array?.first { $0["role"] == "owner" }?["id"]?.string)
            for action in ["revoke", "rotate"] {
                #expect(try await admin.post("/v1/api-keys/\(owners)/\(action)").status == 403)
            }
            #expect(try await admin.patch("/v1/api-keys/\(owners)", ["name": "mine"]).status == 403)
            #expect(try await admin.post("/v1/api-keys", ["name": "x", "role": "auditor"]).status == 201)
        }
    }

    @Test("another organization's things do not exist: read, change, refer, call")
    func walls() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let budget = try await world.budget("1")
            let reservation = try await world.reserve("r")
            let stranger = try await served.anotherOrganization()
            let paths = [
                "/v1/teams/\(world.team)", "/v1/projects/\(world.project)", "/v1/tiers/\(world.tier)", "/v1/budgets/\(budget)",
                "/v1/budgets/\(budget)/periods", "/v1/reservations/\(reservation.id)",
            ]
            for path in paths { #expect(try await stranger.get(path).status == 404, "\(path)") }
            for path in paths.prefix(4) {
                #expect(try await stranger.patch(path, ["name": "mine"]).status == 404, "\(path)")
                #expect(try await stranger.delete(path).status == 404, "\(path)")
            }
            for action in ["settle", "release"] {
                let body: JSON = action == "settle" ? ["usage": ["input": 1]] : [:]
                let answer = try await stranger.post("/v1/reservations/\(reservation.id)/\(action)", body)
                #expect(answer.code == "reservation_unknown", "\(answer)")
            }
            let refers = try await stranger.post(
                "/v1/projects", ["name": "p", "team": .string(world.team), "tier": .string(world.tier)])
            #expect(refers.status == 422 && refers.faults == ["/team unknown_reference"], "\(refers)")
            let call = try await stranger.post(
                "/v1/reservations", ["project": .string(world.project), "request_id": "x", "model": "model-a", "input_tokens": 1])
            #expect(call.code == "project_unknown", "\(call)")
            for list in ["teams", "projects", "tiers", "budgets", "models", "prices", "alerts", "deliveries", "endpoints"] {
                #expect(try await stranger.get("/v1/\(list)").body["data"] == [], "\(list)")
            }
        }
    }

    @Test("one project's key does not reach another project's reservation")
    func projects() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let reservation = try await world.reserve("r")
            let other = try await served.owner.post(
                "/v1/projects", ["name": "Other", "team": .string(world.team), "tier": .string(world.tier)])
            let key = try await served.owner.post("/v1/api-keys", ["name": "o", "project": .string(other.id)])
            let caller = served.caller(key.body["secret"]?.string)
            #expect(try await caller.get("/v1/reservations/\(reservation.id)").status == 404)
            #expect(try await caller.post("/v1/reservations/\(reservation.id)/release").code == "reservation_unknown")
            #expect(try await world.caller.post("/v1/reservations/\(reservation.id)/release").status == 200)
        }
    }
}
