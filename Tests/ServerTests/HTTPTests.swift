/// The protocol around the API: sizes, types, methods, request ids, figures, and a stop that lets everyone finish.
import Budgets
import HTTPTypes
import HummingbirdTesting
import JSON
import NIOCore
import Outbound
import Postgres
import ServiceLifecycle
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct HTTPTests {
    @Test(
        "a body of one byte more than a mebibyte gets its answer, and so does a far larger one",
        arguments: [(1 << 20) + 1, 5 << 20, 40 << 20])
    func tooLarge(size: Int) async throws {
        try await withServer { served in
            let padding = size - #"{"name":""}"#.utf8.count
            let body = Array(#"{"name":"\#(String(repeating: "x", count: padding))"}"#.utf8)
            let answer = try await served.owner.send(.post, "/v1/teams", body)
            #expect(answer.status == 413 && answer.code == "body_too_large", "\(answer.status)")
            #expect(try await served.owner.get("/v1/teams").status == 200)
        }
    }

    @Test("a body of exactly a mebibyte is read")
    func largest() async throws {
        try await withServer { served in
            let padding = (1 << 20) - #"{"name":""}"#.utf8.count
            let body = Array(#"{"name":"\#(String(repeating: "x", count: padding))"}"#.utf8)
            #expect(body.count == RequestBodies.bound)
            let answer = try await served.owner.send(.post, "/v1/teams", body)
            #expect(answer.faults == ["/name out_of_range"])
        }
    }

    static let types: [(String?, Int)] = [
        ("application/json", 201), ("application/json; charset=utf-8", 201), ("Application/Merge-Patch+JSON", 201), ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415), ("", 415), (nil, 415),
    ]

    @Test("a body must say that it is JSON")
    func mediaType() async throws {
        try await withServer { served in
            for (number, (type, status)) in Self.types.enumerated() {
                let answer = try await served.owner.send(.post, "/v1/teams", Array(#"{"name":"\#(number)"}"#.utf8), type: type)
                #expect(answer.status == status, "\(type ?? "none"): \(answer)")
            }
        }
    }

    static let elsewhere: [(HTTPRequest.Method, String, Int, String?)] = [
        (.put, "/v1/teams", 405, "GET, HEAD, OPTIONS, POST"), (.delete, "/v1/organization", 405, "GET, HEAD, OPTIONS, PATCH"),
        (.get, "/v1/reservations", 405, "OPTIONS, POST"), (.trace, "/metrics", 405, "GET, HEAD, OPTIONS"),
        (.head, "/v1/usage", 405, "OPTIONS, POST"), (.init("QUERY")!, "/v1/teams/x", 405, "DELETE, GET, HEAD, OPTIONS, PATCH"),
        (.options, "/v1/usage", 204, "OPTIONS, POST"), (.options, "/v1/nothing", 404, nil),
        (.get, "/v1/nothing", 404, nil), (.get, "/", 404, nil), (.get, "/v1/teams/x/y", 404, nil), (.get, "/v1/teams/%00", 404, nil),
        (.get, "/v1/teams/team_", 404, nil), (.get, "/v1/teams/prj_00000000000000000000000000000000", 404, nil),
    ]

    @Test("other methods get 405 with what is allowed, OPTIONS just that, other paths 404")
    func methods() async throws {
        try await withServer { served in
            for (method, path, status, allow) in Self.elsewhere {
                let answer = try await served.owner.send(method, path)
                #expect(answer.status == status && answer.headers[.allow] == allow, "\(method) \(path): \(answer)")
                #expect(answer.headers[.requestID]?.isEmpty == false)
                guard status != 204, method != .head else { continue }
                #expect(answer.headers[.contentType] == "application/problem+json")
                #expect(answer.body["type"]?.string?.isEmpty == false && answer.body["title"]?.string?.isEmpty == false)
                #expect(answer.body["status"]?.int64 == Int64(status))
            }
        }
    }

    @Test("HEAD is answered like GET, without a body but with its length")
    func head() async throws {
        try await withServer { served in
            for path in ["/v1/teams", "/v1/organization", "/openapi.yaml", "/v1/teams/x"] {
                let whole = try await served.owner.get(path)
                let head = try await served.owner.send(.head, path)
                #expect(head.status == whole.status && head.text.isEmpty, "\(path): \(head)")
                for name in [HTTPField.Name.contentType, .contentLength, .eTag] where path != "/v1/teams/x" {
                    #expect(head.headers[name] == whole.headers[name], "\(path) \(name)")
                }
            }
        }
    }

    static let requestIDs: [(String, Bool)] = [
        ("my-Id_1.2", true), ("", false), ("a b", false), (String(repeating: "x", count: 129), false), ("a\u{e9}", false),
    ]

    @Test("the caller's request id comes back; one that is unfit for a log is replaced")
    func requestID() async throws {
        try await withServer { served in
            for (id, isKept) in Self.requestIDs {
                let answer = try await served.caller(nil).send(.get, "/v1/teams", headers: [.requestID: id])
                let back = try #require(answer.headers[.requestID])
                #expect((back == id) == isKept && !back.isEmpty, "\(id)")
                #expect(answer.body["request_id"]?.string == back)
            }
        }
    }

    @Test("health, figures and the contract need no key")
    func operations() async throws {
        try await withServer { served in
            let anyone = served.caller(nil)
            #expect(try await anyone.get("/health/live").status == 200)
            // The first reservation proves that the lane is connected.
            _ = try await World.make(served).reserve("r")
            #expect(try await anyone.get("/health/ready").status == 200)
            let metrics = try await anyone.get("/metrics")
            // Behind one wall alone there is a neighbour with another team.
            let teams = Wall.ofThisRun == .both ? 1 : 2
            let made = #"bursar_http_requests_total{method="POST",route="/v1/teams",status="2xx"} \#(teams)"#
            #expect(metrics.text.contains(made), "\(metrics)")
            #expect(metrics.text.contains(#"bursar_commands_total{command="reserve",outcome="held"} 1"#), "\(metrics)")
            let contract = try await anyone.get("/openapi.yaml")
            #expect(contract.text.contains("openapi: 3.1"))
        }
    }

    @Test("an idle connection does not hold up a stop")
    func idle() async throws {
        let idle = Idle()
        try await withServer { served in
            let client = TestClient(host: "127.0.0.1", port: served.port)
            client.connect()
            let answer = try await client.execute(.init("/health/live", method: .get, authority: "localhost"))
            #expect(answer.status == .ok)
            await idle.keep(client)
        }
        // `withServer` has returned: the server stopped while the connection was open.
        await idle.close()
    }
}

extension HTTPTests {
    @Test("a call under way gets its answer when the server is asked to stop meanwhile")
    func underWay() async throws {
        try await withDatabase { database in
            let secret = APIKeySecret.ofTest()
            let pool = PostgresPool(database, size: 1, logger: testLogger)
            let store = Store(pool: pool)
            let owner = NewAPIKey(id: APIKeyID(at: .now()), name: "o", holder: .role(.owner), secret: secret)
            _ = try await store.createOrganization(OrganizationID(at: .now()), name: "A", timeZone: "UTC", ownerKey: owner)
            let (arrivals, arrival) = AsyncStream<Void>.makeStream()
            let (goes, go) = AsyncStream<Void>.makeStream()
            let engine = Engine(
                submit: { _, _ in
                    arrival.yield()
                    _ = await goes.first { true }
                    return .refused(.reservationUnknown)
                })
            let api = API(
                store: store, statements: store,
                authenticator: Authenticator(badKeysPerMinute: 100) { try await store.credential(sha256: $0) },
                trustedProxies: [], keyUses: KeyUses(logger: testLogger) { _ in },
                journal: Journal(logger: testLogger), metrics: Metrics(http: HTTPMetrics(routes), sources: []), engine: engine,
                hindrance: { nil },
                sealer: try Sealer(masterKey: Array(repeating: 7, count: 32)),
                links: ExportLinks(masterKeys: [], publicURL: nil), outbound: OutboundClient(allowTargets: [], logger: testLogger),
                canMail: false,
                wakeDispatcher: {}, now: { .now() })
            let (ports, port) = AsyncStream<Int>.makeStream()
            let application = buildApplication(api, host: "127.0.0.1", port: 0, logger: testLogger) { port.yield($0) }
            let group = ServiceGroup(services: [application], logger: testLogger)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                let caller = Caller(port: try #require(await ports.first { _ in true }), apiKey: secret.text)
                async let answer = caller.post("/v1/reservations/rsv_00000000000000000000000000000001/release")
                _ = await arrivals.first { true }
                await group.triggerGracefulShutdown()
                go.yield()
                let code = try await answer.code
                #expect(code == "reservation_unknown")
                try await tasks.waitForAll()
            }
            await pool.shutdown()
        }
    }
}

/// Keeps a connection open past its test's body.
private actor Idle {
    private var client: TestClient?

    func keep(_ client: TestClient) { self.client = client }
    func close() async { try? await client?.shutdown() }
}
