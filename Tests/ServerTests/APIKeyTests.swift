/// What an API key may be used for, from where and until when, on every replica.
import Budgets
import Crypto
import HTTPTypes
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct APIKeyTests {
    @Test("the last key of an owner can be rotated, but neither revoked nor taken away with its user or their role")
    func lastOwner() async throws {
        try await withServer { served in
            let first = try #require(try await served.owner.get("/v1/api-keys").body["data"]?[0]?["id"]?.string)
            let refused = try await served.owner.post("/v1/api-keys/\(first)/revoke")
            #expect(refused.status == 409 && refused.code == "in_use", "\(refused)")
            let user = try await served.owner.post("/v1/users", ["name": "Boss", "roles": [["role": "owner"]]])
            #expect(try await served.owner.post("/v1/api-keys/\(first)/revoke").code == "in_use", "a user without a key is no help")
            let own: JSON = ["name": "boss", "user": .string(user.id)]
            let boss = served.caller(try await served.owner.post("/v1/api-keys", own).body["secret"]?.string)
            #expect(try await boss.post("/v1/api-keys/\(first)/revoke").status == 200)
            #expect(try await boss.patch("/v1/users/\(user.id)", ["roles": [["role": "admin"]]]).code == "in_use")
            #expect(try await boss.delete("/v1/users/\(user.id)").code == "in_use")
            let limited: JSON = ["name": "limited", "role": "owner", "scopes": ["spend:read"]]
            #expect(try await boss.post("/v1/api-keys", limited).status == 201)
            #expect(try await boss.delete("/v1/users/\(user.id)").code == "in_use", "a key for one thing only is no help")
            #expect(try await boss.post("/v1/api-keys", ["name": "second", "role": "owner"]).status == 201)
            #expect(try await boss.delete("/v1/users/\(user.id)").status == 204)
        }
    }

    @Test("hashes of keys are of a type that is compared in constant time, in the database by an index")
    func constantTime() {
        // An array of bytes would stop at the first one that differs.
        #expect(type(of: APIKeySecret.ofTest().sha256) == SHA256Digest.self)
        let memory = Mirror(reflecting: LoginThrottle(failuresPerAddress: 1)).descendant("keys")
        #expect(memory.map { String(describing: type(of: $0)).hasPrefix("Dictionary<SHA256Digest,") } == true, "\(memory as Any)")
    }

    @Test("a key with scopes may do what they say of what its role may, and makes no key that reaches further")
    func scopes() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let reader = try await key(served, ["role": "admin", "scopes": ["structure:read"]])
            #expect(try await reader.get("/v1/teams").status == 200)
            #expect(try await reader.post("/v1/teams", ["name": "N"]).status == 403)
            #expect(try await reader.get("/v1/audit-events").status == 403)
            let auditor = try await key(served, ["role": "auditor", "scopes": ["structure:read", "organization:write"]])
            #expect(try await auditor.get("/v1/teams").status == 200)
            #expect(try await auditor.post("/v1/teams", ["name": "N"]).status == 403, "a scope gives nothing that the role has not")

            let maker = try await key(served, ["role": "admin", "scopes": ["api_keys:write", "api_keys:read", "structure:read"]])
            func make(_ scopes: JSON) async throws -> Int {
                try await maker.post("/v1/api-keys", ["name": "k", "role": "admin", "scopes": scopes]).status
            }
            let statuses = [try await make(["structure:read"]), try await make(nil), try await make(["structure:read", "audit:read"])]
            #expect(statuses == [201, 403, 403])
            let whole = try await served.owner.post("/v1/api-keys", ["name": "w", "role": "admin"])
            #expect(try await maker.post("/v1/api-keys/\(whole.id)/rotate").status == 403, "nor takes one over")
            let unknown = try await served.owner.post("/v1/api-keys", ["name": "k", "role": "admin", "scopes": ["everything", "x"]])
            #expect(unknown.faults == ["/scopes/0 invalid_value", "/scopes/1 invalid_value"], "\(unknown)")
            let calls = try await key(served, ["project": .string(world.project), "scopes": ["calls:read"]])
            #expect(try await calls.get("/v1/allowance?model=model-a").status == 403)
        }
    }

    @Test("a key bound to networks is refused from elsewhere, also for calls, and once it is remembered")
    func networks() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let project = JSON.string(world.project)
            let here = try await key(served, ["project": project, "networks": ["10.0.0.0/8", "127.0.0.1"]])
            let elsewhere = try await key(served, ["project": project, "networks": ["10.0.0.0/8", "2001:db8::/32"]])
            let administrator = try await key(served, ["role": "admin", "networks": ["10.0.0.0/8"]])
            for _ in 0..<2 {
                #expect(try await here.get("/v1/allowance?model=model-a").status == 200)
                let refused = try await elsewhere.get("/v1/allowance?model=model-a")
                #expect(refused.status == 403 && refused.text.contains("127.0.0.1"), "\(refused)")
            }
            #expect(try await administrator.get("/v1/teams").status == 403)
            let faulty = try await served.owner.post(
                "/v1/api-keys", ["name": "k", "role": "admin", "networks": ["10.0.0.0/33", "example.com", "10.0.0.0/8"]])
            #expect(faulty.faults == ["/networks/0 invalid_value", "/networks/1 invalid_value"], "\(faulty)")
        }
    }

    /// `X-Forwarded-For` as it comes from 127.0.0.1, a proxy that is trusted with 192.168.0.0/16, and whether 10.0.0.0/8 is believed.
    static let forwarded: [(String?, Bool)] = [
        ("10.1.2.3", true), ("8.8.8.8, 10.1.2.3", true), ("10.1.2.3, 192.168.7.7", true), ("10.1.2.3, 8.8.8.8", false),
        ("10.1.2.3, nonsense", false), ("::ffff:10.1.2.3", true), ("", false), (nil, false),
    ]

    @Test("behind proxies that are trusted the address is the nearest that is none of theirs, and nobody's own invention")
    func proxies() async throws {
        let trusting: @Sendable (inout ServerSettings) -> Void = { $0.trustProxies = ["127.0.0.0/8", "192.168.0.0/16"] }
        try await withServer(adjusting: trusting) { served in
            let bound = try await key(served, ["role": "auditor", "networks": ["10.0.0.0/8"]])
            for (trail, isBelieved) in Self.forwarded {
                var headers = HTTPFields()
                if let trail, let name = HTTPField.Name("x-forwarded-for") { headers[name] = trail }
                let answer = try await bound.send(.get, "/v1/teams", headers: headers)
                #expect(answer.status == (isBelieved ? 200 : 403), "\(trail ?? "nothing"): \(answer)")
            }
        }
        try await withServer { served in
            let bound = try await key(served, ["role": "auditor", "networks": ["10.0.0.0/8"]])
            let name = try #require(HTTPField.Name("x-forwarded-for"))
            #expect(try await bound.send(.get, "/v1/teams", headers: [name: "10.1.2.3"]).status == 403, "nobody is trusted")
        }
    }

    @Test("a key made for some models is refused for others, and its allowance shows only those")
    func models() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await served.owner.post("/v1/models", ["name": "model-b", "provider": "acme"])
            let bound = try await key(served, ["project": .string(world.project), "models": ["*-a"]])
            func reserve(_ caller: Caller, _ model: JSON) async throws -> Caller.Answer {
                try await caller.post("/v1/reservations", ["request_id": model, "model": model, "input_tokens": 1])
            }
            #expect(try await reserve(bound, "model-a").status == 201)
            let refused = try await reserve(bound, "model-b")
            #expect(refused.code == "model_not_allowed" && refused.body["request"] == nil, "no access request helps: \(refused)")
            #expect(try await reserve(world.caller, "model-b").status == 201)
            #expect(try await bound.get("/v1/allowance?model=model-a").body["models"] == ["model-a"])
            let misplaced = try await served.owner.post("/v1/api-keys", ["name": "k", "role": "admin", "models": ["*"]])
            #expect(misplaced.faults == ["/models invalid_value"], "\(misplaced)")
        }
    }

    @Test("a rotated key hands on its limits; both work for the overlap, and not a request longer, on every replica")
    func rotation() async throws {
        try await replicas { first, second in
            let made = try await first.owner.post(
                "/v1/api-keys", ["name": "k", "role": "auditor", "scopes": ["structure:read"], "networks": ["127.0.0.0/8"]])
            let old = try #require(made.body["secret"]?.string)
            let overlapping = try await first.owner.post("/v1/api-keys/\(made.id)/rotate", ["overlap_seconds": 600])
            #expect(overlapping.body["scopes"] == ["structure:read"] && overlapping.body["networks"] == ["127.0.0.0/8"], "\(overlapping)")
            let new = try #require(overlapping.body["secret"]?.string)
            for port in [first.port, second.port] {
                for secret in [old, new] { #expect(try await Caller(port: port, apiKey: secret).get("/v1/teams").status == 200) }
            }
            let last = try await first.owner.post("/v1/api-keys/\(overlapping.id)/rotate", ["overlap_seconds": 0])
            for port in [first.port, second.port] {
                #expect(try await Caller(port: port, apiKey: new).get("/v1/teams").status == 401)
                #expect(try await Caller(port: port, apiKey: last.body["secret"]?.string).get("/v1/teams").status == 200)
            }
        }
    }

    @Test("a revoked key is refused by the next request on every replica, for calls as for administration")
    func revoked() async throws {
        try await replicas { first, second in
            let world = try await World.make(first)
            let ci = try await first.owner.post("/v1/api-keys", ["name": "ci", "project": .string(world.project)])
            let admin = try await first.owner.post("/v1/api-keys", ["name": "admin", "role": "admin"])
            let ports = [first.port, second.port]
            func statuses(_ port: Int, _ id: String) async throws -> [Int] {
                let call: JSON = ["request_id": .string(id), "model": "model-a", "input_tokens": 1]
                return [
                    try await Caller(port: port, apiKey: ci.body["secret"]?.string).post("/v1/reservations", call).status,
                    try await Caller(port: port, apiKey: admin.body["secret"]?.string).get("/v1/teams").status,
                ]
            }
            for port in ports { #expect(try await statuses(port, "before \(port)") == [201, 200]) }
            for id in [ci.id, admin.id] { #expect(try await first.owner.post("/v1/api-keys/\(id)/revoke").status == 200) }
            for port in ports.reversed() { #expect(try await statuses(port, "after \(port)") == [401, 401]) }
        }
    }

    @Test("a key that has expired is refused; when it was last used is known afterwards, and no audit event")
    func lastUse() async throws {
        try await withDatabase { database in
            try await withServer(on: database) { served in
                let made = try await served.owner.post("/v1/api-keys", ["name": "used", "role": "auditor"])
                #expect(made.body["last_used_at"] == .null, "\(made)")
                let caller = served.caller(made.body["secret"]?.string)
                for _ in 0..<3 { #expect(try await caller.get("/v1/teams").status == 200) }
                let unwritten = try await served.owner.get("/v1/api-keys/\(made.id)")
                #expect(unwritten.body["last_used_at"] == .null, "no request writes it down")
                let past = try await served.owner.patch("/v1/api-keys/\(made.id)", ["expires_at": "2020-01-01T00:00:00Z"])
                #expect(past.status == 200, "\(past)")
                #expect(try await caller.get("/v1/teams").status == 401)
            }
            // What was gathered is written down when the server stops.
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            let uses = try await connection.query(
                """
                SELECT k.name, u.last_used_at > k.created_at FROM api_key_uses AS u
                JOIN api_keys AS k ON k.organization_id = u.organization_id AND k.id = u.api_key_id WHERE k.name = 'used'
                """)
            let found = try uses.rows.map { try $0.decode(as: (String, Bool).self) }
            #expect(found.map(\.0) == ["used"] && found.allSatisfy(\.1))
            let events = try await connection.query("SELECT action FROM audit_events WHERE action LIKE 'api_key%' AND target LIKE 'key%'")
            #expect(try events.rows.filter { try $0.decode(as: String.self) == "api_key.changed" }.count == 1, "the change of its end")
            await connection.close()
        }
    }

    private func key(_ served: Served, _ body: JSON) async throws -> Caller {
        var members = try #require(body.object)
        members["name"] = "k"
        let made = try await served.owner.post("/v1/api-keys", .object(members))
        return served.caller(try #require(made.body["secret"]?.string, "\(made)"))
    }

    /// Two servers on one database.
    private func replicas(_ body: @escaping @Sendable (Served, Served) async throws -> Void) async throws {
        try await withDatabase { database in
            try await withServer(on: database) { first in
                try await withServer(on: database) { second in try await body(first, second) }
            }
        }
    }
}
