/// `/v1/reports/forecast`: what the month is going to cost, and which budgets will not last. Estimates from roll-ups alone.
import Budgets
import Chargeback
import Hummingbird
import JSON
import Store

extension API {
    /// Days of history that a forecast looks at: ten weeks, twice what smoothing a season needs.
    static let forecastHistory: Int64 = 70
    /// How far ahead exhaustion is looked for where a period never ends.
    static let forecastHorizon = 366

    @Sendable func reportForecast(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        try query.finish()
        guard let zone = try await store.zone(of: exchange.organization) else { throw Problem(.notFound) }
        let now = exchange.now
        let today = PeriodRule(.day).span(containing: now, in: zone)
        let month = PeriodRule(.month).span(containing: now, in: zone)
        // Roll-ups are of quarters of an hour; the one under way is part of what was spent.
        let until = Instant(seconds: now.seconds - now.seconds % 900 + 900)
        let budgets = try await store.budgetOutlook(of: exchange.organization, at: now)
        let past = days(before: today.start, in: zone)
        let starts = Set(budgets.map(\.span.start)).sorted()
        let spans =
            past + [StatementSpan(start: today.start, end: until), StatementSpan(start: month.start, end: until)]
            + starts.map { StatementSpan(start: max($0, Instant(seconds: 0)), end: until) }
        var costs = [Money](repeating: .zero, count: spans.count)
        for row in try await store.spend(of: exchange.organization, in: spans, by: []) ?? [] { costs[row.span] = row.cost }
        let history = costs.prefix(past.count).drop { $0 == .zero }.map(\.dollars)
        let horizon = calendar(from: today.start, count: API.forecastHorizon, in: zone)
        let outlook = Outlook(
            forecast: Forecast(history: history, days: horizon.count), spentToday: costs[past.count].dollars, days: horizon)
        let spent = Dictionary(uniqueKeysWithValues: zip(starts, costs.suffix(starts.count)))
        return .json { writer in
            writer.object { writer in
                writer.field("at", now)
                writer.field("time_zone", zone.identifier)
                writer.object("month") { writer in
                    writer.field("starts_at", month.start)
                    writer.field("ends_at", month.end)
                    writer.field("spent", costs[past.count + 1])
                    outlook.write(&writer, spent: costs[past.count + 1], until: month.end ?? .distantFuture)
                }
                writer.field("method", outlook.forecast?.method.rawValue)
                writer.field("history_days", Int64(history.count))
                writer.field("interval_percent", Int64(Forecast.coverage * 100))
                writer.field("backtest_error_percent", outlook.forecast?.error.map { Money(dollars: $0 * 100).plain })
                writer.array("budgets") { writer in
                    for budget in budgets { outlook.write(&writer, budget, organizationSpent: spent[budget.span.start] ?? .zero, at: now) }
                }
            }
        }
    }

    private func days(before start: Instant, in zone: Zone) -> [StatementSpan] {
        var days: [StatementSpan] = []
        var end = start
        for _ in 0..<API.forecastHistory {
            let day = PeriodRule(.day).span(containing: end.adding(seconds: -1), in: zone)
            days.append(StatementSpan(start: day.start, end: end))
            end = day.start
        }
        return days.reversed()
    }

    private func calendar(from start: Instant, count: Int, in zone: Zone) -> [Instant] {
        var days = [start]
        while days.count < count, let next = PeriodRule(.day).span(containing: days[days.count - 1], in: zone).end { days.append(next) }
        return days
    }
}

/// A forecast laid on the calendar.
private struct Outlook {
    /// Nil with less than a week of history: then nothing is said.
    let forecast: Forecast?
    let spentToday: Double
    /// When each forecast day begins; the first is today.
    let days: [Instant]

    /// What is still to come on each day: of today only what was not spent yet.
    private var toCome: [Double] {
        guard let forecast else { return [] }
        return forecast.days.enumerated().map { $0 == 0 ? max(0, $1 - spentToday) : $1 }
    }

    private func sum(until end: Instant) -> Double { zip(days, toCome).filter { $0.0 < end }.map(\.1).reduce(0, +) }

    func write(_ writer: inout JSONWriter, spent: Money, until end: Instant) {
        guard let forecast else {
            for name in ["expected", "lower", "upper"] as [StaticString] { writer.field(name, JSON.null) }
            return
        }
        let rest = sum(until: end)
        writer.field("expected", spent + Money(dollars: rest))
        writer.field("lower", spent + Money(dollars: rest * forecast.lowerFactor))
        writer.field("upper", spent + Money(dollars: rest * forecast.upperFactor))
    }

    /// A budget is taken to keep the share of the organization's spend that it has had in its period so far.
    func write(_ writer: inout JSONWriter, _ budget: BudgetOutlook, organizationSpent: Money, at now: Instant) {
        let end = budget.span.end ?? .distantFuture
        let share: Double? = organizationSpent > .zero && forecast != nil ? budget.settled.dollars / organizationSpent.dollars : nil
        var exhaustsOn: Instant? = budget.settled >= budget.amount ? now : nil
        if let share, exhaustsOn == nil {
            var left = (budget.amount - budget.settled).dollars
            for (day, amount) in zip(days, toCome) where day < end {
                left -= amount * share
                guard left > 0 else {
                    exhaustsOn = day
                    break
                }
            }
        }
        writer.object { writer in
            writer.field("id", budget.id)
            writer.field("name", budget.name)
            writer.field("amount", budget.amount)
            writer.field("settled", budget.settled)
            writer.field("held", budget.held)
            writer.field("period_start", budget.span.start)
            writer.field("resets_at", budget.span.end)
            writer.name("expected")
            if let share, budget.span.end != nil {
                writer.amount(budget.settled + Money(dollars: sum(until: end) * share), in: .usd)
            } else {
                writer.null()
            }
            writer.field("exhausts_on", exhaustsOn)
        }
    }
}

extension Amount {
    /// For estimates only.
    fileprivate var dollars: Double { Double(pico) / 1e12 }

    /// An estimate in whole cents.
    fileprivate init(dollars: Double) { self.init(pico: Int128((min(max(dollars, 0), 1e12) * 100).rounded()) * 10_000_000_000) }
}
