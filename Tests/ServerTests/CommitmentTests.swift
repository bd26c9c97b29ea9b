/// Prepaid spend through the API: written down by finance, drawn on by usage, taken back while no closed month has it.
import Budgets
import HTTPTypes
import JSON
import Store
import Testing

@testable import Server

@Suite(.serialized) struct CommitmentTests {
    private func dollars(_ json: JSON?) -> String? { json?["amount"]?.string.flatMap { Amount($0) }?.plain }

    @Test("usage of its term draws on a commitment: what is billed changes, and what the team is charged does not")
    func draws() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let booked = try await world.caller.post(
                "/v1/usage", ["events": [["request_id": "a", "model": "model-a", "usage": ["input": 3_000_000], "feature": "f"]]])
            try #require(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
            let zone = try #require(Zone("Europe/Berlin"))
            let month = try #require(StatementMonth(at: .now(), in: zone))
            let path = "/v1/statements/\(month)"
            let (before, csv) = (try await served.owner.get(path), try await served.owner.get(path + "/export?format=csv"))

            let key: HTTPFields = [.init("idempotency-key")!: "once"]
            let bought: JSON = [
                "name": "Prepaid", "provider": "acme", "models": ["model-*"], "amount": "2.50", "from_date": .string("\(month)-01"),
                "until_date": .string("\(month.after)-01"), "invoice": "INV-1",
            ]
            let made = try await served.owner.send(.post, "/v1/commitments", bought.bytes, headers: key)
            #expect(made.status == 201 && made.body["purchase_month"]?.string == month.description, "\(made)")
            #expect(made.body["amount"]?["amount"] == "2.500000000000" && made.body["cancelled_at"] == .null, "\(made)")
            let again = try await served.owner.send(.post, "/v1/commitments", bought.bytes, headers: key)
            #expect(again.id == made.id && again.text == made.text)
            #expect(try await served.owner.get("/v1/commitments/\(made.id)").text == made.text)

            let drawn = try await served.owner.get(path + "/commitments")
            let part = try #require(drawn.body["commitments"]?[0])
            #expect(
                part["commitment"]?.string == made.id && dollars(part["bought"]) == "2.5" && dollars(part["drawn"]) == "2.5", "\(drawn)")
            #expect(dollars(drawn.body["cost"]) == "3" && dollars(drawn.body["billed"]) == "3", "2.50 in advance, and 0.50: \(drawn)")
            #expect(try await served.owner.get(path).text == before.text)
            #expect(try await served.owner.get(path + "/export?format=csv").text == csv.text)
            let focus = try await served.owner.get(path + "/export?format=focus-1.2").text
            #expect(focus.contains(",Committed,") && focus.contains("\"Commitment, Prepaid, invoice INV-1\""), "\(focus)")
            let manifest = try await served.owner.get(path + "/manifest?format=focus-1.2")
            #expect(manifest.body["billed"]?["payable"] == "3.000000000000", "\(manifest)")

            let faulty = try await served.owner.post(
                "/v1/commitments",
                [
                    "name": "N", "provider": "bursar", "amount": "0.001", "from_date": "2030-02-30", "until_date": "2030-03-01",
                    "purchase_month": "2030-04",
                ])
            #expect(
                faulty.faults == ["/amount invalid_value", "/from_date invalid_value", "/provider invalid_value"], "\(faulty)")
            for (until, month) in [("2030-01-01", "2029-12"), ("2035-01-02", "2030-01"), ("2031-01-01", "2030-02")] as [(JSON, JSON)] {
                let refused = try await served.owner.post(
                    "/v1/commitments",
                    [
                        "name": "N", "provider": "acme", "amount": "1", "from_date": "2030-01-01", "until_date": until,
                        "purchase_month": month,
                    ])
                let field = month == "2030-02" ? "/purchase_month" : "/until_date"
                #expect(refused.faults == ["\(field) out_of_range"], "\(refused)")
            }

            #expect(try await served.owner.send(.post, "/v1/commitments/\(made.id)/cancel", headers: [:]).status == 428)
            let stale = try await served.owner.send(.post, "/v1/commitments/\(made.id)/cancel", headers: [.ifMatch: "\"9\""])
            #expect(stale.status == 412, "\(stale)")
            let cancelled = try await served.owner.send(.post, "/v1/commitments/\(made.id)/cancel", headers: [.ifMatch: "\"1\""])
            #expect(
                cancelled.status == 200 && cancelled.body["cancelled_at"]?.string != nil && cancelled.body["revision"] == 2, "\(cancelled)")
            let twice = try await served.owner.send(.post, "/v1/commitments/\(made.id)/cancel", headers: [.ifMatch: "*"])
            #expect(twice.code == "already_decided", "\(twice)")
            #expect(try await served.owner.get(path + "/commitments").body["commitments"]?.array?.isEmpty == true)
            #expect(try await served.owner.get("/v1/commitments?state=active").body["data"]?.array?.isEmpty == true)
            let events = try await served.owner.get("/v1/audit-events?target=\(made.id)")
            let actions = events.body["data"]?.array?.compactMap { $0["action"]?.string }
            #expect(actions == ["commitment.changed", "commitment.created"], "\(events)")
        }
    }

    @Test(
        "a closed month is not changed by what is bought later, and the refusal says with which day to begin; a proposed one is open again")
    func closed() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            #expect(try await served.owner.post("/v1/statements/2026-01/propose").body["state"] == "proposed")
            #expect(try await served.owner.post("/v1/statements/2026-02/propose").body["state"] == "proposed")
            #expect(try await served.owner.post("/v1/statements/2026-01/close", [:]).status == 202)
            try await world.close("2026-01")
            func buy(_ from: JSON, _ month: JSON) async throws -> Caller.Answer {
                try await served.owner.post(
                    "/v1/commitments",
                    [
                        "name": "N", "provider": "acme", "amount": "1", "from_date": from, "until_date": "2027-01-01",
                        "purchase_month": month,
                    ])
            }
            let early = try await buy("2026-01-31", "2026-01")
            #expect(early.faults == ["/from_date invalid_value"] && early.text.contains("begin with 2026-02-01"), "\(early)")
            let late = try await buy("2026-02-01", "2026-01")
            #expect(late.faults == ["/purchase_month invalid_value"] && late.text.contains("the first that is open is 2026-02"), "\(late)")
            #expect(try await buy("2026-02-01", "2026-02").status == 201)
            let states = try await served.owner.get("/v1/statements?sort=month").body["data"]?.array?.compactMap { $0["state"]?.string }
            #expect(states == ["closed", "open"])
        }
    }
}
