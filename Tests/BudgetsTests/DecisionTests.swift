/// The decision, case by case; `Simulation` drives it with random histories.
import Testing

@testable import Budgets

@Suite struct DecisionTests {
    private let at = Instant(seconds: 1_800_000_000)
    private let project = ProjectID(high: 1, low: 1)
    private let team = TeamID(high: 2, low: 1)
    private let apiKey = APIKeyID(high: 3, low: 1)
    private let tier = TierID(high: 4, low: 1)

    private func budget(
        _ low: UInt64, scope: BudgetScope = .organization, unit: BudgetUnit = .tokens, amount: Int64, enforcement: Enforcement = .block,
        period: Period = .month, version: Int64 = 1
    ) -> Budget {
        Budget(
            id: BudgetID(high: 5, low: low), name: "Budget \(low)", scope: scope, match: BudgetMatch(), per: nil, unit: unit,
            rule: PeriodRule(period), amount: Amount(whole: amount), thresholds: [70, 80, 90, 100], limitVersion: version,
            enforcement: enforcement)
    }

    private func state(_ budgets: [Budget], isSuspended: Bool = false, models: [String] = ["test-*"], grants: [AccessGrant] = [])
        -> OrganizationState
    {
        let rates = [("input", 1), ("output", 2)].compactMap { kind, dollars in
            Rate(
                priceID: PriceID(high: 6, low: UInt64(dollars)), kind: kind, serviceTier: "standard", contextFrom: 0,
                amountPerMillion: Amount(whole: Int64(dollars)), validFrom: Instant(seconds: 0), validTo: nil)
        }
        let configuration = Configuration(
            organization: OrganizationID(high: 7, low: 1), organizationName: "Acme", zone: Zone("UTC")!, version: 1,
            teamNames: [team: "Search"],
            projects: [Project(id: project, name: "Ranker", team: team, tier: tier, costCenter: CostCenter(nil), isSuspended: isSuspended)],
            tiers: [
                Tier(id: tier, name: "Standard", rank: 1, models: models.compactMap { Pattern($0) }, maxOutputTokens: 1000),
                Tier(id: TierID(high: 4, low: 2), name: "Premium", rank: 2, models: [Pattern("big-*")!], maxOutputTokens: 1000),
            ],
            apiKeys: [
                APIKey(id: apiKey, name: "ci", project: project, environment: "production", expiresAt: nil, isRevoked: false)
            ],
            ownCatalogue: [
                "test-model": Model(
                    name: "test-model", provider: "test", maxInputTokens: nil, maxOutputTokens: nil, prices: PriceSheet(rates: rates)),
                "big-model": Model(
                    name: "big-model", provider: "test", maxInputTokens: nil, maxOutputTokens: nil, prices: PriceSheet(rates: rates)),
                "test-unpriced": Model(
                    name: "test-unpriced", provider: "test", maxInputTokens: nil, maxOutputTokens: nil, prices: PriceSheet(rates: [])),
            ], platformCatalogue: [:], budgets: budgets, accessGrants: grants)
        return OrganizationState(configuration: configuration, version: 1)
    }

    private func reserve(
        _ request: String, _ id: UInt64, tokens: Int64, model: String = "test-model", timeToLive: Int64 = 600, at: Instant? = nil
    ) -> Command {
        .reserve(
            Reserve(
                id: ReservationID(high: 8, low: id), request: RequestID(project: project, text: request),
                content: [UInt8(truncatingIfNeeded: tokens)], call: Call(project: project, apiKey: apiKey, model: model),
                inputTokens: tokens, maxOutputTokens: 0, timeToLive: timeToLive, at: at ?? self.at))
    }

    private func settle(_ id: UInt64, tokens: Int64, at: Instant? = nil) -> Command {
        .settle(
            Settle(
                reservation: ReservationID(high: 8, low: id), project: project, apiKey: apiKey, content: [1],
                report: Report(usage: Usage([("input", tokens)])!), at: at ?? self.at))
    }

    /// Does what a lane does, with a database that has nothing: whatever is missing has never been used.
    private func run(_ command: Command, _ state: inout OrganizationState, _ changes: inout Changes) -> Outcome {
        var pending = Pending(command)
        var absent: Set<ReservationID> = []
        while true {
            var missing = Missing()
            state.prepare(&pending, absent: absent, missing: &missing)
            guard !missing.isEmpty else { break }
            for id in missing.counters { state.remember(id, Counter()) }
            absent.formUnion(missing.reservations)
        }
        if let (source, attribution) = pending.attribution {
            state.remember(source, AttributionID(high: 9, low: 9), attribution)
        }
        return state.decide(pending, &changes)
    }

