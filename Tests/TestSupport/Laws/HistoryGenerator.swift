/// Random settings and histories, each a pure function of its seed, whatever the engine answers.

package struct HistoryGenerator {
    package private(set) var setting: Setting
    package let replicas: Int
    private let withGrants: Bool
    private var random: SeededGenerator
    private var clock: Int
    /// What was asked lately, for repeats and contradictions.
    private var asked: [Errand] = []
    /// Requests of late.
    private var names: [RequestName] = []
    private var number = 0

    private static let users = ["ann", "bob", "composed", "decomposed"]
    private static let features = ["chat", "search"]
    /// Moments around which something begins: ends of hours, days, weeks, months, quarters and years, and the clock changes of the zones.
    private static let moments = [
        1_767_222_000, 1_767_225_600, 1_772_946_000, 1_774_746_000, 1_774_994_400, 1_775_314_800, 1_782_856_800, 1_790_000_000,
        1_791_041_400, 1_792_890_000, 1_793_509_200, 1_793_505_600,
    ]

    package init(seed: UInt64, withGrants: Bool = true) {
        self.withGrants = withGrants
        random = SeededGenerator(seed: seed)
        replicas = Int.random(in: 1...3, using: &random)
        let start = HistoryGenerator.moments.randomElement(using: &random)! - Int.random(in: 0...4000, using: &random)
        let keys: [Setting.KeyRule] = [
            .init(project: 0, environment: "production"), .init(project: 0, environment: "staging"),
            .init(project: 1, environment: "production"), .init(project: 2, environment: "production"),
        ]
        let models: [Setting.ModelRule] = [
            .init(name: "small-1", input: 1_000_000, cached: 500_000, output: 2_000_000, isInTier: true),
            .init(name: "small-2", input: 5_000_000, cached: nil, output: 15_000_001, isInTier: true),
            .init(name: "large-unpriced", input: nil, cached: nil, output: nil, isInTier: true),
            .init(name: "large-premium", input: 9_000_000, cached: 1, output: 27_000_000, isInTier: false),
        ]
        setting = Setting(
            zone: LawsCalendar.zones.keys.sorted().randomElement(using: &random)!, start: start,
            projects: [.init(team: 0), .init(team: 0), .init(team: 1)], keys: keys, models: models, budgets: [], maxOutput: 400)
        clock = start
        for _ in 0..<Int.random(in: 1...5, using: &random) { setting.budgets.append(budget()) }
    }

    // MARK: settings

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    private mutating func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random)! }
    private mutating func maybe<Value>(_ percent: Int, _ values: [Value]) -> Value? { chance(percent) ? pick(values) : nil }

    private mutating func budget() -> Setting.BudgetRule {
        let length: LawsCalendar.Length = pick([.minute, .hour, .hour, .day, .day, .week, .month, .month, .quarter, .year, .total])
        let anchors =
            switch length {
            case .week: (pick([1, 3, 7]), 1)
            case .month: (pick([1, 15, 31]), 1)
            case .quarter, .year: (pick([1, 31]), pick([1, 2, 12]))
            default: (1, 1)
            }
        let unit = pick(Setting.BudgetRule.Unit.allCases)
        let (amount, thresholds) = (amount(unit), thresholds())
        return Setting.BudgetRule(
            scope: pick([.organization, .organization, .team(0), .team(1), .project(0), .project(2)]),
            modelPrefix: maybe(20, ["small-", "small-2", "large-"]), environment: maybe(15, ["staging", "production"]),
            feature: maybe(10, HistoryGenerator.features), user: maybe(10, HistoryGenerator.users),
            per: maybe(40, Setting.BudgetRule.Per.allCases), unit: unit,
            period: LawsCalendar.Rule(length: length, day: anchors.0, month: anchors.1), amount: amount,
            thresholds: thresholds, thresholdAmounts: thresholdAmounts(below: amount),
            enforcement: pick([.block, .block, .block, .warn, .shadow]), degrade: degrade(), final: final())
    }

    /// Towards a model that is cheaper, has no price, is in no tier, or leads back.
    private mutating func degrade() -> Setting.BudgetRule.Degrading? {
        guard chance(30) else { return nil }
        return .init(percent: pick([1, 50, 80, 100]), models: pick([[1: 0], [0: 1], [1: 0, 0: 1], [0: 2, 1: 2], [1: 3, 0: 3, 2: 0]]))
    }

    private mutating func final() -> Setting.BudgetRule.Grace? {
        guard chance(30) else { return nil }
        return .init(calls: pick([1, 2, 5]), model: pick([0, 0, 1, 2, 3]), output: pick([0, 50, 400]))
    }

    /// Some dozens of typical calls at most, so that budgets fill up within a history.
    private mutating func amount(_ unit: Setting.BudgetRule.Unit) -> Int {
        if chance(8) { return 0 }
        // Now and then one pico-unit short, so that nothing may be over by as little.
        let short = chance(30) ? 1 : 0
        return switch unit {
        case .usd: Int.random(in: 0...30_000_000_000, using: &random)
        case .tokens: Int.random(in: 1...9000, using: &random) * 1_000_000_000_000 - short
        case .requests: Int.random(in: 1...25, using: &random) * 1_000_000_000_000 - short
        }
    }

    private mutating func thresholds() -> [Int] { pick([[70, 80, 90, 100], [50, 100], [1, 100, 150], [], [100]]) }

    private mutating func thresholdAmounts(below amount: Int) -> [Int] {
        chance(30) && amount > 4 ? [amount / 4, amount / 3 * 2] : []
    }

    // MARK: histories

    package mutating func next() -> Happening {
        let replica = Int.random(in: 0..<replicas, using: &random)
        switch Int.random(in: 0..<1000, using: &random) {
        case ..<550: return .advance(replica)
        case ..<890:
            let ask = ask()
            if asked.count == 24 { asked.removeFirst() }
            asked.append(ask)
            return .submit(ask, to: replica)
        case ..<930: return pass()
        case ..<955: return .sweep(replica)
        case ..<970: return .crash(replica)
        case ..<980: return .reconnect(replica)
        default:
            let change = change()
            setting.apply(change)
            return .change(change)
        }
    }

    private mutating func ask() -> Errand {
        // Mostly about a call of late, with a key of its project.
        let known = names.randomElement(using: &random) ?? RequestName(project: 0, number: 0)
        let keys = setting.keys.indices.filter { setting.keys[$0].project == known.project }
        let key = pick(chance(95) ? keys : Array(setting.keys.indices))
        switch Int.random(in: 0..<100, using: &random) {
        case ..<40:
            let key = pick(Array(setting.keys.indices))
            return .reserve(newName(key), body(), key: key)
        case ..<67: return .settle(known, usage(), key: key)
        case ..<72: return .release(known, key: key)
        case ..<77:
            let key = pick(Array(setting.keys.indices))
            return .book(newName(key), body(), usage(), secondsAgo: pick([0, 0, 70, 90_000]), key: key)
        case ..<81: return .allowance(body(), key: key)
        case 81: return .expire(known)  // by a sweeper whose clock is ahead
        case ..<85: return .reserve(RequestName(project: setting.keys[key].project, number: known.number), body(), key: key)
        case ..<87:
            return .book(RequestName(project: setting.keys[key].project, number: known.number), body(), usage(), secondsAgo: 0, key: key)
        default: return asked.randomElement(using: &random) ?? .allowance(body(), key: key)
        }
    }

    private mutating func newName(_ key: Int) -> RequestName {
        number += 1
        if names.count == 12 { names.removeFirst() }
        names.append(RequestName(project: setting.keys[key].project, number: number))
        return names[names.count - 1]
    }

    private mutating func body() -> CallBody {
        CallBody(
            model: pick([0, 0, 0, 0, 1, 1, 1, 2, 3, 4]), user: maybe(60, HistoryGenerator.users),
            feature: maybe(50, HistoryGenerator.features),
            input: Int.random(in: 0...300, using: &random), output: chance(80) ? Int.random(in: 0...500, using: &random) : nil,
            seconds: pick([1, 30, 600, 3600]))
    }

    private mutating func usage() -> UsageBody {
        UsageBody(
            input: Int.random(in: 0...(chance(10) ? 3000 : 300), using: &random),
            cached: chance(70) ? 0 : Int.random(in: 0...200, using: &random), output: Int.random(in: 0...400, using: &random))
    }

    /// A moment, or up to the edge of the next minute, hour or clock change.
    private mutating func pass() -> Happening {
        let edges = [clock - clock % 60 + 60, clock - clock % 3600 + 3600, clock - clock % 86_400 + 86_400, clock - clock % 1800 + 1800]
        let seconds =
            switch Int.random(in: 0..<10, using: &random) {
            case ..<5: Int.random(in: 0...20, using: &random)
            case ..<7: Int.random(in: 60...1200, using: &random)
            default: max(0, pick(edges) - clock - pick([0, 1]))
            }
        clock += seconds
        return .pass(seconds: seconds)
    }

    private mutating func change() -> Change {
        let budget = Int.random(in: 0..<setting.budgets.count, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case ..<40: return .amount(budget, amount(setting.budgets[budget].unit))
        case ..<55 where withGrants:
            let grant = Setting.GrantRule(
                budget: budget, amount: amount(setting.budgets[budget].unit) / 2 + 1, user: maybe(30, HistoryGenerator.users),
                from: clock + pick([-60, 0, 30]), to: clock + pick([60, 600, 90_000]))
            if let open = setting.grants.indices.last, chance(30) { return .endGrant(open, at: clock) }
            return .grant(grant)
        case ..<68: return .thresholds(budget, thresholds(), amounts: thresholdAmounts(below: setting.budgets[budget].amount))
        case ..<76: return .enforcement(budget, pick(Setting.BudgetRule.Enforcement.allCases))
        case ..<80: return .serving(budget, degrade(), final())
        case ..<83: return .archive(budget)
        case ..<90: return .suspend(Int.random(in: 0..<3, using: &random), chance(30))
        case ..<96: return .revoke(Int.random(in: 0..<4, using: &random))
        default: return .zone(pick(LawsCalendar.zones.keys.sorted()))
        }
    }
}
