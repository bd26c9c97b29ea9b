/// Which thresholds a posting makes news (law 7, design §8). Level-triggered: what counts is where the counter stands, so a
/// lowered limit or a changed list heals at the next posting.

extension OrganizationState {
    /// Notes an alert when the counter has reached a threshold that nobody was told of yet. `before` is what was settled before the
    /// posting.
    mutating func alert(_ budget: Budget?, _ id: CounterID, from before: Amount, at now: Instant, _ changes: inout Changes) {
        guard let budget, !budget.isArchived, budget.hasThresholds, var counter = counter(id) else { return }
        // A period that was over before its limit changed is not judged by the new one.
        if counter.alertedVersion != 0, counter.alertedVersion != budget.limitVersion, isOver(id, budget, at: now) { return }
        let known = counter
        let percents = newlyReached(budget, amount: budget.amount(from: id.periodStart), &counter, from: before)
        let amounts = newlyReachedAmounts(budget, &counter)
        guard counter != known else { return }
        counters[id] = counter
        changes.counters.insert(id)
        guard percents != nil || !amounts.isEmpty else { return }
        changes.note(
            Alert(
                budget: budget, counter: id, span: budget.rule.span(containing: id.periodStart, in: configuration.zone),
                threshold: percents?.news, superseded: percents?.recorded ?? [], thresholdAmount: amounts.last,
                supersededAmounts: amounts.dropLast(), settled: counter.settled, at: now))
    }

    /// The percentages to record, and the one to tell of; nil when there is nothing to record.
    ///
    /// Under a new limit everything reached is recorded anew. News is what exceeds both what people know and what had been reached
    /// under the new limit already: a raised limit does not tell of 70 % again, nor a slightly raised one of 90 %, and a leap under it
    /// is not lost.
    private func newlyReached(
        _ budget: Budget, amount: Amount, _ counter: inout Counter, from before: Amount
    ) -> (news: Int?, recorded: [Int])? {
        let isNewLimit = counter.alertedVersion != budget.limitVersion
        let told = Int(counter.alertedThreshold)
        let highest = reached(settled: counter.settled, amount: amount, thresholds: budget.thresholds).last ?? 0
        guard isNewLimit ? highest > 0 || told > 0 : highest > told else { return nil }
        let known =
            isNewLimit && counter.alertedVersion != 0
            ? min(told, budget.thresholds.last { !isCleared($0, settled: before, amount: amount) } ?? 0) : told
        var recorded = reached(settled: counter.settled, amount: amount, thresholds: budget.thresholds)
            .filter { isNewLimit || $0 > told }
        let news = highest > known ? recorded.popLast() : nil
        counter.alertedVersion = budget.limitVersion
        counter.alertedThreshold = Int64(max(highest, known))
        return news == nil && recorded.isEmpty ? nil : (news, recorded)
    }

    /// Absolute amounts do not move with the limit: each is news once a period, whatever becomes of the limit.
    private func newlyReachedAmounts(_ budget: Budget, _ counter: inout Counter) -> [Amount] {
        guard let highest = budget.thresholdAmounts.last(where: { $0 <= counter.settled }), highest > counter.alertedAmount else {
            return []
        }
        let told = counter.alertedAmount
        counter.alertedAmount = highest
        return budget.thresholdAmounts.filter { $0 > told && $0 <= highest }
    }

    /// Whether the counter's period has ended.
    func isOver(_ id: CounterID, _ budget: Budget, at now: Instant) -> Bool {
        guard let end = budget.rule.span(containing: id.periodStart, in: configuration.zone).end else { return false }
        return end <= now
    }
}

extension Changes {
    /// Postings of one batch become known together: of one counter only the last alert tells, and what it replaces is superseded.
    fileprivate mutating func note(_ alert: Alert) {
        guard let index = alerts.lastIndex(where: { $0.counter == alert.counter && $0.budget.limitVersion == alert.budget.limitVersion })
        else { return alerts.append(alert) }
        let earlier = alerts[index]
        alerts[index] = Alert(
            budget: alert.budget, counter: alert.counter, span: alert.span, threshold: alert.threshold ?? earlier.threshold,
            superseded: earlier.superseded + (alert.threshold != nil ? [earlier.threshold].compactMap(\.self) : []) + alert.superseded,
            thresholdAmount: alert.thresholdAmount ?? earlier.thresholdAmount,
            supersededAmounts: earlier.supersededAmounts
                + (alert.thresholdAmount != nil ? [earlier.thresholdAmount].compactMap(\.self) : []) + alert.supersededAmounts,
            settled: alert.settled, at: alert.at)
    }
}
