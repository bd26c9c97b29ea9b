/// One person is one, however many API keys they have: nothing that takes two people is done by two keys of one (design §10).
import Budgets
import HTTPTypes
import JSON
import Store
import Testing

@testable import Server

@Suite(.serialized, .timeLimit(.minutes(4))) struct OnePersonTests {
    /// Something that one asks for and another has to agree to. `ask` returns the path of the agreement.
    private struct Matter: Sendable {
        let name: String
        let ask: @Sendable (World, Caller) async throws -> String
        var agreement: JSON = [:]
    }

    private static let end = JSON.string(Instant.now().adding(seconds: 86_400 * 7).rfc3339)
    private static let matters = [
        Matter(name: "burst") { world, asker in
            let budget = try await world.budget("10")
            let asked = try await asker.post("/v1/budgets/\(budget)/bursts", ["amount": "1", "reason": "r", "ends_at": end])
            return "/v1/bursts/\(asked.id)/approve"
        },
        Matter(name: "access") { world, asker in
            let higher = try await world.served.owner.get("/v1/tiers?name_prefix=Higher").body["data"]?[0]?["id"] ?? .null
            let body: JSON = ["project": .string(world.project), "tier": higher, "reason": "r", "ends_at": end]
            return "/v1/access-requests/\(try await asker.post("/v1/access-requests", body).id)/approve"
        },
        Matter(name: "adjustment") { world, asker in
            let body: JSON = ["kind": "credit", "project": .string(world.project), "amount": "1", "reason": "r"]
            return "/v1/adjustments/\(try await asker.post("/v1/adjustments", body).id)/approve"
        },
        Matter(name: "reallocation") { world, asker in
            let (from, to) = (try await world.budget("10"), try await world.budget("10"))
            let body: JSON = ["from": .string(from), "to": .string(to), "amount": "1", "lasting": "this_period", "reason": "r"]
            return "/v1/reallocations/\(try await asker.post("/v1/reallocations", body).id)/approve"
        },
        Matter(
            name: "reopening",
            ask: { world, asker in
                let owner = world.served.owner
                let state = try await owner.get("/v1/statements/2026-01").body["state"]
                if state != "closed" {
                    #expect(try await owner.post("/v1/statements/2026-01/propose").status == 200)
                    try await world.close("2026-01")
                }
                let asked = try await asker.post("/v1/statements/2026-01/reopen", ["reason": "r"])
                #expect(asked.status == 202, "\(asked)")
                return "/v1/statements/2026-01/reopen"
            }, agreement: ["reason": "r"]),
    ]

    @Test("what one key of a person asked for, no other of theirs agrees to; another person does", arguments: matters.indices)
    func onePerson(index: Int) async throws {
        let matter = Self.matters[index]
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await served.owner.post(
                "/v1/tiers", ["name": "Higher", "rank": 9, "models": ["x"], "max_output_tokens": 1, "approval": "team_lead"])
            /// An owner's key, made with `maker`'s.
            func key(_ maker: Caller, user: String? = nil) async throws -> (caller: Caller, id: String) {
                let holder: (String, JSON) = user.map { ("user", .string($0)) } ?? ("role", "owner")
                let made = try await maker.post("/v1/api-keys", .object(JSON.Object([("name", "k"), holder])))
                return (served.caller(try #require(made.body["secret"]?.string, "\(made)")), made.id)
            }
            func user(_ name: JSON) async throws -> String {
                try await served.owner.post("/v1/users", ["name": name, "roles": [["role": "owner"]]]).id
            }
            let kim = try await user("Kim")
            let first = try await key(served.owner)
            let second = try await key(first.caller)
            let third = try await key(second.caller)
            let rotated = try await served.owner.post("/v1/api-keys/\(first.id)/rotate", ["overlap_seconds": 600])
            let successor = served.caller(try #require(rotated.body["secret"]?.string, "\(rotated)"))
            let lee = try await key(served.owner, user: user("Lee")).caller
            let taken = try await lee.post("/v1/api-keys/\(key(second.caller).id)/rotate")
            let another = try await key(served.owner, user: user("Max")).caller
            for (name, asker, approver) in [
                ("two keys of a user", try await key(served.owner, user: kim).caller, try await key(served.owner, user: kim).caller),
                ("a key of the asker's making", first.caller, second.caller), ("the maker of the asking key", second.caller, first.caller),
                ("a key made with one of the asker's making", first.caller, third.caller),
                ("whoever made the maker of the asking key", third.caller, first.caller), ("a rotated key", first.caller, successor),
                ("one made with the key that was rotated", successor, second.caller),
                ("whoever rotated the asking key", served.caller(taken.body["secret"]?.string), lee),
            ] {
                let path = try await matter.ask(world, asker)
                let refused = try await approver.post(path, matter.agreement)
                #expect(refused.status == 403, "\(matter.name), \(name): \(refused)")
                #expect(try await asker.post(path, matter.agreement).status == 403, "\(matter.name), \(name)")
                let done = try await another.post(path, matter.agreement)
                #expect(done.status == 200, "\(matter.name), \(name): \(done)")
                if matter.name == "access" {
                    let grants = try await another.get("/v1/access-grants?state=active").body["data"]?.array ?? []
                    for grant in grants { _ = try await another.post("/v1/access-grants/\(grant["id"]?.string ?? "")/revoke", [:]) }
                }
            }
        }
    }
}
