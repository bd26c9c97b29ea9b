/// Burst grants on a real Postgres: exact with two engines at once, across a restart, an approval and an end.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

extension World {
    /// An approved grant, as an admin's approval leaves it: with the fence raised.
    @discardableResult fileprivate func burst(
        on budget: BudgetID, _ amount: Int64, from: Instant, to: Instant, match: String = "{}"
    ) async throws -> BurstID {
        let id = BurstID(at: from)
        try await sql([
            Fences.raiseConfiguration(organization),
            """
            INSERT INTO bursts (organization_id, id, budget_id, amount, match, starts_at, ends_at, reason, requested_by, requested_at,
                                approved_at, review_due_at)
            VALUES (\(organization), \(id), \(budget), \(Amount(whole: amount)), \(JSONB(text: match)), \(from), \(to), 'launch',
                    \(apiKey), \(from), \(from), \(to))
            """,
        ])
        return id
    }

    /// `settled+held` of a grant, after having held it against the counters, the open reservations and the ledger (law 5).
    fileprivate func drawn(_ burst: BurstID, on budget: BudgetID) async throws -> String {
        let results = try await sql([
            "SELECT settled, held FROM bursts WHERE organization_id = \(organization) AND id = \(burst)",
            """
            SELECT (SELECT sum(burst) FROM budget_periods WHERE organization_id = \(organization) AND budget_id = \(budget))
                   = (SELECT sum(settled + held) FROM bursts WHERE organization_id = \(organization) AND budget_id = \(budget))
            """,
            """
            SELECT coalesce(sum((b ->> 'quantity')::numeric), 0)
            FROM ledger_entries, jsonb_array_elements(draws) AS d, jsonb_array_elements(d -> 'bursts') AS b
            WHERE organization_id = \(organization) AND (b ->> 'id')::uuid = \(burst)
            """,
            """
            SELECT coalesce(sum((b ->> 'quantity')::numeric), 0)
            FROM reservations, jsonb_array_elements(draws::jsonb) AS d, jsonb_array_elements(d -> 'bursts') AS b
            WHERE organization_id = \(organization) AND state = 'held' AND (b ->> 'id')::uuid = \(burst)
            """,
        ])
        let (settled, held) = try results[0].rows[0].decode(as: (Amount, Amount).self)
        let isCounted = try results[1].rows[0].decode(as: Bool.self)
        let (booked, open) = (try results[2].rows[0].decode(as: Amount.self), try results[3].rows[0].decode(as: Amount.self))
        guard settled == booked, held == open, isCounted else {
            throw Disagreement(counters: "\(settled)+\(held), in the counters: \(isCounted)", ledger: "\(booked)+\(open)")
        }
        return "\(settled.plain)+\(held.plain)"
    }
}

@Suite("Burst grants in the engine") struct BurstTests {
    @Test("two engines, one budget, two grants: together they admit exactly what budget and grants allow")
    func twoReplicas() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("40", unit: .requests)
            let now = Instant.now()
            let first = try await world.burst(on: budget, 15, from: now, to: now.adding(seconds: 1000))
            let second = try await world.burst(on: budget, 10, from: now, to: now.adding(seconds: 2000))
            try await world.withLedger { one in
                try await world.withLedger { other in
                    let held = await withTaskGroup(of: ReservationID?.self) { group in
                        for number in 0..<200 {
                            let ledger = number.isMultiple(of: 2) ? one : other
                            group.addTask { await ledger.submit(world.reserve("r\(number)"), for: world.organization).reservation?.id }
                        }
                        return await group.reduce(into: [ReservationID]()) { if let id = $1 { $0.append(id) } }
                    }
                    #expect(held.count == 65)
                    let totals = try await world.totals(budget)
                    #expect(totals.held == "65")
                    let all = [try await world.drawn(first, on: budget), try await world.drawn(second, on: budget)]
                    #expect(all == ["0+15", "0+10"])
                    // Half of them settle, half are given back, on whichever engine: the parts still sum.
                    await withDiscardingTaskGroup { group in
                        for (number, id) in held.enumerated() {
                            let ledger = number.isMultiple(of: 3) ? one : other
                            let command = number.isMultiple(of: 2) ? world.settle(id, tokens: 1) : world.release(id)
                            group.addTask { _ = await ledger.submit(command, for: world.organization) }
                        }
                    }
                    let settled = try await world.totals(budget)
                    #expect(settled.settled == "33" && settled.held == "0")
                    for burst in [first, second] {
                        let drawn = try await world.drawn(burst, on: budget)
                        #expect(drawn.hasSuffix("+0"))
                    }
                }
            }
        }
    }

    @Test("a grant binds the next call on every engine, its hold outlives a restart, and its end needs no job")
    func life() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("2")
            let now = Instant.now()
            func reserve(_ ledger: Ledger, _ name: String, _ dollars: Int64, after seconds: Int64 = 0) async -> Outcome {
                await ledger.submit(
                    world.reserve(name, tokens: dollars * 1_000_000, at: now.adding(seconds: seconds)), for: world.organization)
            }
            let (burst, id) = try await world.withLedger { ledger in
                #expect(await reserve(ledger, "r1", 5).word == "budget_exceeded")
                let burst = try await world.burst(on: budget, 4, from: now, to: now.adding(seconds: 100))
                let held = await reserve(ledger, "r1", 5)
                #expect(held.word == "held")
                guard case .reserved(let reservation, let standings, _) = held else { throw CancellationError() }
                #expect(reservation.draws.map(\.bursts) == [[BurstShare(burst: burst, quantity: Amount(whole: 3))]])
                #expect(standings.map(\.remaining) == [Amount(whole: 1)])
                return (burst, reservation.id)
            }
            let drawn = try await world.drawn(burst, on: budget)
            #expect(drawn == "0+3")
            try await world.withLedger { ledger in
                let again = await reserve(ledger, "r1", 5)
                #expect(again.word == "held again")
                guard case .reserved(_, let standings, _) = again else { throw CancellationError() }
                #expect(standings.map(\.remaining) == [Amount(whole: 1)], "the first answer")
                #expect(await reserve(ledger, "r2", 1, after: 100).word == "budget_exceeded", "the grant is over")
                #expect(await reserve(ledger, "r2", 1, after: 99).word == "held")
                let settled = await ledger.submit(
                    world.settle(id, tokens: 4_500_000, at: now.adding(seconds: 101)), for: world.organization)
                #expect(settled.reservation?.entry?.overage == .zero)
                let after = try await world.drawn(burst, on: budget)
                #expect(after == "2.5+1")
                #expect(await reserve(ledger, "r3", 1, after: 102).word == "budget_exceeded")
            }
            let totals = try await world.totals(budget)
            #expect(totals == .init(settled: "4.5", held: "1", entries: 1, open: 1))
        }
    }
}
