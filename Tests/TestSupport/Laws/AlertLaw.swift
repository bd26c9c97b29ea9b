/// Law 7 of the reference model: what is recorded, and what people are told, when spend reaches thresholds.

struct AlertLaw: Sendable {
    /// Every threshold recorded, and whether people were told of it.
    private(set) var alerts: [AlertName: Bool] = [:]
    /// The limit version under which a counter was last looked at, and the highest percentage that people know of.
    private var watched: [Place: (version: Int, highest: Int)] = [:]
    /// The highest of the thresholds that are amounts that people know of.
    private var toldAmounts: [Place: Int] = [:]
    private var news: [Place: [AlertName]] = [:]

    /// What follows becomes known together: until this is said again, of a counter only the last news is told.
    mutating func beginBatch() { news = [:] }

    /// A call is judged by the limit under which it was admitted, unless that changes before its period is over.
    mutating func held(_ place: Place, _ rule: Setting.BudgetRule) {
        if (watched[place]?.highest ?? 0) == 0 { watched[place] = (rule.version, 0) }
    }

    /// Each percentage that spend has reached is recorded once for each limit version. People are told of the highest if it is above what
    /// they know. A changed limit does not make them forget what spend has not clearly fallen away from.
    mutating func spent(_ place: Place, _ rule: Setting.BudgetRule, from before: Int, to after: Int, isOver: Bool) {
        let isChanged = watched[place].map { $0.version != rule.version } ?? false
        // A period that was over before its limit changed is not judged by the new one.
        if isChanged, isOver { return }
        tellPercents(place, rule, before, after, isChanged: isChanged)
        // Amounts do not move with the limit: each is told once.
        let told = toldAmounts[place] ?? 0
        for amount in rule.thresholdAmounts.sorted() where amount > told && amount <= after {
            let isLast = !rule.thresholdAmounts.contains { $0 > amount && $0 <= after }
            record(AlertName(place: place, version: rule.version, amount: amount), isNews: isLast)
            toldAmounts[place] = amount
        }
    }

    /// A limit without percentages tells of none, and makes nobody forget any.
    private mutating func tellPercents(_ place: Place, _ rule: Setting.BudgetRule, _ before: Int, _ after: Int, isChanged: Bool) {
        guard !rule.thresholds.isEmpty else { return }
        func isReached(_ percent: Int, _ spent: Int) -> Bool {
            spent > 0 && (rule.amount > 0 ? spent * 100 >= percent * rule.amount : percent <= 100)
        }
        let last = watched[place]
        let marks = rule.thresholds.filter { isReached($0, after) }
        let highest = marks.max() ?? 0
        let stillKnown = rule.thresholds.filter { isReached($0 < 100 ? max(1, $0 - 5) : $0, before) }.max() ?? 0
        let known = isChanged ? min(last?.highest ?? 0, stillKnown) : last?.highest ?? 0
        if isChanged ? highest > 0 || (last?.highest ?? 0) > 0 : highest > known {
            for mark in marks where isChanged || mark > known {
                record(AlertName(place: place, version: rule.version, threshold: mark), isNews: mark == highest && highest > known)
            }
            watched[place] = (rule.version, max(highest, known))
        }
    }

    private mutating func record(_ name: AlertName, isNews: Bool) {
        alerts[name] = isNews
        guard isNews else { return }
        for earlier in news[name.place] ?? [] where (earlier.amount > 0) == (name.amount > 0) { alerts[earlier] = false }
        news[name.place, default: []].append(name)
    }
}
