/// Which model serves a call, and whether it is one of a budget's final calls (design §4). The rules, in full:
///
/// Degrading. The budgets that the call draws on are asked in their order: the organization's, the team's, the project's, each in the order
/// in which they were made. The first whose rule is reached, names the call's model and whose replacement may be called decides. Then
/// the replacement is asked about in the same way, so rules chain; no model is considered twice, so chains end. A replacement of which
/// a call would be refused before any budget is asked (unknown, unpriced, not in the project's tier, input above the tier's cap) is skipped,
/// and the search goes on. Shadow budgets do not degrade. Then the served model's call must find room like any other; the asked one's
/// need not. Calls that are booked afterwards were made already and are never degraded.
///
/// Final calls. A call that finds no room may be let through on another model. The blocked budgets are asked in the same order; the
/// first that can decides. It can if it has calls left for the counter that blocked, its model may be called, and every other blocking
/// budget of such a call either has room for it, or grants that very call too: same model, an output bound as high, calls left. A rate
/// limit without room refuses whatever else is granted. Each budget that grants has one call fewer; a release gives it back, an
/// expiry does not, as the call may have been made. The first is drawn on even when its match does not count the final model: it
/// is its grace. A final call's hold takes free room first. What it holds beyond is `Counter.finalHeld` until the reservation ends,
/// and what it spends beyond is overage.

/// The plans that rules may put in the place of the one asked for.
final class Alternatives: Sendable {
    struct FinalKey: Hashable {
        let budget: BudgetID
        /// The model that was blocked: the counter depends on it.
        let model: String
    }

    let models: [String: Planning]
    let finalCalls: [FinalKey: Planning]

    init(models: [String: Planning], finalCalls: [FinalKey: Planning]) {
        self.models = models
        self.finalCalls = finalCalls
    }

    /// Replacements that are planned for one call, at most: each costs the reading of its counters. Rules that lead further are not
    /// followed there; a chain as long as this is no rule that anybody keeps in mind.
    static let maximumModels = 8

    /// All draws of all of them: their counters must be remembered before the decision.
    var draws: [PlannedDraw] {
        (Array(models.values) + Array(finalCalls.values)).flatMap { planning -> [PlannedDraw] in
            guard case .go(let plan) = planning else { return [] }
            return plan.draws
        }
    }
}

/// How a call is to be served.
struct Service {
    let plan: Plan
    /// Budgets that grant one of their final calls.
    var granting: Set<BudgetID> = []
    var substitutions: [Substitution] = []
}

extension OrganizationState {
    /// The plans that rules of the call's budgets may lead to; nil when there are no rules.
    mutating func alternatives(to first: Plan, _ request: PlanRequest) -> Alternatives? {
        guard first.draws.contains(where: { $0.budget.degrade != nil || $0.budget.finalCall != nil }) else { return nil }
        var models: [String: Planning] = [:]
        var finalCalls: [Alternatives.FinalKey: Planning] = [:]
        var waiting = [first]
        while !waiting.isEmpty {
            let plan = waiting.removeFirst()
            for draw in plan.draws {
                if let cheaper = draw.budget.replacement(for: plan.model.name), cheaper != first.model.name, models[cheaper] == nil,
                    models.count < Alternatives.maximumModels
                {
                    let planned = planCall(request.of(cheaper))
                    models[cheaper] = planned
                    if case .go(let next) = planned { waiting.append(next) }
                }
                if let final = draw.budget.grantedCall {
                    finalCalls[Alternatives.FinalKey(budget: draw.budget.id, model: plan.model.name)] = planFinalCall(final, draw, request)
                }
            }
        }
        return Alternatives(models: models, finalCalls: finalCalls)
    }

