/// `Idempotency-Key` and `If-Match` on administrative writes.
import HTTPTypes
import JSON
import Postgres
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct RepeatedWriteTests {
    @Test("a repeated write gets its first answer, secrets and all, and is not done again; the kept answer is sealed")
    func replay() async throws {
        try await withServer { served in
            let body: JSON = ["name": "bot", "role": "auditor"]
            let first = try await post(served.owner, "/v1/api-keys", body, key: "once-1")
            let again = try await post(served.owner, "/v1/api-keys", body, key: "\"once-1\"")
            #expect(first.status == 201 && first.headers[.idempotencyReplayed] == nil, "\(first)")
            #expect(again.status == 201 && again.text == first.text && again.headers[.eTag] == first.headers[.eTag], "\(again)")
            #expect(again.headers[.idempotencyReplayed] == "true")
            let keys = try await served.owner.get("/v1/api-keys").body["data"]?.array?.filter { $0["name"] == "bot" }
            #expect(keys?.count == 1)
            let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
            let secret = try #require(first.body["secret"]?.string)
            let plain = try await connection.query(
                "SELECT count(*) FROM idempotent_requests WHERE position(convert_to(\(secret), 'UTF8') IN sealed_answer) > 0")
            #expect(try plain.rows[0].decode(as: Int.self) == 0)
            await connection.close()
        }
    }

    @Test("the same key with other content, path or revision is refused; another caller's key is another")
    func otherContent() async throws {
        try await withServer { served in
            let first = try await post(served.owner, "/v1/teams", ["name": "A"], key: "k")
            #expect(first.status == 201)
            for (path, body) in [("/v1/teams", ["name": "B"]), ("/v1/users", ["name": "A"])] as [(String, JSON)] {
                let answer = try await post(served.owner, path, body, key: "k")
                #expect(answer.status == 422 && answer.code == "idempotency_key_reused", "\(answer)")
            }
            let admin = try await served.owner.post("/v1/api-keys", ["name": "admin", "role": "admin"])
            let other = try await post(served.caller(admin.body["secret"]?.string), "/v1/teams", ["name": "B"], key: "k")
            #expect(other.status == 201, "\(other)")
            for key in ["", "a b", String(repeating: "x", count: 256)] {
                let answer = try await post(served.owner, "/v1/teams", ["name": "C"], key: key)
                #expect(answer.status == 400 && answer.code == "invalid_request", "\(key): \(answer)")
            }
        }
    }

    @Test("a refusal does not use the key up, and nothing of it stays")
    func refusal() async throws {
        try await withServer { served in
            #expect(try await served.owner.post("/v1/teams", ["name": "A"]).status == 201)
            let taken = try await post(served.owner, "/v1/teams", ["name": "A"], key: "k")
            #expect(taken.code == "name_taken", "\(taken)")
            let free = try await post(served.owner, "/v1/teams", ["name": "B"], key: "k")
            #expect(free.status == 201, "\(free)")
        }
    }

    @Test("of many at once with one key, one is done; the others get its answer or are told that it is under way")
    func atOnce() async throws {
        try await withServer { served in
            let answers = try await withThrowingTaskGroup(of: Caller.Answer.self) { group in
                for _ in 0..<12 { group.addTask { try await post(served.owner, "/v1/users", ["name": "one"], key: "k") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let done = answers.filter { $0.status == 201 }
            #expect(!done.isEmpty && Set(done.map(\.id)).count == 1)
            #expect(answers.allSatisfy { $0.status == 201 || ($0.status == 409 && $0.code == "request_in_flight") }, "\(answers)")
            #expect(try await served.owner.get("/v1/users").body["data"]?.array?.count == 1)
        }
    }

    @Test("a change must say which revision it rests on")
    func revision() async throws {
        try await withServer { served in
            let team = try await served.owner.post("/v1/teams", ["name": "A"])
            let path = "/v1/teams/\(team.id)"
            let blind = try await served.owner.patch(path, ["name": "B"], ifMatch: nil)
            #expect(blind.status == 428 && blind.code == "precondition_required", "\(blind)")
            #expect(try await served.owner.delete(path, ifMatch: nil).status == 428)
            for tag in ["\"2\"", "W/\"1\"", "1", "\"x\"", "\"1\", \"2\""] {
                #expect(try await served.owner.patch(path, ["name": "B"], ifMatch: tag).status == 412, "\(tag)")
            }
            let changed = try await served.owner.patch(path, ["name": "B"], ifMatch: "\"1\"")
            #expect(changed.headers[.eTag] == "\"2\"", "\(changed)")
        }
    }

    @Test("what is replaced whole is replaced only by who has seen it")
    func replacing() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let budget = try await world.budget("5")
            let bodies: [(String, JSON)] = [
                ("/v1/tag-policy", ["tags": []]), ("/v1/journal-accounts", ["expense": "1", "clearing": "2"]), ("/v1/burst-rails", [:]),
                ("/v1/budgets/\(budget)/burst-rails", [:]),
            ]
            for (path, body) in bodies {
                let seen = try #require(try await served.owner.get(path).headers[.eTag])
                #expect(try await served.owner.put(path, body, ifMatch: nil).code == "precondition_required", "\(path)")
                #expect(try await served.owner.put(path, body, ifMatch: "\"99\"").code == "revision_mismatch", "\(path)")
                let first = try await served.owner.put(path, body, ifMatch: seen)
                let second = try await served.owner.put(path, body, ifMatch: seen)
                #expect(first.status == 200 && second.status == 412, "\(path): \(first) \(second)")
                #expect(try await served.owner.get(path).headers[.eTag] == first.headers[.eTag], "\(path)")
                #expect(try await served.owner.put(path, body).status == 200, "any revision will do: \(path)")
            }
            #expect(try await served.owner.delete("/v1/budgets/\(budget)").status == 204)
            #expect(try await served.owner.put("/v1/budgets/\(budget)/burst-rails", [:]).code == "archived")
        }
    }

    private func post(_ caller: Caller, _ path: String, _ body: JSON, key: String) async throws -> Caller.Answer {
        try await caller.send(.post, path, body.bytes, headers: [Exchange.idempotencyKey: key])
    }
}
