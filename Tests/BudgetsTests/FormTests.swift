// Every combination of the budget form (design §4), against the plainest statement of what it means.

import Testing

@testable import Budgets

struct FormTests {
    private static func patterns(_ texts: String...) -> [Pattern] { texts.map { Pattern($0)! } }

    /// Matches, and whether they count a call of `big` by ann for chat with the staging key.
    static let matches: [(BudgetMatch, Bool)] = [
        (.any, true),
        (BudgetMatch(models: patterns("b*")), true), (BudgetMatch(models: patterns("mini", "nano")), false),
        (BudgetMatch(providers: patterns("acme")), true), (BudgetMatch(providers: patterns("a")), false),
        (BudgetMatch(environments: patterns("*ing")), true), (BudgetMatch(environments: patterns("production")), false),
        (BudgetMatch(features: patterns("c*t")), true), (BudgetMatch(features: patterns("search")), false),
        (BudgetMatch(endUsers: patterns("an*")), true), (BudgetMatch(endUsers: patterns("*b")), false),
        (BudgetMatch(apiKeys: patterns(FormWorld.key.description)), true),
        (BudgetMatch(apiKeys: patterns(FormWorld.otherKey.description)), false),
        (BudgetMatch(models: patterns("big"), environments: patterns("staging"), endUsers: patterns("ann", "bob")), true),
        (BudgetMatch(models: patterns("big"), environments: patterns("staging"), endUsers: patterns("bob")), false),
    ]

    static let scopes: [(BudgetScope, Bool)] = [
        (.organization, true), (.team(FormWorld.team), true), (.project(FormWorld.project), true), (.team(FormWorld.otherTeam), false),
        (.project(FormWorld.otherProject), false),
    ]

    @Test("a budget with room for one call, in every form: what the second one gets", arguments: BudgetUnit.allCases, Period.allCases)
    func everyForm(unit: BudgetUnit, period: Period) {
        let amount = [BudgetUnit.usd: "0.01", .tokens: "1000", .requests: "1"][unit]!
        var refused = 0
        for (match, counts) in Self.matches {
            for per in [nil] + BudgetPer.allCases.map(Optional.init) {
                for (scope, reaches) in Self.scopes {
                    for enforcement in Enforcement.allCases {
                        let budget = Budget.form(
                            1, amount, scope: scope, match: match, per: per, unit: unit, rule: PeriodRule(period), enforcement: enforcement)
                        var world = FormWorld([budget])
                        let first = world.reserve("big", endUser: "ann", feature: "chat")
                        let second = world.reserve("big", endUser: "ann", feature: "chat")
                        let blocks = counts && reaches && enforcement == .block
                        let code = period == .minute || period == .hour ? "rate_limited" : "budget_exceeded"
                        let words = [first.form, second.form]
                        #expect(words == ["big", blocks ? code : "big"], "\(match) \(scope) \(String(describing: per)) \(enforcement)")
                        if blocks { refused += 1 }
                        #expect(first.reservation?.draws.count == (counts && reaches ? 1 : 0))
                    }
                }
            }
        }
        #expect(refused == 8 * 7 * 3)
    }

    @Test(
        "each value of what a budget counts per has a counter of its own",
        arguments: [
            (BudgetPer?.none, [false, false, false, false]), (.endUser, [true, false, false, false]),
            (.feature, [false, true, false, false]),
            (.model, [false, false, true, false]), (.apiKey, [false, false, false, true]), (.project, [false, false, false, true]),
            (.team, [false, false, false, true]),
        ])
    func per(per: BudgetPer?, free: [Bool]) {
        let calls: [(inout FormWorld) -> Outcome] = [
            { $0.reserve("big", endUser: "bob", feature: "chat") }, { $0.reserve("big", endUser: "ann", feature: "search") },
            { $0.reserve("mini", endUser: "ann", feature: "chat") },
            { $0.reserve("big", endUser: "ann", feature: "chat", elsewhere: true) },
        ]
        for (call, isFree) in zip(calls, free) {
            var world = FormWorld([.form(1, "1", per: per, unit: .requests)])
            #expect(world.reserve("big", endUser: "ann", feature: "chat").form == "big")
            #expect((call(&world).reservation != nil) == isFree)
        }
    }

