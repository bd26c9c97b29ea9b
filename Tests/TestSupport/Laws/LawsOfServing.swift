/// The part of the reference model that chooses the model to serve a call (design §4): from a percentage of a budget on a cheaper one, and
/// after a block a few final calls.

extension Laws {
    /// A call as it is to be served, what it would hold, and the rules that led there.
    struct Served {
        var body: CallBody
        var parts: [Part]
        var ways: [Way] = []
    }

    /// The first budget on the call's path whose rule is reached and names the model replaces it; then the replacement is looked at in the
    /// same way. A replacement that could not be called anyway is passed over. None is tried twice.
    func degraded(_ first: Served, _ key: Int, _ now: Int) -> Served {
        var served = first
        var tried = [first.body.model]
        var isSettled = false
        while !isSettled {
            isSettled = true
            for part in served.parts {
                let rule = setting.budgets[part.place.budget]
                guard rule.enforcement != .shadow, let degrade = rule.degrade, let model = degrade.models[served.body.model],
                    !tried.contains(model), isSpent(degrade.percent, part)
                else { continue }
                tried.append(model)
                var body = served.body
                body.model = model
                switch planned(body, key, now) {
                case .failure:
                    served.ways.append(Way("skipped", budget: part.place.budget, model: setting.models[model].name))
                    continue
                case .success(let parts):
                    let way = Way("degraded", budget: part.place.budget, model: setting.models[model].name)
                    served = Served(body: body, parts: parts, ways: served.ways + [way])
                    isSettled = false
                }
                break
            }
        }
        return served
    }

    private func isSpent(_ percent: Int, _ part: Part) -> Bool {
        let spent = counts[part.place]?.settled ?? 0
        return spent > 0 && (part.amount > 0 ? spent * 100 >= percent * part.amount : percent <= 100)
    }

    /// The call that is let through although it found no room: the first of the full budgets that can grants it. Every other that lacks room
    /// must grant the very same, and a rate limit grants nothing.
    func final(_ asked: CallBody, inPlaceOf served: Served, _ full: [Part], _ key: Int, _ now: Int) -> Served? {
        guard !full.contains(where: isRate) else { return nil }
        for part in full {
            guard let grace = grace(part) else { continue }
            var body = asked
            body.model = grace.model
            body.output = min(asked.output ?? grace.output, grace.output)
            guard case .success(let others) = planned(body, key, now) else { continue }
            // It is drawn on where it was blocked, whatever its own model would be counted by.
            let own = Part(
                place: part.place, quantity: needed(body, in: setting.budgets[part.place.budget].unit), amount: part.amount,
                shares: part.shares, isFinal: true)
            var parts = [own]
            var isGranted = true
            for var other in others where other.place.budget != part.place.budget {
                if lacksRoom(other) {
                    let same = self.grace(other).map { $0.model == grace.model && $0.output >= output(body) } ?? false
                    isGranted = isGranted && same
                    other.isFinal = true
                }
                parts.append(other)
            }
            guard isGranted else { continue }
            let way = Way("final_call", budget: part.place.budget, model: setting.models[grace.model].name)
            return Served(body: body, parts: parts, ways: served.ways + [way])
        }
        return nil
    }

    /// What a budget may still let through.
    private func grace(_ part: Part) -> Setting.BudgetRule.Grace? {
        let rule = setting.budgets[part.place.budget]
        guard rule.enforcement == .block, !isRate(part), let grace = rule.final, (counts[part.place]?.finals ?? 0) < grace.calls else {
            return nil
        }
        return grace
    }
}