    /// Plans the final call, which draws on the counter that granted it in place of any other of that budget.
    private mutating func planFinalCall(_ final: FinalCall, _ granting: PlannedDraw, _ request: PlanRequest) -> Planning {
        let bound = min(request.maxOutputTokens ?? final.maxOutputTokens, final.maxOutputTokens)
        guard case .go(let plan) = planCall(request.of(final.model, maxOutputTokens: bound)) else {
            return .no(.modelUnknown(final.model))
        }
        var draws = plan.draws.filter { $0.budget.id != granting.budget.id }
        draws.insert(granting.needing(plan.quantities.amount(in: granting.budget.unit)), at: 0)
        return .go(plan.drawing(draws))
    }

    /// Follows the degrade rules to the model that serves the call.
    func service(_ first: Plan) -> Service {
        var service = Service(plan: first)
        guard let alternatives = first.alternatives else { return service }
        var seen: Set<String> = [first.model.name]
        search: while true {
            for draw in service.plan.draws {
                guard let rule = draw.budget.degrade, let cheaper = draw.budget.replacement(for: service.plan.model.name),
                    let planned = alternatives.models[cheaper], isReached(rule, draw), seen.insert(cheaper).inserted
                else { continue }
                switch planned {
                case .go(let plan):
                    let substitutions =
                        service.substitutions + [
                            Substitution(kind: .degraded, budget: draw.budget.id, model: cheaper, fromPercent: rule.fromPercent)
                        ]
                    service = Service(plan: plan, substitutions: substitutions)
                    continue search
                case .no(let refusal):
                    service.substitutions.append(
                        Substitution(
                            kind: .skipped, budget: draw.budget.id, model: cheaper, fromPercent: rule.fromPercent,
                            reason: "\(refusal.code)"))
                }
            }
            return service
        }
    }

    private func isReached(_ rule: Degrade, _ draw: PlannedDraw) -> Bool {
        let settled = remembered(draw.counter).settled
        return !reached(settled: settled, amount: draw.amount, thresholds: [rule.fromPercent]).isEmpty
    }

    /// The final call that is let through in place of one that found no room; nil when the refusal stands.
    func finalCall(inPlaceOf blocked: Service, _ alternatives: Alternatives?) -> Service? {
        guard let alternatives else { return nil }
        let refusing = blocked.plan.draws.filter(lacksRoom)
        guard !refusing.contains(where: \.budget.isRateLimit) else { return nil }
        for draw in refusing where hasFinalCall(draw) {
            let key = Alternatives.FinalKey(budget: draw.budget.id, model: blocked.plan.model.name)
            guard case .go(let plan)? = alternatives.finalCalls[key] else { continue }
            let short = plan.draws.filter { $0.budget.id != draw.budget.id && lacksRoom($0) }
            guard short.allSatisfy({ grants(plan, $0) }) else { continue }
            var service = Service(plan: plan, granting: Set(short.map(\.budget.id)), substitutions: blocked.substitutions)
            service.granting.insert(draw.budget.id)
            service.substitutions.append(Substitution(kind: .finalCall, budget: draw.budget.id, model: plan.model.name))
            return service
        }
        return nil
    }

    private func hasFinalCall(_ draw: PlannedDraw) -> Bool {
        guard let final = draw.budget.grantedCall else { return false }
        return remembered(draw.counter).finalCalls < final.calls
    }

    /// Whether a budget that has no room for the final call of another grants it too.
    private func grants(_ plan: Plan, _ draw: PlannedDraw) -> Bool {
        guard let final = draw.budget.grantedCall, hasFinalCall(draw) else { return false }
        return final.model == plan.model.name && final.maxOutputTokens >= plan.maxOutputTokens
    }
}

extension Budget {
    /// The model that the budget puts in the place of another once its rule is reached.
    fileprivate func replacement(for model: String) -> String? { enforcement == .shadow ? nil : degrade?.models[model] }

    /// The final call, if the budget is one that can grant any.
    fileprivate var grantedCall: FinalCall? { enforcement == .block && !isRateLimit ? finalCall : nil }
}