    @Test(
        "a period ends where the organization's calendar says, anchors and all",
        arguments: [
            (PeriodRule(.minute), "Europe/Berlin", "2027-01-15T08:00:59.999999Z", "2027-01-15T08:01:00Z"),
            (PeriodRule(.hour), "Asia/Kathmandu", "2027-01-15T08:14:59Z", "2027-01-15T08:15:00Z"),
            (PeriodRule(.day), "America/New_York", "2027-01-16T04:59:59Z", "2027-01-16T05:00:00Z"),
            (PeriodRule(period: .week, anchorDay: 7, anchorMonth: 1)!, "UTC", "2027-01-16T23:59:59Z", "2027-01-17T00:00:00Z"),
            (PeriodRule(period: .month, anchorDay: 31, anchorMonth: 1)!, "Europe/Berlin", "2027-01-30T22:59:59Z", "2027-01-30T23:00:00Z"),
            (PeriodRule(period: .quarter, anchorDay: 1, anchorMonth: 2)!, "UTC", "2027-01-31T23:59:59Z", "2027-02-01T00:00:00Z"),
            (PeriodRule(period: .year, anchorDay: 6, anchorMonth: 4)!, "Europe/London", "2027-04-05T22:59:59Z", "2027-04-05T23:00:00Z"),
        ])
    func periods(rule: PeriodRule, zone: String, last: String, next: String) throws {
        var world = FormWorld([.form(1, "2", unit: .requests, rule: rule)], zone: zone)
        let (last, next) = (try #require(Instant(rfc3339: last)), try #require(Instant(rfc3339: next)))
        #expect(world.reserve().form == "big")
        #expect(world.reserve(at: last).form == "big")
        #expect(world.reserve(at: last).reservation == nil)
        #expect(world.reserve(at: next).form == "big")
    }

    @Test("a budget counts only between its dates")
    func dates() {
        let (from, to) = (FormWorld.at, FormWorld.at.adding(seconds: 10))
        var world = FormWorld([.form(1, "0", activeFrom: from, activeTo: to)])
        let words = [-1, 0, 9, 10].map { world.reserve(at: FormWorld.at.adding(seconds: $0)).form }
        #expect(words == ["big", "budget_exceeded", "budget_exceeded", "big"])
    }

    @Test("caps of a tier: input of one call, and requests of a project a minute, each with a code of its own")
    func caps() {
        let cap = Budget.form(1, "2", per: .project, unit: .requests, rule: PeriodRule(.minute), tier: FormWorld.tier)
        var world = FormWorld([cap], maxInputTokens: 1000)
        #expect(world.reserve(tokens: 1000).form == "big")
        #expect(world.reserve(tokens: 1001).form == "max_input_tokens_exceeded")
        #expect(world.reserve().form == "big")
        #expect(world.reserve().form == "max_requests_per_minute_exceeded")
        #expect(world.reserve(elsewhere: true).form == "big", "another project has its own")
        #expect(world.reserve(at: FormWorld.at.adding(seconds: 60)).form == "big")
        var other = FormWorld([.form(1, "0", unit: .requests, rule: PeriodRule(.minute), tier: TierID(high: 4, low: 9))])
        #expect(other.reserve().form == "big", "the cap of another tier")
    }

    @Test("a cost that comes long after a rate limit's period is booked and no longer counted there; a hold still open is")
    func closedPeriods() throws {
        let (minute, month) = (Budget.form(1, "5", unit: .requests, rule: PeriodRule(.minute)), Budget.form(2, "100"))
        for (seconds, draws) in [(Int64(7200), [1, 2]), (7260, [2])] {
            var world = FormWorld([minute, month])
            let late = try #require(world.reserve().reservation)
            let open = try #require(world.reserve().reservation)
            _ = world.expire(late.id)
            let now = FormWorld.at.adding(seconds: seconds)
            let entry = try #require(world.settle(late.id, tokens: 500, at: now).reservation?.entry)
            #expect(entry.draws.map { Int($0.counter.budget.low) } == draws && entry.isLate && entry.cost == Amount("0.005"))
            let other = try #require(world.settle(open.id, tokens: 500, at: now).reservation?.entry)
            #expect(other.draws.map(\.counter.budget.low) == [1, 2])
            #expect(world.counter(minute).held == .zero && world.counter(minute).settled == Amount(whole: Int64(draws.count)))
        }
    }
}
