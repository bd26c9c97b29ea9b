// What was moved for one period changes the budget in that period, and in no other.

import Testing

@testable import Budgets

struct ShiftTests {
    /// A thousand tokens of `big` cost $0.01, so this is room for one call a month.
    private func budget(_ shifts: [Instant: String], version: Int64 = 1) -> Budget {
        let plain = Budget.form(1, "0.01")
        return Budget(
            id: plain.id, name: plain.name, scope: plain.scope, match: plain.match, per: nil, unit: .usd, rule: plain.rule,
            amount: plain.amount, shifts: shifts.mapValues { Amount($0)! }, thresholds: [50, 100], limitVersion: version,
            enforcement: .block)
    }

    private var month: PeriodSpan { PeriodRule(.month).span(containing: FormWorld.at, in: .utc) }

    @Test(
        "calls that fit into the month, by what was moved for it",
        arguments: [(String?.none, 1), ("0.02", 3), ("0.009999", 1), ("-0.01", 0), ("-0.5", 0)])
    func room(shift: String?, calls: Int) {
        var world = FormWorld([budget(shift.map { [month.start: $0] } ?? [:])])
        for _ in 0..<calls { #expect(world.reserve().form == "big") }
        #expect(world.reserve().form == "budget_exceeded")
    }

    @Test("the month before and the month after have what they always had")
    func otherMonths() throws {
        let later = try #require(month.end)
        let earlier = PeriodRule(.month).span(containing: month.start.adding(seconds: -1), in: .utc).start
        for instant in [earlier, later] {
            var world = FormWorld([budget([month.start: "5"])])
            #expect(world.reserve(at: instant).form == "big")
            #expect(world.reserve(at: instant).form == "budget_exceeded", "\(instant)")
        }
    }

    @Test("what is shown, and what people are told, is by the amount of the period")
    func told() throws {
        var world = FormWorld([budget([month.start: "0.01"])])
        guard case .reserved(let held, let standings, _) = world.reserve(tokens: 1000) else { return #expect(Bool(false)) }
        #expect(standings.map(\.amount) == [Amount("0.02")!] && standings.map(\.remaining) == [Amount("0.01")!])
        _ = world.settle(held.id, tokens: 1000)
        #expect(world.changes.alerts.map(\.threshold) == [50] && world.changes.alerts.map(\.amount) == [Amount("0.02")!])
        // What was lent is taken back: from the next posting on, the same spend is all of it.
        world.change([budget([:], version: 2)])
        guard case .refused(.budgetExceeded(let standing, _)) = world.reserve() else { return #expect(Bool(false)) }
        #expect(standing.amount == Amount("0.01")!)
    }
}
