/// The budget form on a real Postgres: rules that choose the model, final calls, limits that change, things put away with holds in
/// flight, and counters that are pruned. Two engines each time it matters, so that nothing is true in one memory only.
import Budgets
import Postgres
import Store
import Synchronization
import TestSupport
import Testing

@testable import Ledger

extension World {
    static let cheap = "test-cheap"

    /// A second model at a tenth of the price.
    func addCheapModel() async throws {
        let at = Instant.now()
        try await change([
            "INSERT INTO models (organization_id, id, name, provider) VALUES (\(organization), \(ModelID(at: at)), \(World.cheap), 'test')",
            """
            INSERT INTO prices (organization_id, id, model, usage_kind, amount_per_million, valid_from, source)
            VALUES (\(organization), \(PriceID(at: at)), \(World.cheap), 'input', 0.1, \(Instant(seconds: 0)), 'test'),
                   (\(organization), \(PriceID(at: at)), \(World.cheap), 'output', 0.2, \(Instant(seconds: 0)), 'test')
            """,
        ])
    }

    /// An admin's change, as the store makes it: the fence first.
    func change(_ queries: [Query]) async throws { try await sql([Fences.raiseConfiguration(organization)] + queries) }

    func change(_ budget: BudgetID, degrade: String? = nil, finalCall: String? = nil) async throws {
        try await change([
            """
            UPDATE budgets SET degrade = \(degrade.map { JSONB(text: $0) }), final_call = \(finalCall.map { JSONB(text: $0) })
            WHERE organization_id = \(organization) AND id = \(budget)
            """
        ])
    }

    func counters(_ budget: BudgetID) async throws -> Int64 {
        let result = try await sql([
            "SELECT count(*) FROM budget_periods WHERE organization_id = \(organization) AND budget_id = \(budget)"
        ])
        return try result[0].rows[0].decode(as: Int64.self)
    }
}

