// Degrading and final calls (Serving.swift): which model serves a call, and how far beyond its amount a budget lets go.

import TestSupport
import Testing

@testable import Budgets

struct DegradeTests {
    private static func rule(_ percent: Int, _ models: [String: String]) -> Degrade { Degrade(fromPercent: percent, models: models) }
    private static let toMini = rule(80, ["big": "mini"])
    private static let toNano = rule(80, ["big": "nano"])
    private static let pattern = Pattern("big")!

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let budgets: [Budget]
        /// What each of them has settled, of 100 dollars.
        var settled: [String] = ["80"]
        var model = "big"
        let served: String
    }

    static let cases = [
        Case(
            testDescription: "a pico-dollar below", budgets: [.form(1, "100", degrade: toMini)], settled: ["79.999999999999"], served: "big"
        ),
        Case(testDescription: "reached exactly", budgets: [.form(1, "100", degrade: toMini)], served: "mini degraded 1"),
        Case(testDescription: "a model it does not name", budgets: [.form(1, "100", degrade: toMini)], model: "mini", served: "mini"),
        Case(testDescription: "warn", budgets: [.form(1, "100", enforcement: .warn, degrade: toMini)], served: "mini degraded 1"),
        Case(testDescription: "shadow", budgets: [.form(1, "100", enforcement: .shadow, degrade: toMini)], served: "big"),
        Case(
            testDescription: "counts only the dear model",
            budgets: [.form(1, "100", match: BudgetMatch(models: [pattern]), degrade: toMini)], served: "mini degraded 1"),
        Case(
            testDescription: "the organization's before the project's, whichever is older",
            budgets: [
                .form(1, "100", scope: .project(FormWorld.project), degrade: toNano), .form(2, "100", degrade: toMini),
            ], settled: ["99", "80"], served: "mini degraded 2"),
        Case(
            testDescription: "of one level the older", budgets: [.form(1, "100", degrade: toNano), .form(2, "100", degrade: toMini)],
            settled: ["80", "99"], served: "nano degraded 1"),
        Case(
            testDescription: "the first that is reached", budgets: [.form(1, "100", degrade: toNano), .form(2, "100", degrade: toMini)],
            settled: ["79", "80"], served: "mini degraded 2"),
        Case(
            testDescription: "a chain over two budgets",
            budgets: [.form(1, "100", degrade: toMini), .form(2, "100", degrade: rule(50, ["mini": "nano"]))], settled: ["80", "50"],
            served: "nano degraded 1 degraded 2"),
        Case(
            testDescription: "a chain in one budget", budgets: [.form(1, "100", degrade: rule(80, ["big": "mini", "mini": "nano"]))],
            served: "nano degraded 1 degraded 1"),
        Case(
            testDescription: "a circle ends", budgets: [.form(1, "100", degrade: rule(80, ["big": "mini", "mini": "big"]))],
            served: "mini degraded 1"),
        Case(
            testDescription: "unknown", budgets: [.form(1, "100", degrade: rule(80, ["big": "x"]))], served: "big skipped 1 model_unknown"),
        Case(
            testDescription: "unpriced", budgets: [.form(1, "100", degrade: rule(80, ["big": "unpriced"]))],
            served: "big skipped 1 model_unpriced"),
        Case(
            testDescription: "not in the tier", budgets: [.form(1, "100", degrade: rule(80, ["big": "secret"]))],
            served: "big skipped 1 model_not_allowed"),
        Case(
            testDescription: "one that cannot be called leaves the word to the next",
            budgets: [.form(1, "100", degrade: rule(80, ["big": "secret"])), .form(2, "100", degrade: toMini)], settled: ["80", "80"],
            served: "mini skipped 1 model_not_allowed degraded 2"),
        Case(
            testDescription: "the replacement has no room of its own",
            budgets: [.form(1, "100", degrade: toMini), .form(2, "100", match: BudgetMatch(models: [Pattern("mini")!]))],
            settled: ["80", "100"], served: "budget_exceeded"),
        Case(
            testDescription: "the one asked for would have no room, the replacement has", budgets: [.form(1, "100", degrade: toMini)],
            settled: ["99.995"], served: "mini degraded 1"),
    ]

    @Test("which model serves a call, and which rules said so", arguments: cases)
    func served(_ row: Case) {
        var world = FormWorld(row.budgets)
        for (budget, settled) in zip(row.budgets, row.settled) { world.settled(settled, budget) }
        let allowance = world.ask(row.model)
        let outcome = world.reserve(row.model)
        #expect(outcome.form == row.served)
        if let reservation = outcome.reservation {
            #expect(reservation.requestedModel == row.model)
            #expect(allowance?.model == reservation.model && allowance?.substitutions == reservation.substitutions)
            #expect(allowance?.refusal == nil)
        } else {
            #expect(allowance?.refusal.map { "\($0.code)" } == row.served)
        }
    }

    @Test("the call is held and booked as one of the model that serves it")
    func priced() throws {
        let budget = Budget.form(1, "100", degrade: Self.toMini)
        var world = FormWorld([budget])
        world.settled("80", budget)
        let reservation = try #require(world.reserve("big", tokens: 1_000_000).reservation)
        #expect(reservation.held == Amount("1"))
        let entry = try #require(world.settle(reservation.id, tokens: 500_000).reservation?.entry)
        #expect(entry.cost == Amount("0.5"))
        #expect(world.counter(budget).settled == Amount("80.5"))
    }

    @Test("what is only held does not degrade, the settlement that reaches the percentage does, and the next period does not")
    func levelTriggered() throws {
        let budget = Budget.form(1, "100", rule: PeriodRule(.day), degrade: Self.toMini)
        var world = FormWorld([budget])
        let first = try #require(world.reserve("big", tokens: 9_000_000).reservation)
        #expect(world.reserve("big").form == "big")
        _ = world.settle(first.id, tokens: 8_000_000)
        #expect(world.reserve("big").form == "mini degraded 1")
        #expect(world.reserve("big", at: FormWorld.at.adding(seconds: 86_400)).form == "big")
    }

    @Test("a subject that has used its share is degraded, another is not")
    func subjects() {
        let budget = Budget.form(1, "100", per: .endUser, degrade: Self.toMini)
        var world = FormWorld([budget])
        world.settled("90", budget, "ann")
        #expect(world.reserve("big", endUser: "ann").form == "mini degraded 1")
        #expect(world.reserve("big", endUser: "bob").form == "big")
    }
}