    @Test("refusals come in their order of precedence")
    func precedence() {
        let small = [budget(1, amount: 0)]
        let rate = [budget(2, amount: 0, period: .minute)]
        let table: [(String, OrganizationState, String)] = [
            ("nowhere-model", state(small, isSuspended: true), "model_unknown"),
            ("test-unpriced", state([budget(3, unit: .usd, amount: 1)], isSuspended: true), "model_unpriced"),
            ("big-model", state(small, isSuspended: true), "model_not_allowed"),
            ("test-model", state(small, isSuspended: true), "project_suspended"),
            ("test-model", state(small + rate), "rate_limited"),
            ("test-model", state(small), "budget_exceeded"),
        ]
        for (model, start, expected) in table {
            var state = start
            var changes = Changes()
            guard case .refused(let refusal) = run(reserve("r", 1, tokens: 1, model: model), &state, &changes) else {
                Issue.record("\(model) was not refused with \(expected)")
                continue
            }
            #expect("\(refusal.code)" == expected)
            #expect(changes.isEmpty, "a refusal books nothing")
            if case .modelNotAllowed(_, let tier, _) = refusal { #expect(tier?.name == "Premium") }
        }
    }

    @Test("a grant of a tier or of a model lets its calls through until its end, to the microsecond, and no others")
    func grants() throws {
        let end = at.adding(seconds: 60)
        let subjects: [AccessGrant.Subject] = [.tier(TierID(high: 4, low: 2)), .model(try #require(Pattern("big-model")))]
        for subject in subjects {
            var state = state([budget(1, amount: 100)], grants: [AccessGrant(project: project, subject: subject, endsAt: end)])
            var changes = Changes()
            for (request, instant, isHeld) in [
                ("a", at, true), ("b", Instant(microseconds: end.microseconds - 1), true), ("c", end, false),
            ] {
                let id = UInt64(request.utf8.first ?? 0)
                let outcome = run(reserve(request, id, tokens: 1, model: "big-model", at: instant), &state, &changes)
                if case .reserved = outcome { #expect(isHeld, "\(request)") } else { #expect(!isHeld, "\(request): \(outcome)") }
            }
        }
        let elsewhere = AccessGrant(project: ProjectID(high: 99, low: 1), subject: subjects[0], endsAt: end)
        var state = state([], grants: [elsewhere])
        var changes = Changes()
        let outcome = run(reserve("d", 1, tokens: 1, model: "big-model"), &state, &changes)
        guard case .refused(.modelNotAllowed) = outcome else { return #expect(Bool(false), "another project's grant: \(outcome)") }
    }

    @Test("an unpriced model passes where no money budget blocks, and its entry shows the missing price")
    func unpriced() throws {
        var state = state([budget(1, amount: 100)])
        var changes = Changes()
        guard case .reserved = run(reserve("r", 1, tokens: 10, model: "test-unpriced"), &state, &changes) else {
            Issue.record("not admitted")
            return
        }
        guard case .settled(let settled, _, _) = run(settle(1, tokens: 10), &state, &changes) else {
            Issue.record("not settled")
            return
        }
        let line = try #require(settled.entry?.lines.first)
        #expect(line.price == nil && line.quantity == 10)
    }

    @Test("every budget on the path must have room, whatever its level")
    func path() {
        for tight in [BudgetScope.organization, .team(team), .project(project)] {
            let scopes: [BudgetScope] = [.organization, .team(team), .project(project)]
            var state = state(
                scopes.enumerated().map { index, scope in budget(UInt64(index + 1), scope: scope, amount: scope == tight ? 9 : 1000) })
            var changes = Changes()
            guard case .refused(.budgetExceeded(let standing, _)) = run(reserve("r", 1, tokens: 10), &state, &changes) else {
                Issue.record("\(tight.word) did not refuse")
                continue
            }
            #expect(standing.budget.scope == tight)
        }
    }

    @Test("a period that was over before its limit changed is not judged by the new one, though nobody was told of anything in it")
    func lateSettlementUnderNewLimit() throws {
        var state = state([budget(1, amount: 100, period: .day)])
        var changes = Changes()
        guard case .reserved(let reservation, _, _) = run(reserve("r", 1, tokens: 10), &state, &changes) else {
            Issue.record("not admitted")
            return
        }
        let counter = try #require(reservation.draws.first?.counter)
        for (days, alerts) in [(Int64(0), 1), (1, 0)] {
            var later = self.state([budget(1, amount: 5, period: .day, version: 2)])
            later.remember(counter, try #require(state.counter(counter)))
            later.remember(reservation)
            var changes = Changes()
            guard case .settled = run(settle(1, tokens: 10, at: at.adding(seconds: days * 86_400)), &later, &changes) else {
                Issue.record("not settled")
                return
            }
            #expect(changes.alerts.count == alerts, "\(days) days later")
        }
    }

    @Test("warn and shadow budgets let everything pass and still count")
    func nonBlocking() {
        for enforcement in [Enforcement.warn, .shadow] {
            var state = state([budget(1, amount: 5, enforcement: enforcement)])
            var changes = Changes()
            guard case .reserved(_, let standings, _) = run(reserve("r", 1, tokens: 10), &state, &changes) else {
                Issue.record("\(enforcement) refused")
                continue
            }
            #expect(standings.map(\.held) == [Amount(whole: 10)])
        }
    }
}
