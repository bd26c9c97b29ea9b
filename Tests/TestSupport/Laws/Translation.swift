/// Between the plain numbers of the reference model and the engine's own types: settings become configurations, asks commands, outcomes
/// answers. No rule stands here.
package import Budgets

package enum Translation {
    package static let organization = OrganizationID(high: 7, low: 1)
    package static let tier = TierID(high: 4, low: 1)
    package static let higherTier = TierID(high: 4, low: 2)

    package static func project(_ index: Int) -> ProjectID { ProjectID(high: 1, low: UInt64(index)) }
    package static func team(_ index: Int) -> TeamID { TeamID(high: 2, low: UInt64(index)) }
    package static func key(_ index: Int) -> APIKeyID { APIKeyID(high: 3, low: UInt64(index)) }
    package static func budget(_ index: Int) -> BudgetID { BudgetID(high: 5, low: UInt64(index)) }
    package static func instant(_ seconds: Int) -> Instant { Instant(seconds: Int64(seconds)) }
    package static func amount(_ pico: Int) -> Amount { Amount(pico: Int128(pico)) }
    package static func request(_ name: RequestName) -> RequestID {
        RequestID(project: project(name.project), text: "request \(name.number)")
    }

    /// Two users look alike and differ in their bytes. Swift's `==` would take them for one, so the model has other names for them.
    private static let spellings = ["composed": "Andr\u{E9}", "decomposed": "Andre\u{301}"]

    package static func user(_ name: String) -> String { spellings[name] ?? name }

    private static func name(ofUser text: String) -> String {
        spellings.first { $0.value.utf8.elementsEqual(text.utf8) }?.key ?? text
    }

    // MARK: the setting

    /// What a price costs a million tokens: pico-dollars a token are micro-dollars a million.
    private static func perMillion(_ pico: Int) -> Amount { Amount(pico: Int128(pico) * 1_000_000) }

    package static func model(_ index: Int, _ rule: Setting.ModelRule) -> Model {
        let prices = [("input", rule.input), ("cached_input", rule.cached), ("output", rule.output)]
        let rates = prices.enumerated().compactMap { place, price in
            price.1.flatMap { pico in
                Rate(
                    priceID: PriceID(high: UInt64(index), low: UInt64(place)), kind: price.0, amountPerMillion: perMillion(pico),
                    validFrom: Instant(seconds: 0))
            }
        }
        return Model(name: rule.name, provider: "test", maxInputTokens: nil, maxOutputTokens: nil, prices: PriceSheet(rates: rates))
    }

    package static func burst(_ index: Int) -> BurstID { BurstID(high: 10, low: UInt64(index)) }

    package static func budget(_ index: Int, _ rule: Setting.BudgetRule, grants: [Setting.GrantRule]) -> Budget {
        let scope: BudgetScope =
            switch rule.scope {
            case .organization: .organization
            case .team(let index): .team(team(index))
            case .project(let index): .project(project(index))
            }
        func patterns(_ text: String?) -> [Pattern] { text.flatMap { Pattern($0) }.map { [$0] } ?? [] }
        return Budget(
            id: budget(index), name: "Budget \(index)", scope: scope,
            match: BudgetMatch(
                models: patterns(rule.modelPrefix.map { $0 + "*" }), environments: patterns(rule.environment),
                features: patterns(rule.feature), endUsers: patterns(rule.user.map(user))),
            per: rule.per.map(per), unit: unit(rule.unit), rule: period(rule.period), amount: amount(rule.amount),
            thresholds: rule.thresholds, thresholdAmounts: rule.thresholdAmounts.map(amount), limitVersion: Int64(rule.version),
            enforcement: enforcement(rule.enforcement),
            isArchived: rule.isArchived,
            bursts: grants.enumerated().filter { $0.element.budget == index }.map { place, grant in
                BurstGrant(
                    id: burst(place), amount: amount(grant.amount), startsAt: instant(grant.from), endsAt: instant(grant.to),
                    match: BudgetMatch(endUsers: patterns(grant.user.map(user))))
            })
    }

    package static func configuration(_ setting: Setting, version: Int64) -> Configuration {
        let models = setting.models.enumerated().map { model($0, $1) }
        return Configuration(
            organization: organization, organizationName: "Acme", zone: Zone(setting.zone) ?? .utc, version: version,
            teamNames: Dictionary(uniqueKeysWithValues: Set(setting.projects.map(\.team)).map { (team($0), "Team \($0)") }),
            projects: setting.projects.enumerated().map { index, rule in
                Project(
                    id: project(index), name: "Project \(index)", team: team(rule.team), tier: tier, costCenter: CostCenter(nil),
                    isSuspended: rule.isSuspended)
            },
            tiers: [
                Tier(
                    id: tier, name: "Standard", rank: 1,
                    models: setting.models.filter(\.isInTier).compactMap { Pattern($0.name) }, maxOutputTokens: Int64(setting.maxOutput)),
                Tier(id: higherTier, name: "Premium", rank: 2, models: [.init("*")!], maxOutputTokens: Int64(setting.maxOutput)),
            ],
            apiKeys: setting.keys.enumerated().map { index, rule in
                APIKey(
                    id: key(index), name: "Key \(index)", project: project(rule.project), environment: rule.environment, expiresAt: nil,
                    isRevoked: rule.isRevoked)
            },
            ownCatalogue: Dictionary(uniqueKeysWithValues: models.map { ($0.name, $0) }), platformCatalogue: [:],
            budgets: setting.budgets.enumerated().map { budget($0, $1, grants: setting.grants) })
    }

    package static func per(_ per: Setting.BudgetRule.Per) -> BudgetPer {
        switch per {
        case .user: .endUser
        case .key: .apiKey
        case .feature: .feature
        case .model: .model
        case .project: .project
        case .team: .team
        }
    }

    package static func unit(_ unit: Setting.BudgetRule.Unit) -> BudgetUnit {
        switch unit {
        case .usd: .usd
        case .tokens: .tokens
        case .requests: .requests
        }
    }

    package static func enforcement(_ enforcement: Setting.BudgetRule.Enforcement) -> Enforcement {
        switch enforcement {
        case .block: .block
        case .warn: .warn
        case .shadow: .shadow
        }
    }

    package static func period(_ rule: LawsCalendar.Rule) -> PeriodRule {
        let period: Period =
            switch rule.length {
            case .minute: .minute
            case .hour: .hour
            case .day: .day
            case .week: .week
            case .month: .month
            case .quarter: .quarter
            case .year: .year
            case .total: .total
            }
        return PeriodRule(period: period, anchorDay: rule.day, anchorMonth: rule.month) ?? PeriodRule(period)
    }

    // MARK: asks

    /// The command for an ask that arrives now. `reservation` is what the caller was given, or for a new call the id it is given now.
    package static func command(_ ask: Errand, _ setting: Setting, reservation: ReservationID, at now: Int) -> Command {
        let at = instant(now)
        switch ask {
        case .reserve(let name, let body, let key):
            return .reserve(
                Reserve(
                    id: reservation, request: request(name), content: content(0, body.numbers), call: call(body, key, setting),
                    inputTokens: Int64(body.input), maxOutputTokens: body.output.map { Int64($0) }, timeToLive: Int64(body.seconds),
                    at: at))
        case .settle(_, let usage, let key):
            return .settle(
                Settle(
                    reservation: reservation, project: project(setting.keys[key].project), apiKey: self.key(key),
                    content: content(1, usage.numbers), report: report(usage), at: at))
        case .release(_, let key):
            return .release(
                Release(reservation: reservation, project: project(setting.keys[key].project), apiKey: self.key(key), at: at))
        case .expire: return .expire(reservation, at: at)
        case .book(let name, let body, let usage, let ago, let key):
            return .book(
                Book(
                    id: reservation, request: request(name), content: content(2, body.numbers + usage.numbers + [ago]),
                    call: call(body, key, setting), report: report(usage), occurredAt: instant(now - ago), at: at))
        case .allowance(let body, let key):
            return .ask(
                Ask(
                    call: call(body, key, setting), inputTokens: Int64(body.input), maxOutputTokens: body.output.map { Int64($0) }, at: at))
        }
    }

    private static func call(_ body: CallBody, _ key: Int, _ setting: Setting) -> Call {
        Call(
            project: project(setting.keys[key].project), apiKey: self.key(key),
            model: body.model < setting.models.count ? setting.models[body.model].name : "unheard-of", endUser: body.user.map(user),
            feature: body.feature)
    }

    private static func report(_ usage: UsageBody) -> Report {
        let quantities = [("input", usage.input), ("cached_input", usage.cached), ("output", usage.output)]
        return Report(usage: Usage(quantities.map { ($0.0, Int64($0.1)) }) ?? Usage([])!)
    }

    /// 32 bytes that differ when the numbers do (FNV-1a).
    private static func content(_ kind: Int, _ numbers: [Int]) -> ContentHash {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for number in [kind] + numbers { hash = (hash ^ UInt64(bitPattern: Int64(number))) &* 0x100_0000_01B3 }
        let bytes = (0..<8).map { UInt8(truncatingIfNeeded: hash >> UInt64($0 * 8)) }
        return bytes + bytes + bytes + bytes
    }

    // MARK: answers

    /// The place of a counter, with the model's words for subjects that are ids.
    package static func place(_ counter: CounterID, _ setting: Setting) -> Place {
        let index = Int(counter.budget.low)
        let subject =
            switch setting.budgets[index].per {
            case .key: APIKeyID(counter.subject).map { "key \($0.low)" }
            case .project: ProjectID(counter.subject).map { "project \($0.low)" }
            case .team: TeamID(counter.subject).map { "team \($0.low)" }
            case .user: name(ofUser: counter.subject)
            case nil, .feature, .model: counter.subject
            }
        return Place(budget: index, subject: subject ?? counter.subject, start: Int(counter.periodStart.seconds))
    }

    package static func pico(_ amount: Amount) -> Int { Int(amount.pico) }

    package static func count(_ counter: Counter) -> Count {
        Count(settled: pico(counter.settled), held: pico(counter.held), overage: pico(counter.overage), drawn: pico(counter.burst))
    }

    /// Each threshold an alert records, and whether people are told of it.
    package static func alerts(_ alert: Alert, _ setting: Setting) -> [(AlertName, isTold: Bool)] {
        let (place, version) = (place(alert.counter, setting), Int(alert.budget.limitVersion))
        func names(_ percents: [Int], _ amounts: [Amount], isTold: Bool) -> [(AlertName, isTold: Bool)] {
            percents.map { (AlertName(place: place, version: version, threshold: $0), isTold) }
                + amounts.map { (AlertName(place: place, version: version, amount: pico($0)), isTold) }
        }
        return names(alert.superseded, alert.supersededAmounts, isTold: false)
            + names(alert.threshold.map { [$0] } ?? [], alert.thresholdAmount.map { [$0] } ?? [], isTold: true)
    }

    package static func answer(_ outcome: Outcome, _ setting: Setting) -> Answer {
        func standing(_ standing: Standing) -> Answer.Standing {
            Answer.Standing(
                place: place(
                    CounterID(budget: standing.budget.id, subject: standing.subject, periodStart: standing.span.start), setting),
                amount: pico(standing.amount), burst: pico(standing.burst), settled: pico(standing.settled), held: pico(standing.held))
        }
        func standing(_ draw: Draw) -> Answer.Standing {
            Answer.Standing(
                place: place(draw.counter, setting), amount: pico(draw.amount), burst: pico(draw.burst), settled: pico(draw.settled),
                held: pico(draw.held))
        }
        switch outcome {
        case .reserved(let reservation, _, let isReplay):
            return Answer(
                isReplay ? "held again" : "held", amount: pico(reservation.held), standings: reservation.draws.map(standing))
        case .settled(let reservation, _, let isReplay):
            guard let entry = reservation.entry else { return Answer("settled without an entry") }
            return Answer(
                "settled" + (entry.isLate ? " late" : "") + (isReplay ? " again" : ""), amount: pico(entry.cost),
                overage: pico(entry.overage), standings: entry.draws.map(standing))
        case .released(_, let isReplay): return Answer(isReplay ? "released again" : "released")
        case .expired: return Answer("expired")
        case .allowance(let allowance): return Answer(allowance.refusal.map { "would be \($0.code)" } ?? "allowed")
        case .refused(.rateLimited(let full, let needed)):
            return Answer("rate_limited", amount: pico(needed), standings: [standing(full)])
        case .refused(.budgetExceeded(let full, let needed)):
            return Answer("budget_exceeded", amount: pico(needed), standings: [standing(full)])
        case .refused(let refusal): return Answer("\(refusal.code)")
        case .overloaded: return Answer("overloaded")
        case .storeUnavailable: return Answer("store_unavailable")
        case .failed: return Answer("internal_error")
        }
    }
}

extension CallBody {
    fileprivate var numbers: [Int] {
        [model, input, output ?? -1, seconds] + Translation.letters(user) + Translation.letters(feature)
    }
}

extension UsageBody {
    fileprivate var numbers: [Int] { [input, cached, output] }
}

extension Translation {
    fileprivate static func letters(_ text: String?) -> [Int] { text.map { [$0.utf8.count] + $0.utf8.map { Int($0) } } ?? [-1] }
}

extension Translation {
    /// The model's name of a request.
    package static func name(_ request: RequestID) -> RequestName {
        RequestName(project: Int(request.project.low), number: Int(request.text.dropFirst("request ".count)) ?? -1)
    }
}