struct FinalCallTests {
    private static let grant = FinalCall(calls: 2, model: "nano", maxOutputTokens: 1000)
    private static let other = FinalCall(calls: 2, model: "mini", maxOutputTokens: 1000)
    private static let small = FinalCall(calls: 2, model: "nano", maxOutputTokens: 10)

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let budgets: [Budget]
        /// Full, unless said otherwise.
        var settled: [String] = ["100", "100"]
        var outcomes: [String]
    }

    private static let big = BudgetMatch(models: [Pattern("big")!])
    static let cases = [
        Case(
            testDescription: "two, and no third", budgets: [.form(1, "100", finalCall: grant)],
            outcomes: ["nano final_call 1", "nano final_call 1", "budget_exceeded"]),
        Case(testDescription: "none granted", budgets: [.form(1, "100")], outcomes: ["budget_exceeded"]),
        Case(
            testDescription: "not before a block", budgets: [.form(1, "100", finalCall: grant)], settled: ["1"], outcomes: ["big", "big"]),
        Case(
            testDescription: "a budget that does not count the final model", budgets: [.form(1, "100", match: big, finalCall: grant)],
            outcomes: ["nano final_call 1", "nano final_call 1", "budget_exceeded"]),
        Case(
            testDescription: "another blocked budget that grants nothing",
            budgets: [.form(1, "100", finalCall: grant), .form(2, "100", scope: .team(FormWorld.team))], outcomes: ["budget_exceeded"]),
        Case(
            testDescription: "another blocked budget that does not count the final model",
            budgets: [.form(1, "100", finalCall: grant), .form(2, "100", match: big)], outcomes: ["nano final_call 1"]),
        Case(
            testDescription: "both grant", budgets: [.form(1, "100", finalCall: grant), .form(2, "100", finalCall: grant)],
            outcomes: ["nano final_call 1", "nano final_call 1", "budget_exceeded"]),
        Case(
            testDescription: "each another model", budgets: [.form(1, "100", finalCall: grant), .form(2, "100", finalCall: other)],
            outcomes: ["budget_exceeded"]),
        Case(
            testDescription: "the second allows less output: its own call is one that both allow",
            budgets: [.form(1, "100", finalCall: grant), .form(2, "100", finalCall: small)], outcomes: ["nano final_call 2"]),
        Case(
            testDescription: "a model outside the tier",
            budgets: [.form(1, "100", finalCall: FinalCall(calls: 1, model: "secret", maxOutputTokens: 9))],
            outcomes: ["budget_exceeded"]),
        Case(
            testDescription: "a rate limit without room",
            budgets: [.form(1, "100", finalCall: grant), .form(2, "0", unit: .requests, rule: PeriodRule(.minute))], settled: ["100"],
            outcomes: ["rate_limited"]),
        Case(
            testDescription: "a rate limit does not grant",
            budgets: [.form(1, "0", unit: .requests, rule: PeriodRule(.minute), finalCall: grant)], settled: [], outcomes: ["rate_limited"]),
        Case(
            testDescription: "after a degraded call was blocked",
            budgets: [.form(1, "100", degrade: Degrade(fromPercent: 80, models: ["big": "mini"]), finalCall: grant)],
            outcomes: ["nano degraded 1 final_call 1"]),
    ]

    @Test("which final calls are let through", arguments: cases)
    func granted(_ row: Case) {
        var world = FormWorld(row.budgets)
        for (budget, settled) in zip(row.budgets, row.settled) { world.settled(settled, budget) }
        for expected in row.outcomes {
            let allowance = world.ask("big")
            let outcome = world.reserve("big", output: nil)
            #expect(outcome.form == expected)
            if outcome.reservation == nil {
                #expect(allowance?.refusal != nil)
            } else {
                #expect(allowance?.model == outcome.reservation?.model)
            }
        }
    }

    @Test("its hold takes free room first; what it holds and spends beyond is told apart, and nothing is left when it is over")
    func beyond() throws {
        let budget = Budget.form(1, "100", finalCall: FinalCall(calls: 3, model: "nano", maxOutputTokens: 0))
        var world = FormWorld([budget])
        world.settled("99.7", budget)
        let first = try #require(world.reserve(tokens: 10_000_000).reservation)
        #expect(first.held == Amount("1") && first.maxOutputTokens == 0)
        #expect(world.counter(budget).finalHeld == Amount("0.7") && world.counter(budget).finalCalls == 1)
        let entry = try #require(world.settle(first.id, tokens: 5_000_000).reservation?.entry)
        #expect(entry.cost == Amount("0.5") && entry.overage == Amount("0.2"))
        #expect(entry.draws.map(\.isFinalCall) == [true])
        #expect(world.counter(budget).overage == Amount("0.2") && world.counter(budget).finalHeld == .zero)
        #expect(world.reserve("nano", tokens: 0).form == "nano final_call 1", "more is committed than the amount")
    }

    @Test("a release gives the call back, an expiry does not, and a late settlement is still booked")
    func ends() throws {
        let budget = Budget.form(1, "100", finalCall: Self.grant)
        var world = FormWorld([budget])
        world.settled("100", budget)
        let first = try #require(world.reserve().reservation)
        _ = world.release(first.id)
        #expect(world.counter(budget).finalCalls == 0 && world.counter(budget).finalHeld == .zero)
        let second = try #require(world.reserve().reservation)
        _ = world.expire(second.id)
        #expect(world.counter(budget).finalCalls == 1 && world.counter(budget).finalHeld == .zero)
        #expect(world.settle(second.id, tokens: 1_000_000).reservation?.entry?.overage == Amount("0.1"))
        #expect(world.reserve().form == "nano final_call 1")
        #expect(world.reserve().form == "budget_exceeded")
    }

    @Test("per subject and period")
    func subjects() {
        let budget = Budget.form(
            1, "0", per: .endUser, rule: PeriodRule(.day), finalCall: FinalCall(calls: 1, model: "nano", maxOutputTokens: 9))
        var world = FormWorld([budget])
        let tomorrow = FormWorld.at.adding(seconds: 86_400)
        #expect(world.reserve(endUser: "ann").form == "nano final_call 1")
        #expect(world.reserve(endUser: "ann").form == "budget_exceeded")
        #expect(world.reserve(endUser: "bob").form == "nano final_call 1")
        #expect(world.reserve(endUser: "ann", at: tomorrow).form == "nano final_call 1")
    }

    @Test("random histories keep law 1 and the bound, and end with nothing held", arguments: 1...20)
    func histories(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let rule = Degrade(fromPercent: 50, models: ["big": "mini"])
        func budgets(_ amount: Int64) -> [Budget] {
            [
                Budget.form(1, String(amount), degrade: rule, finalCall: Self.grant),
                Budget.form(2, String(amount * 1_000_000), match: Self.big, unit: .tokens, degrade: rule, finalCall: Self.grant),
                Budget.form(3, String(amount * 2), unit: .requests, finalCall: Self.grant),
            ]
        }
        var world = FormWorld(budgets(20))
        var open: [Reservation] = []
        var granted = 0
        for step in 0..<400 {
            let tokens = Int64.random(in: 0...2_000_000, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0...3:
                if let reservation = world.reserve(Bool.random(using: &random) ? "big" : "mini", tokens: tokens, output: nil).reservation {
                    open.append(reservation)
                    granted += reservation.draws.filter(\.isFinalCall).count
                }
            case 4: if let last = open.popLast() { _ = world.settle(last.id, tokens: tokens) }
            case 5: if let last = open.popLast() { _ = world.release(last.id) }
            case 6: if let last = open.popLast() { _ = world.expire(last.id) }
            default: world.change(budgets(Int64.random(in: 0...40, using: &random)))
            }
            for (id, counter) in world.state.counters {
                var beyond = Amount.zero
                for draw in open.flatMap(\.draws) where draw.counter == id { beyond += draw.beyond }
                let ceiling = counter.ceiling ?? .zero
                let isHeld = counter.settled + counter.held <= ceiling + counter.overage + counter.finalHeld
                #expect(isHeld, "seed \(seed), step \(step): \(counter)")
                #expect(counter.finalHeld == beyond, "seed \(seed), step \(step)")
                #expect((0...2).contains(counter.finalCalls), "seed \(seed), step \(step)")
            }
        }
        for reservation in open { _ = world.release(reservation.id) }
        #expect(world.state.counters.values.allSatisfy { $0.held == .zero && $0.finalHeld == .zero }, "seed \(seed)")
        #expect(granted > 0, "seed \(seed)")
    }
}