@Suite struct BudgetFormTests {
    @Test("spend booked by one engine degrades the next call of another; a restart gives the same first answer; the ledger has both models")
    func degraded() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.addCheapModel()
            let budget = try await world.budget("10")
            try await world.change(budget, degrade: #"{"from_percent":80,"models":{"test-model":"test-cheap"}}"#)
            let first = try await world.withLedger { one in
                try await world.withLedger { other in
                    let held = await one.submit(world.reserve("r1", tokens: 8_000_000), for: world.organization)
                    #expect(held.reservation?.model == World.model)
                    let unaware = await other.submit(world.reserve("r2", tokens: 1), for: world.organization)
                    #expect(unaware.reservation?.model == World.model)
                    let id = try #require(held.reservation?.id)
                    _ = await one.submit(world.settle(id, tokens: 8_000_000), for: world.organization)
                    let degraded = await other.submit(world.reserve("r3"), for: world.organization)
                    let reservation = try #require(degraded.reservation)
                    #expect(reservation.model == World.cheap && reservation.requestedModel == World.model)
                    #expect(reservation.held == Amount("0.1"))
                    return reservation
                }
            }
            try await world.withLedger { ledger in
                let again = await ledger.submit(world.reserve("r3"), for: world.organization)
                #expect(again.word == "held again" && again.reservation?.model == World.cheap)
                #expect(again.reservation?.substitutions == first.substitutions && !first.substitutions.isEmpty)
                let settled = await ledger.submit(world.settle(first.id, tokens: 1_000_000), for: world.organization)
                #expect(settled.reservation?.entry?.cost == Amount("0.1"))
            }
            let result = try await world.sql([
                """
                SELECT model, requested_model, substitutions -> 0 ->> 'kind' FROM ledger_entries
                WHERE organization_id = \(world.organization) AND id = \(EntryID(high: first.id.high, low: first.id.low))
                """
            ])
            let (model, requested, kind) = try result[0].rows[0].decode(as: (String, String, String).self)
            #expect([model, requested, kind] == [World.cheap, World.model, "degraded"])
        }
    }

    @Test("final calls of 200 callers at once on two engines: exactly as many as granted, the counters exact, after a restart none more")
    func finalCalls() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.addCheapModel()
            let budget = try await world.budget("10")
            try await world.change(budget, finalCall: #"{"calls":7,"model":"test-cheap","max_output_tokens":100}"#)
            let final = try await world.withLedger { one in
                try await world.withLedger { other in
                    let reservations = await withTaskGroup(of: Reservation?.self) { group in
                        for number in 0..<200 {
                            let ledger = number.isMultiple(of: 2) ? one : other
                            group.addTask { await ledger.submit(world.reserve("r\(number)"), for: world.organization).reservation }
                        }
                        return await group.reduce(into: [Reservation]()) { list, made in made.map { list.append($0) } }
                    }
                    let final = reservations.filter { $0.substitutions.contains { $0.kind == .finalCall } }
                    #expect(reservations.count == 17 && final.count == 7)
                    #expect(final.allSatisfy { $0.model == World.cheap && $0.held == Amount("0.1") })
                    return final
                }
            }
            let totals1 = try await world.totals(budget)
            #expect(totals1 == .init(settled: "0", held: "10.7", entries: 0, open: 17))
            try await world.withLedger { ledger in
                #expect(await ledger.submit(world.reserve("late"), for: world.organization).word == "budget_exceeded")
                #expect(await ledger.submit(world.release(final[0].id), for: world.organization).word == "released")
                let given = await ledger.submit(world.reserve("given back"), for: world.organization)
                #expect(given.reservation?.model == World.cheap)
                #expect(await ledger.submit(world.reserve("later"), for: world.organization).word == "budget_exceeded")
                let settled = await ledger.submit(world.settle(final[1].id, tokens: 1_000_000), for: world.organization)
                #expect(settled.reservation?.entry?.overage == Amount("0.1"))
            }
            let result = try await world.sql([
                """
                SELECT final_calls, final_held, overage FROM budget_periods
                WHERE organization_id = \(world.organization) AND budget_id = \(budget)
                """,
                """
                SELECT count(*) FROM ledger_entries
                WHERE organization_id = \(world.organization) AND draws -> 0 ->> 'final_call' = 'true'
                  AND substitutions -> 0 ->> 'kind' = 'final_call'
                """,
            ])
            let (calls, held, overage) = try result[0].rows[0].decode(as: (Int64, Amount, Amount).self)
            #expect(calls == 7 && held == Amount("0.6") && overage == Amount("0.1"))
            #expect(try result[1].rows[0].decode(as: Int64.self) == 1)
        }
    }

    @Test("an amount lowered below what is committed refuses at once on every engine, and raised again lets calls through")
    func loweredAndRaised() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("10")
            try await world.withLedger { one in
                try await world.withLedger { other in
                    let held = try #require(await one.submit(world.reserve("r1", tokens: 6_000_000), for: world.organization).reservation)
                    #expect(await other.submit(world.reserve("r2"), for: world.organization).word == "held")
                    func limit(_ amount: String, _ version: Int64) async throws {
                        try await world.change([
                            """
                            UPDATE budgets SET amount = \(Amount(amount)!), limit_version = \(version)
                            WHERE organization_id = \(world.organization) AND id = \(budget)
                            """
                        ])
                    }
                    try await limit("5", 2)
                    #expect(await other.submit(world.reserve("r3", tokens: 1), for: world.organization).word == "budget_exceeded")
                    #expect(await one.submit(world.reserve("r4", tokens: 1), for: world.organization).word == "budget_exceeded")
                    #expect(await one.submit(world.settle(held.id, tokens: 6_000_000), for: world.organization).word == "settled")
                    #expect(await one.submit(world.reserve("r5", tokens: 1), for: world.organization).word == "budget_exceeded")
                    try await limit("8", 3)
                    #expect(await other.submit(world.reserve("r6"), for: world.organization).word == "held")
                    #expect(await one.submit(world.reserve("r7", tokens: 1), for: world.organization).word == "budget_exceeded")
                }
            }
            let alerts = try await world.sql([
                """
                SELECT limit_version, threshold FROM alerts
                WHERE organization_id = \(world.organization) AND event_id IS NOT NULL ORDER BY limit_version, threshold
                """
            ])
            let told = try alerts[0].rows.map { try $0.decode(as: (Int64, Int64).self) }.map { "\($0.0): \($0.1)" }
            #expect(told == ["2: 100"])
        }
    }

    @Test("tier, model, budget and project put away with holds in flight: each settles right, and nothing stays held")
    func archived() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let (kept, archived) = (try await world.budget("10"), try await world.budget("20"))
            try await world.withLedger { ledger in
                var ids: [ReservationID] = []
                for number in 0..<4 {
                    ids.append(try #require(await ledger.submit(world.reserve("r\(number)"), for: world.organization).reservation?.id))
                }
                let o = world.organization
                let changes: [Query] = [
                    "UPDATE models SET archived_at = now() WHERE organization_id = \(o)",
                    "UPDATE budgets SET archived_at = now() WHERE organization_id = \(o) AND id = \(archived)",
                    "UPDATE tiers SET archived_at = now() WHERE organization_id = \(o)",
                ]
                for (index, change) in changes.enumerated() {
                    try await world.change([change])
                    #expect(await ledger.submit(world.settle(ids[index], tokens: 500_000), for: o).word == "settled")
                }
                #expect(await ledger.submit(world.reserve("new"), for: o).word == "project_unknown")
                #expect(await ledger.submit(world.release(ids[3]), for: o).word == "released")
                let again = await ledger.submit(world.settle(ids[0], tokens: 500_000), for: o)
                #expect(again.word == "settled again" && again.reservation?.entry?.cost == Amount("0.5"))
            }
            for budget in [kept, archived] {
                let totals = try await world.totals(budget)
                #expect(totals == .init(settled: "1.5", held: "0", entries: 3, open: 0))
            }
        }
    }

    @Test("a revoked API key is told nothing: no repeat of its reservation, its settlement or its release")
    func revoked() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.budget("10")
            let (open, settled) = try await world.withLedger { ledger in
                let open = try #require(await ledger.submit(world.reserve("open"), for: world.organization).reservation?.id)
                let settled = try #require(await ledger.submit(world.reserve("settled"), for: world.organization).reservation?.id)
                _ = await ledger.submit(world.settle(settled, tokens: 1), for: world.organization)
                return (open, settled)
            }
            let revoke: Query =
                "UPDATE api_keys SET revoked_at = now() WHERE organization_id = \(world.organization) AND id = \(world.apiKey)"
            try await world.withLedger { ledger in
                #expect(await ledger.submit(world.reserve("open"), for: world.organization).word == "held again")
                try await world.change([revoke])
                for command in [
                    world.reserve("open"), world.reserve("settled"), world.reserve("new"), world.settle(settled, tokens: 1),
                    world.settle(open, tokens: 1), world.release(open),
                ] {
                    #expect(await ledger.submit(command, for: world.organization).word == "unauthenticated")
                }
            }
        }
    }

    @Test("the sweeper prunes a rate limit's counters that are over, never one with an open hold, and later costs are still right")
    func pruned() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let minute = try await world.budget("100", unit: .requests, period: .minute, per: .endUser)
            let total = try await world.budget("100")
            let past = Instant.now().adding(seconds: -5 * 3600)
            func made(_ user: String, _ ledger: Ledger, timeToLive: Int64) async throws -> ReservationID {
                let command = world.reserve("r-\(user)", tokens: 1_000_000, endUser: user, timeToLive: timeToLive, at: past)
                return try #require(await ledger.submit(command, for: world.organization).reservation?.id)
            }
            let (late, open) = try await world.withLedger(sweepInterval: .seconds(3600), now: { past }) { ledger in
                let done = try await made("ann", ledger, timeToLive: 600)
                _ = await ledger.submit(world.settle(done, tokens: 1_000_000, at: past), for: world.organization)
                return (try await made("bob", ledger, timeToLive: 600), try await made("cat", ledger, timeToLive: 36_000))
            }
            #expect(try await world.counters(minute) == 3)
            try await world.withLedger { ledger in
                while try await world.counters(minute) > 1 { await Task.yield() }
                let left = try await world.sql([
                    "SELECT subject, held FROM budget_periods WHERE organization_id = \(world.organization) AND budget_id = \(minute)"
                ])
                let (subject, held) = try left[0].rows[0].decode(as: (String, Amount).self)
                #expect(subject == "cat" && held == Amount(whole: 1))
                #expect(await ledger.submit(world.settle(late, tokens: 2_000_000), for: world.organization).word == "settled late")
                #expect(await ledger.submit(world.settle(open, tokens: 500_000), for: world.organization).word == "settled")
                while try await world.counters(minute) > 0 { await Task.yield() }
                #expect(await ledger.submit(world.settle(late, tokens: 2_000_000), for: world.organization).word == "settled again late")
                #expect(try await world.counters(minute) == 0)
            }
            let totals = try await world.totals(total)
            #expect(totals == .init(settled: "3.5", held: "0", entries: 3, open: 0))
        }
    }
}
