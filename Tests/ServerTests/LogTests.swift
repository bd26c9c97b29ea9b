/// What the server logs: one line a request with what an operator needs, and never a secret (design §10).
import HTTPTypes
import JSON
import Logging
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct LogTests {
    static let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test("each request has one line, with its id, trace, organization, route, status and duration")
    func oneLine() async throws {
        try await withServer(logLevel: .debug) { served in
            let world = try await World.make(served)
            let answer = try await world.caller.send(
                .post, "/v1/reservations", Array(#"{"request_id":"r","model":"none","input_tokens":1}"#.utf8),
                headers: [.requestID: "mine", .traceParent: Self.trace])
            #expect(answer.code == "model_unknown" && answer.headers[.requestID] == "mine")
            let lines = served.log.lines.filter { $0.fields["request_id"] == "mine" }
            let line = try #require(lines.first)
            #expect(lines.count == 1 && line.level == .debug)
            let fields = line.fields.mapValues(\.description)
            #expect(fields["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736" && fields["code"] == "model_unknown")
            #expect(fields["method"] == "POST" && fields["route"] == "/v1/reservations" && fields["status"] == "404")
            #expect(fields["organization"]?.hasPrefix("org_") == true && fields["api_key"]?.hasPrefix("key_") == true)
            #expect(fields["duration_ms"]?.wholeMatch(of: #/[0-9]+\.[0-9]{3}/#) != nil)
        }
    }

    @Test("without an id of its own, a request goes by its trace; without either, it gets one")
    func ids() async throws {
        try await withServer { served in
            let traced = try await served.caller(nil).send(.get, "/v1/nowhere", headers: [.traceParent: Self.trace])
            #expect(traced.headers[.requestID] == "4bf92f3577b34da6a3ce929d0e0e4736")
            for header in ["", "00-\(String(repeating: "0", count: 32))-00f067aa0ba902b7-01", Self.trace + "-00"] {
                let answer = try await served.caller(nil).send(.get, "/v1/nowhere", headers: [.traceParent: header])
                #expect((1...13).contains(answer.headers[.requestID]?.count ?? 0), "\(header)")
            }
        }
    }

    @Test("changes by administrators are news, calls and reads are not, and what we could not serve is a warning")
    func levels() async throws {
        try await withServer(logLevel: .info) { served in
            let world = try await World.make(served)
            func told() -> [KeptLog.Line] { served.log.lines.filter { $0.message.hasPrefix("request") } }
            let before = told().count
            #expect(try await world.reserve("r").status == 201)
            #expect(try await served.owner.get("/v1/teams").status == 200)
            #expect(try await served.owner.post("/v1/teams", ["nonsense": 1]).status == 422)
            #expect(told().count == before)
            #expect(try await served.owner.post("/v1/teams", ["name": "News"]).status == 201)
            let line = try #require(told().last)
            #expect(line.level == .info && line.fields["route"] == "/v1/teams" && line.fields["status"] == "201")
        }
    }

    @Test("no log line has a secret, whatever is asked and whatever goes wrong: the harness looks through them")
    func noSecrets() async throws {
        try await isolatedPostgres { postgres in
            try await withServer(on: postgres.configuration, expectsFaults: true, logLevel: .trace) { served in
                let world = try await World.make(served)
                let names = try await Names(world)
                for (kind, extra) in [
                    ("slack", ["url": "http://127.0.0.1:1/services/s3cret-path"]), ("webhook", ["url": "http://127.0.0.1:1/s3cret-path"]),
                    ("pagerduty", ["url": "http://127.0.0.1:1/v2", "routing_key": "r0uting-key-0123456789abcdef01234"]),
                ] as [(String, JSON)] {
                    var body = try #require(extra.object)
                    for (name, value) in [("kind", .string(kind)), ("name", .string(kind)), ("events", ["*"])] as [(String, JSON)] {
                        body[name] = value
                    }
                    let endpoint = try await served.owner.post("/v1/endpoints", .object(body))
                    if endpoint.status == 201 { _ = try await served.owner.post("/v1/endpoints/\(endpoint.id)/test") }
                }
                func everything() async throws {
                    for (method, path, body) in InvalidRequestTests.good {
                        _ = try await served.owner.send(method, names.fill(path), names.fill(body).bytes)
                    }
                    for route in routes {
                        let path = route.path.replacing("{id}", with: world.team).replacing("{month}", with: "2026-01")
                        for caller in [served.owner, world.caller, served.caller(served.operatorKey)] {
                            let key = caller.apiKey ?? ""
                            for (path, body) in [(path, "{}"), ("\(path)/\(key)?key=\(key)", key), (path + "?\(key)", "{\"\(key)\":1}")] {
                                let answer = try await caller.send(
                                    route.method, path, route.method == .get ? nil : Array(body.utf8), headers: [.requestID: key])
                                #expect(answer.headers[.requestID] != key)
                            }
                        }
                    }
                }
                try await everything()
                postgres.kill()
                try await everything()
                try await postgres.start()
                try await served.caller(nil).untilReady()
                #expect(served.log.lines.count > routes.count)
            }
        }
    }

    @Test(
        "a secret in a log, or a piece of one, does not get past the harness, whoever logs it",
        arguments: ["key", "piece", "endpoint", "password", "master key"])
    func control(what: String) async throws {
        try await withKnownIssue {
            try await withServer { served in
                let key = try #require(served.owner.apiKey)
                let endpoint = try await served.owner.post("/v1/endpoints", ["kind": "webhook", "url": "https://example.com/h00k/wh1sper"])
                let careless: String =
                    switch what {
                    case "key": "asked with \(key)"
                    case "piece": "asked with …\(key.dropFirst(7).prefix(15))…"
                    case "endpoint": endpoint.body["secret"]?.string ?? ""
                    case "password": "host=db password=the-password-of-the-database"
                    default: "sealed with \(String(repeating: "07", count: 32))"
                    }
                Logger(label: "careless") { _ in served.log }.trace("\(careless)")
            }
        } matching: { issue in
            "\(issue)".contains("secrets were logged")
        }
    }
}
