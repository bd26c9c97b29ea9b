/// `/v1/budgets` and how full they are.
import Budgets
import Hummingbird
import JSON
import Postgres
import Store

extension API {
    @Sendable func createBudget(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let scope = fields.optional("scope", .scope) ?? .organization
        let match = fields.optional("match", .match) ?? "{}"
        let per = fields.optional("per", .word(BudgetPer.self))
        let unit = fields.require("unit", .word(BudgetUnit.self))
        let period = fields.require("period", .word(Period.self))
        let anchorDay = fields.optional("anchor_day", .integer(1...31)) ?? 1
        let anchorMonth = fields.optional("anchor_month", .integer(1...12)) ?? 1
        let amount = fields.require("amount", .writtenAmount())
        // A rate limit that fills up every minute is no news, unless somebody asks to be told.
        let usual: [Int64] = period == .minute || period == .hour ? [] : [70, 80, 90, 100]
        let thresholds = fields.optional("thresholds", .thresholds) ?? usual
        let thresholdAmounts = fields.optional("threshold_amounts", .thresholdAmounts) ?? []
        let enforcement = fields.optional("enforcement", .word(Enforcement.self)) ?? .block
        let activeFrom = fields.optional("active_from", .instant)
        let activeTo = fields.optional("active_to", .instant)
        let degrade = fields.optional("degrade", .degrade)
        let finalCall = fields.optional("final_call", .finalCall)
        if finalCall != nil, period == .minute || period == .hour { fields.fault("final_call", .invalidValue, API.noFinalCall) }
        let rule = PeriodRule(period: period, anchorDay: Int(anchorDay), anchorMonth: Int(anchorMonth))
        if rule == nil { fields.fault("anchor_day", .outOfRange, "does not exist in this period") }
        if unit != .usd, !amount.isWhole { fields.fault("amount", .invalidValue, "must be a whole number in this unit") }
        if let activeFrom, let activeTo, activeTo <= activeFrom { fields.fault("active_to", .outOfRange, "must be after active_from") }
        try fields.finish()
        try await require(scope, exchange)
        let budget = try await store.createBudget(
            NewBudget(
                id: BudgetID(at: exchange.now), name: name, scope: scope, match: JSONB(text: match), per: per, unit: unit,
                rule: rule ?? PeriodRule(period), amount: amount, thresholds: thresholds, thresholdAmounts: thresholdAmounts,
                enforcement: enforcement, activeFrom: activeFrom, activeTo: activeTo, degrade: degrade, finalCall: finalCall),
            of: exchange.organization, setBy: exchange.credential.apiKey)
        return try await answer(budget, exchange, .created)
    }

    private static let noFinalCall = "cannot be there in a budget by the minute or hour"

    /// The answer that shows a budget.
    func answer(_ budget: BudgetRecord, _ exchange: Exchange, _ status: HTTPResponse.Status = .ok) async throws -> Response {
        let over = try await store.overCommitted([budget], of: exchange.organization, at: exchange.now)
        return .json(status, revision: budget.revision) { budget.write(&$0, overCommitted: over[budget.id]) }
    }

    /// A lead has budgets within the team: of its projects. What the team itself may spend is set above.
    private func require(_ scope: BudgetScope, _ exchange: Exchange) async throws {
        guard exchange.reach != .everything else { return }
        guard case .project(let project) = scope else { throw Problem(.forbidden, "Your role reaches the budgets of projects only.") }
        try await require(project, exchange)
    }

    func requireOwnBudget(_ exchange: Exchange) async throws {
        guard exchange.reach != .everything else { return }
        try await require(try await store.budget(exchange.id(BudgetKind.self), of: exchange.organization).scope, exchange)
    }

    @Sendable func listBudgets(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let (filter, listing) = (PageQuery.filter(&query), PageQuery.listing(&query, BudgetRecord.orders) as Listing<_, BudgetID>)
        let team = query.optional("team", .id(TeamKind.self))
        let project = query.optional("project", .id(ProjectKind.self))
        let unit = query.optional("unit", .word(BudgetUnit.self))
        let period = query.optional("period", .word(Period.self))
        try query.finish()
        let budgets = try await store.budgets(
            of: exchange.organization, teams: exchange.reach.teams(team), project: project, unit: unit, period: period, filter, listing)
        let over = try await store.overCommitted(budgets.items, of: exchange.organization, at: exchange.now)
        return try exchange.page(budgets) { $0.write(&$1, overCommitted: over[$0.id]) }
    }

    @Sendable func readBudget(_ exchange: Exchange) async throws -> Response {
        try await answer(store.budget(exchange.id(BudgetKind.self), of: exchange.organization), exchange)
    }

