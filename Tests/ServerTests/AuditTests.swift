/// Every administrative change leaves an audit event, in the same Postgres transaction, in a chain that shows where it was touched.
import Crypto
import Foundation
import HTTPTypes
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct AuditTests {
    @Test("an event says who, what, when, under which request, from what to what, and no secret")
    func event() async throws {
        try await withServer { served in
            let team = try await served.owner.post("/v1/teams", ["name": "Search"])
            let user = try await served.owner.post("/v1/users", ["name": "Ada", "roles": [["role": "admin"]]])
            let key = try await served.owner.post("/v1/api-keys", ["name": "ada", "user": .string(user.id)])
            let ada = served.caller(key.body["secret"]?.string)
            let changed = try await ada.send(
                .patch, "/v1/teams/\(team.id)", Array(#"{"name":"Find"}"#.utf8),
                headers: [.ifMatch: "*", .requestID: "the-request"])
            #expect(changed.status == 200, "\(changed)")
            let list = try await served.owner.get("/v1/audit-events?target=\(team.id)")
            let events = try #require(list.body["data"]?.array)
            #expect(events.map { $0["action"]?.string } == ["team.changed", "team.created"], "\(list)")
            #expect(events[0]["actor"]?.string == user.id && events[0]["api_key"]?.string == key.id, "\(list)")
            #expect(events[0]["request_id"] == "the-request", "\(list)")
            #expect(events[0]["before"]?["name"] == "Search" && events[0]["after"]?["name"] == "Find", "\(list)")
            #expect(events[0]["after"]?["id"]?.string == team.id && events[1]["before"] == .null, "\(list)")
            let all = try await served.owner.get("/v1/audit-events")
            #expect(!all.text.contains("secret_sha256") && !all.text.contains(key.body["secret"]?.string ?? "-"), "\(all)")
            #expect(try await served.owner.get("/v1/audit-events?actor=\(user.id)").body["data"]?.array?.count == 1)
            #expect(try await served.owner.get("/v1/audit-events?action=team.created&from=2099-01-01T00:00:00Z").body["data"] == [])
        }
    }

    @Test("every route that changes something leaves an event; a refused one leaves none")
    func everyRoute() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let names = try await Names(world)
            // Calls have a ledger of their own, an estimate changes nothing, and another organization has another chain.
            let others = ["/v1/usage", "/v1/estimates", "/v1/organizations"]
            let changes = InvalidRequestTests.good.filter { _, path, _ in !path.hasPrefix("/v1/reservations") && !others.contains(path) }
            for (index, (method, path, good)) in changes.enumerated() {
                var body = good
                if var members = good.object, members["name"] != nil {
                    members["name"] = .string("N\(index)")
                    body = .object(members)
                }
                try await InvalidRequestTests.bring(path, to: world)
                let before = try await newest(served)
                let answer = try await served.owner.send(method, names.fill(path), names.fill(body).bytes, headers: [.ifMatch: "*"])
                #expect((200...299).contains(answer.status), "\(path): \(answer)")
                // Freezing the month follows by itself, and is an event too.
                if path.hasSuffix("/close") { try await world.close("2026-01") }
                let after = try await newest(served)
                #expect(after > before, "\(method) \(path) left no event")
                _ = try await served.owner.send(method, names.fill(path), Array(#"{"no":"such field"}"#.utf8), headers: [.ifMatch: "*"])
                let afterRefusal = try await newest(served)
                #expect(afterRefusal == after, "\(method) \(path) left an event of a refusal")
            }
        }
    }

    @Test("the export's hashes can be recomputed by anyone, and the chain verifies")
    func export() async throws {
        try await withServer { served in
            _ = try await World.make(served)
            let answer = try await served.owner.get("/v1/audit-events/export")
            #expect(answer.headers[.contentType] == "application/x-ndjson")
            let lines = answer.text.split(separator: "\n").map { try? JSON.parse(String($0)) }
            #expect(lines.count > 5)
            var previous: [UInt8] = []
            for (index, line) in lines.enumerated() {
                #expect(line?["sequence"]?.int64 == Int64(index + 1))
                let hash = Array(SHA256.hash(data: previous + Array((line?["content"]?.string ?? "").utf8)))
                #expect(line?["hash"]?.string == hash.map { String(format: "%02x", $0) }.joined())
                previous = hash
            }
            let found = try await broken(served)
            #expect(found.isEmpty)
        }
    }

    static let forgeries = [
        "UPDATE audit_events SET actor = 'nobody' WHERE sequence = 3", "UPDATE audit_events SET after = '{}' WHERE sequence = 3",
        "UPDATE audit_events SET hash = sha256('x') WHERE sequence = 3", "DELETE FROM audit_events WHERE sequence = 3",
        "DELETE FROM audit_events WHERE sequence >= 3",
    ]

    @Test("events can be neither changed nor removed; where somebody forces it, the chain shows it", arguments: forgeries)
    func forgery(statement: String) async throws {
        // The server's own check may find it first, and says so in the log.
        try await withServer(expectsFaults: true) { served in
            _ = try await World.make(served)
            let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
            await #expect(throws: PostgresError.self) { try await connection.script(statement) }
            let whole = try await broken(served)
            #expect(whole.isEmpty)
            try await connection.script("ALTER TABLE audit_events DISABLE TRIGGER append_only; \(statement)")
            let found = try await broken(served)
            // What is cut off at the end shows at the head; all else where it was done.
            let places = ["audit event 3", "audit event 4"]
            #expect(!found.isEmpty && (statement.contains(">=") || found.allSatisfy(places.contains)), "\(found)")
            await connection.close()
        }
    }

    private func newest(_ served: Served) async throws -> Int64 {
        try await served.owner.get("/v1/audit-events?limit=1").body["data"]?[0]?["sequence"]?.int64 ?? 0
    }

    /// What the check says of the chains.
    private func broken(_ served: Served) async throws -> [String] {
        let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
        let report = try await Check.run(on: connection)
        await connection.close()
        return report.findings.filter { $0.fact.name == "audit_chain" }.flatMap(\.samples).map(\.what)
    }
}
