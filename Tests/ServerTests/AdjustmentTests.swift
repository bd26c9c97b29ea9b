/// Adjustments and credits: asked for by one, approved by another, booked to the last digit, and taken back only by the exact opposite.
import Budgets
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct AdjustmentTests {
    private struct People {
        let owner: Caller
        let finance: Caller
        let world: World

        init(_ served: Served) async throws {
            world = try await World.make(served)
            let key = try await served.owner.post("/v1/api-keys", ["name": "finance", "role": "finance"])
            (owner, finance) = (served.owner, served.caller(key.body["secret"]?.string))
        }

        func ask(_ kind: JSON, _ amount: JSON) async throws -> Caller.Answer {
            try await finance.post(
                "/v1/adjustments",
                ["kind": kind, "project": .string(world.project), "amount": amount, "reason": "a faulty month", "feature": "chat"])
        }

        /// The statement's cost of this month.
        func cost(_ month: String) async throws -> String? {
            try await owner.get("/v1/statements/\(month)").body["cost"]?["amount"]?.string
        }
    }

    @Test("a credit lowers the month once it is approved; its reversal restores it to the last digit")
    func credit() async throws {
        try await withServer { served in
            let people = try await People(served)
            let budget = try await people.world.budget("1")
            let booked = try await people.world.caller.post(
                "/v1/usage", ["events": [["request_id": "u", "model": "model-a", "usage": ["input": 1]]]])
            #expect(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
            let asked = try await people.ask("credit", "0.123456789012")
            #expect(asked.status == 201 && asked.body["state"] == "requested", "\(asked)")
            #expect(asked.body["amount"]?["amount"] == "-0.123456789012")
            let month = try #require(asked.body["occurred_at"]?.string).prefix(7)
            #expect(try await people.cost(String(month)) == "0.000001000000", "asked for is not booked")
            #expect(try await people.finance.post("/v1/adjustments/\(asked.id)/approve").status == 403)
            let approved = try await people.owner.post("/v1/adjustments/\(asked.id)/approve", ["reason": "seen the invoice"])
            #expect(approved.status == 200 && approved.body["state"] == "booked", "\(approved)")
            #expect(try await people.cost(String(month)) == "-0.123455789012")
            #expect(try await people.owner.post("/v1/adjustments/\(asked.id)/approve").code == "in_use", "booked once")

            let csv = try await people.owner.get("/v1/statements/\(month)/export?format=csv")
            let line = csv.text.split(whereSeparator: \.isNewline).first { $0.contains("bursar,credit,chat") }
            #expect(line?.contains("-0.123456789012") == true, "a line of its own: \(csv)")
            let periods = try await people.owner.get("/v1/budgets/\(budget)/periods")
            #expect(periods.body["data"]?[0]?["settled"]?["amount"] == "0.000001000000", "budgets count calls: \(periods)")

            let back = try await people.finance.post("/v1/adjustments/\(asked.id)/reverse", ["reason": "it was right"])
            #expect(back.status == 201 && back.body["reverses"]?.string == asked.id, "\(back)")
            #expect(try await people.finance.post("/v1/adjustments/\(asked.id)/reverse", ["reason": "again"]).code == "in_use")
            #expect(try await people.owner.post("/v1/adjustments/\(back.id)/approve").status == 200)
            #expect(try await people.cost(String(month)) == "0.000001000000")
            #expect(try await people.finance.post("/v1/adjustments/\(back.id)/reverse", ["reason": "no"]).code == "in_use")
            try await lawsHold(served)
        }
    }

    @Test("fees, taxes and unused commitments stand on lines of their own, count the way they must, and are taken back like all others")
    func kinds() async throws {
        try await withServer { served in
            let people = try await People(served)
            for (kind, amount) in [("fee", "100"), ("tax", "19.01"), ("tax", "-19.01"), ("unused_commitment", "12.5")] {
                let asked = try await people.ask(.string(kind), .string(amount))
                #expect(asked.status == 201 && asked.body["kind"]?.string == kind, "\(asked)")
                #expect(try await people.owner.post("/v1/adjustments/\(asked.id)/approve").status == 200)
                let month = String(try #require(asked.body["occurred_at"]?.string).prefix(7))
                #expect(try await people.cost(month) == Amount(amount)?.description)
                for format in ["csv", "focus-1.2", "focus-1.4"] {
                    let file = try await people.owner.get("/v1/statements/\(month)/export?format=\(format)")
                    #expect(file.status == 200 && file.text.contains(format == "csv" ? "bursar,\(kind),chat" : ",chat,\(kind),"), "\(file)")
                }
                let back = try await people.finance.post("/v1/adjustments/\(asked.id)/reverse", ["reason": "it was wrong"])
                #expect(try await people.owner.post("/v1/adjustments/\(back.id)/approve").status == 200)
                #expect(try await people.cost(month) == "0.000000000000")
                #expect(try await people.owner.get("/v1/statements/\(month)/export?format=focus-1.4").status == 200)
            }
            #expect(try await people.ask("fee", "-1").faults == ["/amount out_of_range"])
            #expect(try await people.ask("unused_commitment", "0").faults == ["/amount out_of_range"])
            let nameless = try await people.finance.post(
                "/v1/adjustments",
                ["kind": "unused_commitment", "project": .string(people.world.project), "amount": "1", "reason": "r"])
            #expect(nameless.faults == ["/feature missing"], "\(nameless)")
            try await lawsHold(served)
        }
    }

    @Test("what is denied or taken back is never booked, and an owner's own request waits for another owner")
    func decided() async throws {
        try await withServer { served in
            let people = try await People(served)
            let denied = try await people.ask("adjustment", "-5")
            #expect(try await people.owner.post("/v1/adjustments/\(denied.id)/deny", ["reason": "no"]).body["state"] == "denied")
            #expect(try await people.owner.post("/v1/adjustments/\(denied.id)/approve").code == "in_use")
            let withdrawn = try await people.ask("adjustment", "5")
            #expect(try await people.finance.post("/v1/adjustments/\(withdrawn.id)/withdraw").body["state"] == "withdrawn")
            let own = try await people.owner.post(
                "/v1/adjustments", ["kind": "credit", "project": .string(people.world.project), "amount": "1", "reason": "mine"])
            #expect(try await people.owner.post("/v1/adjustments/\(own.id)/approve").status == 403)
            let list = try await people.finance.get("/v1/adjustments?state=requested")
            #expect(list.body["data"]?.array?.compactMap { $0["id"]?.string } == [own.id], "\(list)")
            let faulty = try await people.ask("credit", "-1")
            #expect(faulty.faults == ["/amount out_of_range"], "\(faulty)")
            #expect(try await people.ask("correction", "1").faults == ["/kind invalid_value"])
            try await lawsHold(served)
        }
    }

    @Test("the check finds an adjustment that nobody approved, and one taken back twice")
    func broken() async throws {
        // The server's own check may find it first, and says so in the log.
        try await withServer(expectsFaults: true) { served in
            let people = try await People(served)
            let asked = try await people.ask("credit", "2")
            #expect(try await people.owner.post("/v1/adjustments/\(asked.id)/approve").status == 200)
            let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
            try await connection.script(
                "UPDATE adjustments SET amount = -3; UPDATE ledger_entries SET reverses_id = id WHERE kind = 'credit'")
            await connection.close()
            let broken = try await violations(served).map(\.fact.name)
            #expect(broken.contains("adjustments_are_entries") && broken.contains("reversals_cancel"), "\(broken)")
        }
    }

    private func violations(_ served: Served) async throws -> [CheckReport.Finding] {
        let pool = PostgresPool(served.database, size: 1, logger: testLogger)
        let report = try await pool.withConnection { connection in try Check.run(on: connection) }
        await pool.shutdown()
        return report.findings.filter { $0.count > 0 }
    }

    private func lawsHold(_ served: Served) async throws {
        let broken = try await violations(served)
        #expect(broken.isEmpty, "\(broken.map { ($0.fact.name, $0.samples.map(\.1)) })")
    }
}