    /// What a budget counts (scope, per, unit, period) cannot change: that would be another budget.
    @Sendable func changeBudget(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.change("name", .text(1...200))
        let match = fields.change("match", .match)
        let amount = fields.change("amount", .writtenAmount())
        let thresholds = fields.change("thresholds", .thresholds)
        let thresholdAmounts = fields.change("threshold_amounts", .thresholdAmounts)
        let enforcement = fields.change("enforcement", .word(Enforcement.self))
        let activeFrom = fields.changeOrEmpty("active_from", .instant)
        let activeTo = fields.changeOrEmpty("active_to", .instant)
        let degrade = fields.changeOrEmpty("degrade", .degrade)
        let finalCall = fields.changeOrEmpty("final_call", .finalCall)
        try fields.finish()
        try await requireOwnBudget(exchange)
        let budget = try await store.changeBudget(
            exchange.id(BudgetKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision(),
            setBy: exchange.credential.apiKey
        ) { budget in
            if let name { budget.name = name }
            if let match { budget.match = JSONB(text: match) }
            if let amount { budget.amount = amount }
            if let thresholds { budget.thresholds = thresholds }
            if let thresholdAmounts { budget.thresholdAmounts = thresholdAmounts }
            if let enforcement { budget.enforcement = enforcement }
            if let activeFrom { budget.activeFrom = activeFrom }
            if let activeTo { budget.activeTo = activeTo }
            if let degrade { budget.degrade = degrade }
            if let finalCall { budget.finalCall = finalCall }
            var check = FieldReader(JSON.Object())
            if budget.unit != .usd, !budget.amount.isWhole { check.fault("amount", .invalidValue, "must be a whole number in this unit") }
            if let from = budget.activeFrom, let to = budget.activeTo, to <= from {
                check.fault("active_to", .outOfRange, "must be after active_from")
            }
            if budget.finalCall != nil, budget.rule.period == .minute || budget.rule.period == .hour {
                check.fault("final_call", .invalidValue, API.noFinalCall)
            }
            try check.finish()
        }
        return try await answer(budget, exchange)
    }

    @Sendable func archiveBudget(_ exchange: Exchange) async throws -> Response {
        try await requireOwnBudget(exchange)
        try await store.archiveBudget(
            exchange.id(BudgetKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision())
        return Response(status: .noContent)
    }

    @Sendable func restoreBudget(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        try await requireOwnBudget(exchange)
        let budget = try await store.restoreBudget(
            exchange.id(BudgetKind.self), of: exchange.organization, setBy: exchange.credential.apiKey)
        return try await answer(budget, exchange)
    }

    /// Every limit the budget has had, the newest first unless sorted otherwise: the first one whose period is not over, or that is for no single period, is in force.
    @Sendable func listLimits(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<BudgetLimitRecord, Int64> = PageQuery.listing(&query, BudgetLimitRecord.orders, isNewestFirst: true)
        try query.finish()
        let (unit, page) = try await store.limits(of: exchange.id(BudgetKind.self), in: exchange.organization, listing)
        return try exchange.page(page) { version, writer in
            writer.object { writer in
                writer.field("limit_version", version.version)
                writer.field("amount", version.amount, in: unit)
                writer.array("thresholds", version.thresholds)
                writer.field("set_at", version.setAt)
                writer.field("set_by", version.setBy)
                writer.field("set_by_name", version.setByName)
                writer.field("period_start", version.periodStart)
            }
        }
    }

    @Sendable func listPeriods(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<BudgetPeriodRecord, String> = PageQuery.listing(&query, BudgetPeriodRecord.orders, isNewestFirst: true)
        let filter = BudgetPeriodFilter(
            subject: query.optional("subject", .text(1...200)), from: query.optional("from", .instant), to: query.optional("to", .instant))
        try query.finish()
        let (budget, timeZone, page) = try await store.periods(
            of: exchange.id(BudgetKind.self), in: exchange.organization, filter, listing)
        let zone = Zone(timeZone) ?? .utc
        return try exchange.page(page) { period, writer in
            let span = budget.rule.span(containing: period.periodStart, in: zone)
            writer.object { writer in
                writer.field("budget", budget.id)
                writer.field("subject", period.subject)
                writer.field("period_start", period.periodStart)
                writer.field("period_end", span.end)
                writer.field("amount", period.amount, in: budget.unit)
                writer.field("settled", period.settled, in: budget.unit)
                writer.field("held", period.held, in: budget.unit)
                writer.field("burst", period.burst, in: budget.unit)
                writer.field("remaining", max(.zero, period.amount + period.burst - period.settled - period.held), in: budget.unit)
                writer.field("over_committed", max(.zero, period.settled + period.held - period.burst - period.amount), in: budget.unit)
                writer.field("overage", period.overage, in: budget.unit)
                writer.field("final_calls", period.finalCalls)
                writer.field("used_percent", usedPercent(settled: period.settled, amount: period.amount))
            }
        }
    }
}
