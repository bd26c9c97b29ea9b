/// Which thresholds a posting makes news (law 7, design §8). Level-triggered: what counts is where the counter stands, so a
/// lowered limit or a changed list heals at the next posting.

extension OrganizationState {
    /// Notes an alert when the counter has reached a threshold that nobody was told of yet. `before` is what was settled before the
    /// posting.
    ///
    /// Under a new limit everything reached is recorded anew. News is what exceeds both what people know and what had been reached
    /// under the new limit already: a raised limit does not tell of 70 % again, and a leap under it is not lost.
    mutating func alert(_ budget: Budget?, _ id: CounterID, from before: Amount, at now: Instant, _ changes: inout Changes) {
        guard let budget, !budget.isArchived, !budget.thresholds.isEmpty, var counter = counter(id) else { return }
        let isNewLimit = counter.alertedVersion != budget.limitVersion
        // A period that was over before its limit changed is not judged by the new one.
        if isNewLimit, counter.alertedVersion != 0, isOver(id, budget, at: now) { return }
        func top(_ settled: Amount) -> Int {
            reached(settled: settled, amount: budget.amount, thresholds: budget.thresholds).last ?? 0
        }
        let told = Int(counter.alertedThreshold)
        let highest = top(counter.settled)
        guard isNewLimit ? highest > 0 || told > 0 : highest > told else { return }
        let known = isNewLimit && counter.alertedVersion != 0 ? min(told, top(before)) : told
        var recorded = reached(settled: counter.settled, amount: budget.amount, thresholds: budget.thresholds)
            .filter { isNewLimit || $0 > told }
        let news = highest > known ? recorded.popLast() : nil
        counter.alertedVersion = budget.limitVersion
        counter.alertedThreshold = Int64(highest)
        counters[id] = counter
        changes.counters.insert(id)
        guard news != nil || !recorded.isEmpty else { return }
        changes.alerts.append(
            Alert(
                budget: budget, counter: id, span: budget.rule.span(containing: id.periodStart, in: configuration.zone), threshold: news,
                superseded: recorded, settled: counter.settled, at: now))
    }

    /// Whether the counter's period has ended.
    func isOver(_ id: CounterID, _ budget: Budget, at now: Instant) -> Bool {
        guard let end = budget.rule.span(containing: id.periodStart, in: configuration.zone).end else { return false }
        return end <= now
    }
}
