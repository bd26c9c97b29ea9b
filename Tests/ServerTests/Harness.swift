/// A whole server on a real socket with a real database, and a caller that speaks JSON to it.
import Budgets
import HTTPTypes
import HummingbirdTesting
import JSON
import Logging
import NIOCore
import Outbound
import Postgres
import ServiceLifecycle
import Store
import TestSupport
import Testing

@testable import Server

/// A running server and the keys of one organization on it.
struct Served: Sendable {
    let port: Int
    /// As its owner; the server has only the service's role.
    let database: PostgresConfiguration
    let operatorKey: String
    var owner: Caller
    let log: KeptLog

    func caller(_ apiKey: String?) -> Caller { Caller(port: port, apiKey: apiKey) }

    /// Another organization, by its owner.
    func anotherOrganization() async throws -> Caller {
        let answer = try await caller(operatorKey).post("/v1/organizations", ["name": "Another"])
        return caller(try #require(answer.body["owner_key"]?["secret"]?.string))
    }
}

/// Runs `body` against a server of its own, on a fresh database unless one is given; afterwards it must have stopped by itself.
/// Unless faults are expected, or its `road` to Postgres is one that is made bad, it must have logged none; and never a secret that it
/// was given, gave away or was told, which `TestLog` looks for.
func withServer(
    on database: PostgresConfiguration? = nil, road: (@Sendable (PostgresConfiguration) -> PostgresConfiguration)? = nil,
    wall: Wall = .ofThisRun, expectsFaults: Bool = false, logLevel: Logger.Level = .error,
    adjusting adjust: @escaping @Sendable (inout ServerSettings) -> Void = { _ in },
    _ body: @escaping @Sendable (Served) async throws -> Void
) async throws {
    guard let database else {
        return try await withDatabase { database in
            try await withServer(
                on: database, road: road, wall: wall, expectsFaults: expectsFaults, logLevel: logLevel, adjusting: adjust, body)
        }
    }
    try #require(TestLog.current != nil, "nobody would look for secrets in what the server logs")
    let operatorSecret = APIKeySecret.ofTest()
    let pool = PostgresPool(database, size: 1, logger: testLogger)
    _ = try await Store(pool: pool).createAPIKey(
        NewAPIKey(id: APIKeyID(at: .now()), name: "operator", holder: .role(.operator), secret: operatorSecret), of: .platform)
    await pool.shutdown()
    var settings = ServerSettings(database: (road?(database) ?? database).asService, secretKey: Array(repeating: 7, count: 32))
    settings.database.password = database.password
    settings.port = 0
    settings.laneCount = 1
    settings.poolSize = 4
    settings.allowTargets = ["127.0.0.0/8"]
    wall.standsAlone(in: &settings.database)
    adjust(&settings)
    let log = KeptLog(level: logLevel)
    TestLog.current?.secrets.add(settings)
    let (ports, port) = AsyncStream<Int>.makeStream()
    let group = try buildServer(settings, logger: Logger(label: "test") { _ in log }) { port.yield($0) }
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        let listening = try #require(await ports.first { _ in true })
        let creator = Caller(port: listening, apiKey: operatorSecret.text)
        try await creator.untilReady()
        do {
            let answer = try await creator.post("/v1/organizations", ["name": "Acme", "time_zone": "Europe/Berlin"])
            #expect(answer.status == 201, "\(answer)")
            let owner = Caller(port: listening, apiKey: try #require(answer.body["owner_key"]?["secret"]?.string))
            let served = Served(port: listening, database: database, operatorKey: operatorSecret.text, owner: owner, log: log)
            // Behind one wall alone there is somebody, so that it has something to keep out.
            if wall == .predicates || wall == .rowSecurity {
                var neighbour = served
                neighbour.owner = try await served.anotherOrganization()
                _ = try await World.make(neighbour).budget("0")
            }
            try await body(served)
        } catch {
            await group.triggerGracefulShutdown()
            throw error
        }
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
    }
    let faults = log.lines.filter { $0.level >= .error }
    #expect(expectsFaults || road != nil || faults.isEmpty, "\(faults)")
}

/// One connection a request: the plainest client there is.
struct Caller: Sendable {
    let port: Int
    let apiKey: String?

