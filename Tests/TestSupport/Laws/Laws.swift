/// The laws of money (README "The laws") as a person of finance would write them down: lists of calls, dictionaries of sums, whole numbers
/// of pico-units. Nothing is fast, remembered, or shared with the decision; what the engine answers must be what this answers.

package struct Laws: Sendable {
    package var setting: Setting
    package private(set) var counts: [Place: Count] = [:]
    /// What all counters together have drawn on each burst grant.
    package private(set) var grants: [Int: Count] = [:]
    private var tellings = AlertLaw()
    private var calls: [RequestName: Record] = [:]

    package init(_ setting: Setting) { self.setting = setting }

    /// A call that was admitted or booked, and what became of it.
    private struct Record: Sendable {
        enum State { case open, settled, released, expired }
        enum Content: Hashable {
            case call(CallBody)
            case booking(CallBody, UsageBody, Int)
        }

        let content: Content
        /// The call as it is served: by another model, perhaps, than the one asked for.
        let body: CallBody
        let made: Int
        let hold: Int
        let parts: [Part]
        var first: Answer
        var state = State.open
        var usage: UsageBody?
        var settlement: Answer?
    }

    /// What a call holds on one budget, and what the budget allowed then.
    struct Part: Sendable {
        let place: Place
        let quantity: Int
        let amount: Int
        /// The burst grants open to the call, and how much of the quantity is held on each.
        var shares: [(grant: Int, quantity: Int)]
        /// Whether this budget let the call through as one of its final calls, and how much of the quantity had no room.
        var isFinal = false
        var graced = 0
    }

    /// Every threshold recorded, and whether people were told of it.
    package var alerts: [AlertName: Bool] { tellings.alerts }

    /// What follows is decided together, and told together.
    package mutating func beginBatch() { tellings.beginBatch() }

    /// How many calls hold something.
    package var open: Int { calls.values.filter { $0.state == .open }.count }

    // MARK: the rules

    package mutating func apply(_ ask: Errand, at now: Int) -> Answer {
        switch ask {
        case .reserve(let name, let body, let key): return reserve(name, body, key, now)
        case .settle(let name, let usage, let key): return settle(name, usage, key, now)
        case .release(let name, let key): return release(name, key)
        case .expire(let name):
            // Only what is open and over: anything else is left as it is.
            if let call = calls[name], call.state == .open, call.made + call.body.seconds <= now { close(name, as: .expired) }
            return Answer("expired")
        case .book(let name, let body, let usage, let ago, let key): return book(name, body, usage, ago, key, now)
        case .allowance(let body, let key):
            if setting.keys[key].isRevoked { return Answer("would be unauthenticated") }
            switch admission(body, key, now) {
            case .success(let served): return Answer("allowed", ways: served.ways)
            case .failure(let no): return Answer("would be " + no.answer.word)
            }
        }
    }

    /// A call is admitted if, and only if, every blocking budget that counts it has room for all it may cost (laws 1 and 2); then that much
    /// is held on each. Asked again, it is told the same; asked otherwise under the same name, it is refused (law 4).
    private mutating func reserve(_ name: RequestName, _ body: CallBody, _ key: Int, _ now: Int) -> Answer {
        if setting.keys[key].isRevoked { return Answer("unauthenticated") }
        if let known = calls[name] { return known.content == .call(body) ? again(known.first) : Answer("request_conflict") }
        switch admission(body, key, now) {
        case .failure(let no): return no.answer
        case .success(let served):
            let parts = served.parts.map { self.hold($0) }
            let hold = price(of: served.body) ?? 0
            let answer = Answer(
                "held", amount: hold, ways: served.ways,
                standings: parts.map { standing($0.place, $0.amount, $0.shares.map(\.grant)) })
            calls[name] = Record(content: .call(body), body: served.body, made: now, hold: hold, parts: parts, first: answer)
            return answer
        }
    }

    /// What was used is booked on every budget that the call had held on, once, and its holds end. A call whose hold had expired is booked
    /// all the same: the money is spent.
    private mutating func settle(_ name: RequestName, _ usage: UsageBody, _ key: Int, _ now: Int) -> Answer {
        if setting.keys[key].isRevoked { return Answer("unauthenticated") }
        guard let call = calls[name], setting.keys[key].project == name.project else { return Answer("reservation_unknown") }
        switch call.state {
        case .settled:
            // What was booked in one request was not settled by another.
            guard case .call = call.content, call.usage == usage, let first = call.settlement else {
                return Answer("reservation_resolved")
            }
            return again(first)
        case .released: return Answer("reservation_resolved")
        case .open, .expired: return post(name, usage, now)
        }
    }

    private mutating func release(_ name: RequestName, _ key: Int) -> Answer {
        if setting.keys[key].isRevoked { return Answer("unauthenticated") }
        guard let call = calls[name], setting.keys[key].project == name.project else { return Answer("reservation_unknown") }
        switch call.state {
        case .released: return Answer("released again")
        case .settled, .expired: return Answer("reservation_resolved")
        case .open:
            close(name, as: .released)
            // The call was not made, so its budget may let another one through.
            for part in call.parts where part.isFinal { counts[part.place, default: Count()].finals -= 1 }
            return Answer("released")
        }
    }

    /// A call that was made without asking is booked where it would have been held, room or not.
    private mutating func book(_ name: RequestName, _ body: CallBody, _ usage: UsageBody, _ ago: Int, _ key: Int, _ now: Int) -> Answer {
        if setting.keys[key].isRevoked { return Answer("unauthenticated") }
        let content = Record.Content.booking(body, usage, ago)
        if let known = calls[name] {
            guard known.content == content, let first = known.settlement else { return Answer("request_conflict") }
            return again(first)
        }
        guard body.model < setting.models.count else { return Answer("model_unknown") }
        let rules = matching(body, key)
        if cost(of: usage, model: body.model).hasUnpriced, rules.contains(where: blocksMoney) { return Answer("model_unpriced") }
        let parts = rules.map { rule in
            Part(
                place: place(rule, body, key, now - ago), quantity: 0, amount: setting.budgets[rule].amount,
                shares: openGrants(rule, body, now - ago))
        }
        calls[name] = Record(content: content, body: body, made: now - ago, hold: 0, parts: parts, first: Answer("booked"))
        return post(name, usage, now)
    }

    // MARK: room

    /// How the call is served and what it would hold, or why it may not be made.
    private func admission(_ body: CallBody, _ key: Int, _ now: Int) -> Result<Served, Refused> {
        switch planned(body, key, now) {
        case .failure(let no): return .failure(no)
        case .success(let parts):
            let served = degraded(Served(body: body, parts: parts), key, now)
            let full = served.parts.filter(lacksRoom)
            // A rate limit is over in a moment, so it is named before a budget that is not.
            guard let named = full.first(where: isRate) ?? full.first else { return .success(served) }
            if let final = final(body, inPlaceOf: served, full, key, now) { return .success(final) }
            return .failure(
                Refused(
                    Answer(
                        isRate(named) ? "rate_limited" : "budget_exceeded", amount: named.quantity,
                        standings: [standing(named.place, named.amount, named.shares.map(\.grant))])))
        }
    }

    func isRate(_ part: Part) -> Bool { [.minute, .hour].contains(setting.budgets[part.place.budget].period.length) }

    func lacksRoom(_ part: Part) -> Bool {
        setting.budgets[part.place.budget].enforcement == .block
            && room(part.place, part.amount) + left(part.shares.map(\.grant)) < part.quantity
    }

    /// What a call of this very model would hold, or why it may not be made whatever room there is: reasons in their order (design §7).
    func planned(_ body: CallBody, _ key: Int, _ now: Int) -> Result<[Part], Refused> {
        guard body.model < setting.models.count else { return .failure("model_unknown") }
        let rules = matching(body, key)
        let hold = price(of: body)
        if hold == nil, rules.contains(where: blocksMoney) { return .failure("model_unpriced") }
        guard setting.models[body.model].isInTier else { return .failure("model_not_allowed") }
        guard !setting.projects[setting.keys[key].project].isSuspended else { return .failure("project_suspended") }
        let parts = rules.map { rule in
            Part(
                place: place(rule, body, key, now), quantity: needed(body, in: setting.budgets[rule].unit),
                amount: setting.budgets[rule].amount, shares: openGrants(rule, body, now))
        }
        return .success(parts)
    }

    /// The most a call may take of a budget.
    func needed(_ body: CallBody, in unit: Setting.BudgetRule.Unit) -> Int {
        quantity(usd: price(of: body) ?? 0, tokens: body.input + output(body), in: unit)
    }

    /// The budgets that count a call: the organization's, its team's, its project's, in this order.
    private func matching(_ body: CallBody, _ key: Int) -> [Int] {
        let (project, environment) = (setting.keys[key].project, setting.keys[key].environment)
        func level(_ rule: Setting.BudgetRule) -> Int? {
            switch rule.scope {
            case .organization: 0
            case .team(let team): team == setting.projects[project].team ? 1 : nil
            case .project(let own): own == project ? 2 : nil
            }
        }
        return (0...2).flatMap { wanted in
            setting.budgets.indices.filter { index in
                let rule = setting.budgets[index]
                return level(rule) == wanted && !rule.isArchived
                    && (rule.modelPrefix.map { setting.models[body.model].name.hasPrefix($0) } ?? true)
                    && (rule.environment.map { $0 == environment } ?? true)
                    && (rule.feature.map { $0 == body.feature } ?? true) && (rule.user.map { $0 == body.user } ?? true)
            }
        }
    }

    private func blocksMoney(_ rule: Int) -> Bool { setting.budgets[rule].enforcement == .block && setting.budgets[rule].unit == .usd }

    private func place(_ rule: Int, _ body: CallBody, _ key: Int, _ time: Int) -> Place {
        let budget = setting.budgets[rule]
        let subject =
            switch budget.per {
            case nil: ""
            case .user: body.user ?? ""
            case .feature: body.feature ?? ""
            case .key: "key \(key)"
            case .model: setting.models[body.model].name
            case .project: "project \(setting.keys[key].project)"
            case .team: "team \(setting.projects[setting.keys[key].project].team)"
            }
        return Place(budget: rule, subject: subject, start: LawsCalendar(zone: setting.zone).start(budget.period, at: time))
    }

    private func standing(_ place: Place, _ amount: Int, _ grants: [Int]) -> Answer.Standing {
        let count = counts[place] ?? Count()
        return Answer.Standing(place: place, amount: amount, burst: count.drawn + left(grants), settled: count.settled, held: count.held)
    }

    private func again(_ answer: Answer) -> Answer {
        var answer = answer
        answer.word += " again"
        return answer
    }

    // MARK: burst grants

    /// The grants open to a call, the earliest end first. Only a budget that blocks has use for them.
    private func openGrants(_ rule: Int, _ body: CallBody, _ time: Int) -> [(grant: Int, quantity: Int)] {
        guard setting.budgets[rule].enforcement == .block else { return [] }
        let open = setting.grants.indices.filter { index in
            let grant = setting.grants[index]
            return grant.budget == rule && grant.from <= time && time < grant.to && (grant.user.map { $0 == body.user } ?? true)
        }
        return open.sorted { (setting.grants[$0].to, $0) < (setting.grants[$1].to, $1) }.map { ($0, 0) }
    }

    /// What a budget's own amount has left; below zero when it is overdrawn.
    func room(_ place: Place, _ amount: Int) -> Int {
        let count = counts[place] ?? Count()
        return amount - (count.settled + count.held - count.drawn)
    }

    /// What grants have left.
    func left(_ indices: [Int]) -> Int {
        indices.reduce(0) { $0 + setting.grants[$1].amount - (grants[$1]?.settled ?? 0) - (grants[$1]?.held ?? 0) }
    }

    /// Takes a quantity from grants, one after the other.
    private mutating func take(_ quantity: Int, from indices: [Int], _ part: WritableKeyPath<Count, Int>) -> [(grant: Int, quantity: Int)] {
        var rest = quantity
        return indices.map { index in
            let share = min(rest, left([index]))
            grants[index, default: Count()][keyPath: part] += share
            rest -= share
            return (index, share)
        }
    }

    /// The budget's own room first, then the grants'. A final call holds the rest without room.
    private mutating func hold(_ part: Part) -> Part {
        var held = part
        let grants = part.shares.map(\.grant)
        if part.isFinal {
            held.graced = max(0, part.quantity - max(0, room(part.place, part.amount) + left(grants)))
            counts[part.place, default: Count()].finals += 1
            counts[part.place, default: Count()].graced += held.graced
        }
        let beyond = grants.isEmpty ? 0 : max(0, part.quantity - held.graced - max(0, room(part.place, part.amount)))
        held.shares = take(beyond, from: grants, \.held)
        counts[part.place, default: Count()].held += part.quantity
        counts[part.place, default: Count()].drawn += beyond
        tellings.held(part.place, setting.budgets[part.place.budget])
        return held
    }

    /// Ends a hold, and books what was spent within it: the budget's own share first, so that what is left over returns to the grants,
    /// and what had no room last.
    private mutating func end(_ part: Part, spent: Int) {
        let onGrants = part.shares.reduce(0) { $0 + $1.quantity }
        var rest = max(0, spent - (part.quantity - onGrants - part.graced))
        counts[part.place, default: Count()].graced -= part.graced
        for share in part.shares {
            let booked = min(rest, share.quantity)
            rest -= booked
            grants[share.grant, default: Count()].held -= share.quantity
            grants[share.grant, default: Count()].settled += booked
            counts[part.place, default: Count()].drawn += booked - share.quantity
        }
        counts[part.place, default: Count()].held -= part.quantity
        counts[part.place, default: Count()].settled += min(spent, part.quantity)
    }

    // MARK: money

    func output(_ body: CallBody) -> Int { min(body.output ?? setting.maxOutput, setting.maxOutput) }

    /// The most a call may cost; nil when a token it may use has no price: unknown is never zero (law 9).
    func price(of body: CallBody) -> Int? {
        let model = setting.models[body.model]
        guard body.input == 0 || model.input != nil, output(body) == 0 || model.output != nil else { return nil }
        return body.input * max(model.input ?? 0, model.cached ?? 0) + output(body) * (model.output ?? 0)
    }

    private func cost(of usage: UsageBody, model: Int) -> (priced: Int, hasUnpriced: Bool) {
        let model = setting.models[model]
        let lines = [(usage.input, model.input), (usage.cached, model.cached), (usage.output, model.output)]
        return (lines.map { $0 * ($1 ?? 0) }.reduce(0, +), lines.contains { $0 > 0 && $1 == nil })
    }

    func quantity(usd: Int, tokens: Int, in unit: Setting.BudgetRule.Unit) -> Int {
        switch unit {
        case .usd: usd
        case .tokens: tokens * 1_000_000_000_000
        case .requests: 1_000_000_000_000
        }
    }

    private mutating func close(_ name: RequestName, as state: Record.State) {
        for part in calls[name]?.parts ?? [] { end(part, spent: 0) }
        calls[name]?.state = state
    }

    private mutating func post(_ name: RequestName, _ usage: UsageBody, _ now: Int) -> Answer {
        guard let call = calls[name] else { return Answer("reservation_unknown") }
        let isLate = call.state == .expired
        let (priced, hasUnpriced) = cost(of: usage, model: call.body.model)
        let cost = hasUnpriced ? max(priced, call.hold) : priced
        var answer = Answer(isLate ? "settled late" : "settled", amount: cost)
        // A rate limit that is long over takes no more costs: its counter may be gone. What is still held there is booked.
        for part in call.parts where !((isLate || part.quantity == 0) && isLongOver(part.place, now)) {
            let rule = setting.budgets[part.place.budget]
            let spent = quantity(usd: cost, tokens: usage.input + usage.cached + usage.output, in: rule.unit)
            let before = counts[part.place]?.settled ?? 0
            if !isLate { end(part, spent: spent) }
            // What exceeds the hold takes free room first, the budget's own and then the grants'; the rest is over, and on record as such
            // (law 1).
            let excess = max(0, spent - (isLate ? 0 : part.quantity))
            var grants: [Int] = []
            if rule.enforcement == .block {
                let own = room(part.place, isOver(part.place, now) ? part.amount : rule.amount)
                grants = part.shares.map(\.grant).filter { setting.grants[$0].from <= now && now < setting.grants[$0].to }
                var passed = max(0, excess - max(0, own + left(grants)))
                let beyond = max(0, excess - passed - max(0, own))
                // What a final call spent of the part that had no room is over, too.
                if !isLate { passed += max(0, part.graced - max(0, part.quantity - spent)) }
                _ = take(beyond, from: grants, \.settled)
                counts[part.place, default: Count()].drawn += beyond
                counts[part.place, default: Count()].overage += passed
                if rule.unit == .usd { answer.overage = max(answer.overage, passed) }
            }
            counts[part.place, default: Count()].settled += excess
            answer.standings.append(standing(part.place, rule.amount, grants))
            if !rule.isArchived {
                tellings.spent(part.place, rule, from: before, to: counts[part.place]?.settled ?? 0, isOver: isOver(part.place, now))
            }
        }
        calls[name]?.state = .settled
        calls[name]?.usage = usage
        calls[name]?.settlement = answer
        return answer
    }

    private func isLongOver(_ place: Place, _ now: Int) -> Bool {
        [.minute, .hour].contains(setting.budgets[place.budget].period.length) && isOver(place, now - 7200)
    }

    private func isOver(_ place: Place, _ now: Int) -> Bool {
        LawsCalendar(zone: setting.zone).end(setting.budgets[place.budget].period, at: place.start).map { $0 <= now } ?? false
    }
}

/// An answer that says no.
struct Refused: Error, ExpressibleByStringLiteral {
    let answer: Answer
    init(stringLiteral word: String) { answer = Answer(word) }
    init(_ answer: Answer) { self.answer = answer }
}
