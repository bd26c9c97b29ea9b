/// Which thresholds a posting makes news (law 7, design §8). Level-triggered: what counts is where the counter stands, so a
/// lowered limit or a changed list heals at the next posting.

extension OrganizationState {
    /// Notes an alert when the counter has reached a threshold that nobody was told of yet.
    mutating func alert(_ budget: Budget?, _ id: CounterID, at now: Instant, _ changes: inout Changes) {
        guard let budget, !budget.thresholds.isEmpty, var counter = counter(id) else { return }
        let isNewLimit = counter.alertedVersion != budget.limitVersion
        let told = Int(counter.alertedThreshold)
        let highest = reached(settled: counter.settled, amount: budget.amount, thresholds: budget.thresholds).last ?? 0
        guard isNewLimit ? highest > 0 || told > 0 : highest > told else { return }
        // Under a new limit everything reached is recorded anew, but only what exceeds what people already know is news.
        let already = isNewLimit ? 0 : told
        var recorded = reached(settled: counter.settled, amount: budget.amount, thresholds: budget.thresholds).filter { $0 > already }
        let news = highest > told ? recorded.popLast() : nil
        counter.alertedVersion = budget.limitVersion
        counter.alertedThreshold = Int64(highest)
        counters[id] = counter
        changes.counters.insert(id)
        guard news != nil || !recorded.isEmpty else { return }
        changes.alerts.append(
            Alert(
                budget: budget, counter: id, span: span(of: budget, at: id.periodStart), threshold: news, superseded: recorded,
                settled: counter.settled, at: now))
    }
}
