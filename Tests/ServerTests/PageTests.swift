/// Lists in pages: a cursor leads through its own list and through no other.
import HTTPTypes
import JSON
import Testing

@testable import Server

@Suite struct PageTests {
    @Test("a cursor is refused with its name by another list, with other filters, by another organization, and when it is changed")
    func bound() async throws {
        try await withServer { served in
            let owner = served.owner
            for number in 1...3 {
                let team = try await owner.post("/v1/teams", ["name": .string("\(number)")])
                #expect(team.status == 201)
                let tier: JSON = ["name": .string("\(number)"), "rank": .number(number), "models": ["*"], "max_output_tokens": 1]
                #expect(try await owner.post("/v1/tiers", tier).status == 201)
            }
            let other = try await served.anotherOrganization()
            _ = try await other.post("/v1/teams", ["name": "theirs"])

            let first = try await owner.get("/v1/teams?limit=1")
            let cursor = try #require(first.body["next_cursor"]?.string)
            let second = try await owner.get("/v1/teams?cursor=\(cursor)&limit=2")
            #expect(second.body["data"]?.array?.compactMap { $0["name"]?.string } == ["2", "3"], "the number of a page may change")
            #expect(second.body["next_cursor"] == .null)

            let audit = try await owner.get("/v1/audit-events?limit=1&action=team.created")
            let filtered = try #require(audit.body["next_cursor"]?.string)
            #expect(try await owner.get("/v1/audit-events?cursor=\(filtered)&action=team.created").status == 200)

            let changed = String(cursor.dropLast()) + (cursor.hasSuffix("A") ? "B" : "A")
            for (caller, path) in [
                (other, "/v1/teams?cursor=\(cursor)"), (owner, "/v1/tiers?cursor=\(cursor)"), (owner, "/v1/teams?cursor=\(changed)"),
                (owner, "/v1/teams?cursor="), (owner, "/v1/audit-events?cursor=\(filtered)"),
                (owner, "/v1/audit-events?cursor=\(filtered)&action=tier.created"), (owner, "/v1/audit-events?cursor=\(cursor)"),
            ] {
                let answer = try await caller.get(path)
                #expect(answer.status == 422 && answer.faults == ["?cursor invalid_value"], "\(path): \(answer)")
            }
        }
    }

    @Test("a reservation tells how many more requests each budget that counts them has room for, and so does a refusal")
    func rateLimit() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            _ = try await world.budget("100", unit: "usd")
            let total = try await world.budget("50", unit: "requests", period: "total")
            _ = try await world.budget("1", unit: "requests", period: "month", enforcement: "warn")
            let year = try await world.budget("2", unit: "requests", period: "year")
            func fields(_ answer: Caller.Answer) -> (policy: String, limit: String) {
                (answer.headers[HTTPField.Name("ratelimit-policy")!] ?? "", answer.headers[HTTPField.Name("ratelimit")!] ?? "")
            }
            for left in [1, 0] {
                let answer = try await world.reserve("\(left)")
                #expect(answer.status == 201 && !fields(answer).limit.contains(total), "a budget without an end has no window: \(answer)")
                #expect(
                    fields(answer).policy.wholeMatch(of: /"(bgt_[0-9a-f]{32})";q=2;w=31(536|622)[0-9]00/)?.1 == year[...],
                    "\(fields(answer))")
                #expect(
                    fields(answer).limit.wholeMatch(of: /"(bgt_[0-9a-f]{32})";r=([01]);t=[1-9][0-9]*/)?.2 == "\(left)", "\(fields(answer))")
            }
            #expect(try await fields(world.reserve("x")).limit == "", "402 tells of no rate")
            let minute = try await world.budget("0", unit: "requests", period: "minute")
            let refused = try await world.reserve("y")
            #expect(refused.code == "rate_limited" && fields(refused).policy == "\"\(minute)\";q=0;w=60", "\(fields(refused))")
            #expect(fields(refused).limit.hasPrefix("\"\(minute)\";r=0;t="))
        }
    }
}