    struct Answer: CustomStringConvertible {
        let status: Int
        let headers: HTTPFields
        let text: String
        /// What `text` is made of, for what is no text.
        let bytes: [UInt8]
        /// `null` when the answer is no JSON.
        var body: JSON { (try? JSON.parse(text)) ?? .null }
        var id: String { body["id"]?.string ?? "no id in \(text)" }
        var code: String? { body["code"]?.string }
        /// The faulty fields of a problem: `/name missing`.
        var faults: [String] {
            (body["errors"]?.array ?? []).map { "\($0["pointer"]?.string ?? "") \($0["code"]?.string ?? "")" }.sorted()
        }
        var description: String { "\(status) \(text)" }
    }

    /// Returns once the server says that calls can be decided: the engine connects while the server already listens.
    func untilReady() async throws { try await until(readiness: 200) }

    /// Asks for as long as the answer is another; nothing signals it.
    @discardableResult func until(readiness status: Int) async throws -> Answer {
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            let answer = try await get("/health/ready")
            if answer.status == status { return answer }
            guard ContinuousClock.now < deadline else { throw TestClient.Error.noResponse }
        }
    }

    func get(_ path: String) async throws -> Answer { try await send(.get, path) }
    func post(_ path: String, _ body: JSON = [:]) async throws -> Answer { try await send(.post, path, body.bytes) }
    /// Any revision will do unless one is named; nil sends no If-Match at all.
    func patch(_ path: String, _ body: JSON, ifMatch: String? = "*") async throws -> Answer {
        try await send(.patch, path, body.bytes, headers: ifMatch.map { [.ifMatch: $0] } ?? [:])
    }
    func put(_ path: String, _ body: JSON, ifMatch: String? = "*") async throws -> Answer {
        try await send(.put, path, body.bytes, headers: ifMatch.map { [.ifMatch: $0] } ?? [:])
    }
    func delete(_ path: String, ifMatch: String? = "*") async throws -> Answer {
        try await send(.delete, path, headers: ifMatch.map { [.ifMatch: $0] } ?? [:])
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: [UInt8]? = nil, type: String? = "application/json", headers: HTTPFields = [:]
    ) async throws -> Answer {
        var headers = headers
        if let apiKey { headers[.authorization] = "Bearer \(apiKey)" }
        if body != nil, let type { headers[.contentType] = type }
        let request = TestClient.Request(
            path, method: method, authority: "localhost", headers: headers, body: body.map { ByteBuffer(bytes: $0) })
        let response = try await TestClient.withClient(host: "127.0.0.1", port: port) { client in try await client.execute(request) }
        let bytes = response.body.map { Array($0.readableBytesView) } ?? []
        let text = String(decoding: bytes, as: UTF8.self)
        TestLog.current?.secrets.note(apiKey, path, text, change: method == .get ? nil : body ?? [])
        let faults = DeclaredAnswers.faults(response.head.status.code, response.head.headerFields, text, to: method, path)
        #expect(faults == [], "\(method) \(path) is not answered as openapi/bursar.yaml says: \(response.head.status.code) \(text)")
        return Answer(status: response.head.status.code, headers: response.head.headerFields, text: text, bytes: bytes)
    }
}

extension Secrets {
    fileprivate func add(_ settings: ServerSettings) {
        for key in settings.secretKeys { add(bytes: key) }
        for password in [settings.database.password, settings.mail?.password] { add(password ?? "") }
    }

    /// The caller's key; of a change the endpoint's that it was told, and all that it calls a secret in its answer; and the signature of a
    /// link, as whoever has that has the file.
    /// - Parameter change: the body of a request that changes something; nil for one that reads.
    fileprivate func note(_ apiKey: String?, _ path: String, _ answer: String, change: [UInt8]?) {
        if let apiKey, APIKeySecret(apiKey) != nil { add(apiKey) }
        if path.hasPrefix("/v1/exports") { for link in answer.matches(of: #/signature=([A-Za-z0-9_-]+)/#) { add(link.1) } }
        guard let change else { return }
        if path.hasPrefix("/v1/endpoints"), let told = (try? JSON.parse(change))?.object {
            if let url = told["url"]?.string { add(pathOf: url) }
            for name in ["routing_key", "secret"] { add(told[name]?.string ?? "") }
        }
        guard answer.contains("secret\":\"") else { return }
        for match in answer.matches(of: #/"(?:secret|signing_secret)":"([^"]+)"/#) { add(match.1) }
    }
}
