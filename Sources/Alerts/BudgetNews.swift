/// What the bodies of `budget.threshold_reached`, `budget.exceeded` and `budget.recovered` say, in words.
public import Budgets
public import JSON
import Store

public struct BudgetNews: Sendable {
    public let type: String
    public let organization: String
    public let zone: Zone
    public let budget: String
    public let budgetName: String
    /// `organization`, `team` or `project`.
    public let scope: String
    public let scopeName: String
    public let unit: BudgetUnit
    public let period: String
    public let enforcement: String
    public let subject: String?
    /// The percentage reached; nil where it is an amount, and in a recovery.
    public let threshold: Int64?
    public let thresholdAmount: Amount?
    public let periodStart: String
    public let occurredAt: Instant
    public let resetsAt: Instant?
    public let amount: Amount
    public let settled: Amount
    /// Two fraction digits, rounded down.
    public let usedPercent: String
    public let projected: Amount?
    public let exhaustsAt: Instant?
    /// Lower thresholds that were passed at the same time, as words.
    public let superseded: [String]
    /// In a recovery: `new_period`, `limit_raised`, `burst_active` or `budget_archived`.
    public let reason: String?
    /// In a recovery: which incidents end, of `warn` and `block`.
    public let levels: [String]

    /// Reads a body; nil when it is no budget's event or lacks something.
    public init?(_ body: JSON) {
        guard let type = body["type"]?.string, let organization = body["organization"]?["id"]?.string,
            let budget = body["budget"], let budgetID = budget["id"]?.string, let budgetName = budget["name"]?.string,
            let scope = budget["scope"]?.object?.first(where: { ["organization", "team", "project"].contains($0.name) })?.name,
            let unit = budget["unit"]?.string.flatMap({ BudgetUnit(rawValue: $0) }), let period = budget["period"]?.string,
            let enforcement = budget["enforcement"]?.string, let periodStart = body["period_start"]?.string,
            let occurredAt = body["occurred_at"]?.string.flatMap({ Instant(rfc3339: $0) }),
            let amount = body["amount"]?.string.flatMap({ Amount($0) }), let settled = body["settled"]?.string.flatMap({ Amount($0) }),
            let usedPercent = body["used_percent"]?.string
        else { return nil }
        self.type = type
        self.organization = organization
        zone = body["organization"]?["time_zone"]?.string.flatMap { Zone($0) } ?? .utc
        self.budget = budgetID
        self.budgetName = singleLine(budgetName)
        self.scope = scope
        scopeName = singleLine(budget["scope"]?["name"]?.string ?? "")
        self.unit = unit
        self.period = period
        self.enforcement = enforcement
        subject = body["subject"]?.string.map(singleLine)
        threshold = body["threshold"]?.int64
        thresholdAmount = body["threshold_amount"]?.string.flatMap { Amount($0) }
        self.periodStart = periodStart
        self.occurredAt = occurredAt
        resetsAt = body["resets_at"]?.string.flatMap { Instant(rfc3339: $0) }
        self.amount = amount
        self.settled = settled
        self.usedPercent = usedPercent
        projected = body["projected"]?.string.flatMap { Amount($0) }
        exhaustsAt = body["exhausts_at"]?.string.flatMap { Instant(rfc3339: $0) }
        superseded =
            (body["superseded"]?.array?.compactMap(\.int64) ?? []).map { "\($0)%" }
            + (body["superseded_amounts"]?.array ?? []).compactMap { $0.string.flatMap { Amount($0) } }.map { display($0, unit: unit) }
        reason = body["reason"]?.string
        levels = body["levels"]?.array?.compactMap(\.string) ?? []
        guard threshold != nil || thresholdAmount != nil || reason != nil else { return nil }
    }
}

extension BudgetNews {
    public var isExceeded: Bool { threshold.map { $0 >= 100 } ?? false }

    public var title: String {
        if reason != nil { return "Budget recovered: \(budgetName)" }
        if isExceeded { return "Budget used up: \(budgetName)" }
        return "Budget \(mark) used: \(budgetName)"
    }

    public var summary: String {
        let whom = subject.map { ", \($0)" } ?? ""
        let head = reason == nil ? "[\(mark)]" : "[recovered]"
        return "\(head) \(whose)\(whom): \(used) of \(whole) used (\(budgetName)). \(consequence)"
    }

    var facts: [(label: String, value: String)] {
        var facts = [("Used", "\(used) of \(whole) (\(usedPercent)%)"), ("Resets", resets)]
        if let projected, reason == nil {
            let when = exhaustsAt.map { ", used up \(localText($0))" } ?? ""
            facts.append(("Projected", display(projected, unit: unit) + when))
        }
        facts += [("Scope", whose), ("Period", period)]
        if let subject { facts.append(("Subject", subject)) }
        return facts
    }

    /// `Top project: Ranker, $3,012.10 (66%)`, of what was used.
    func fact(_ spender: TopSpender) -> (label: String, value: String) {
        let label = "Top \(spender.dimension == .apiKey ? "API key" : spender.dimension.rawValue)"
        let cost = Amount(pico: spender.cost.pico)
        guard settled >= cost, settled > .zero else { return (label, singleLine(spender.name)) }
        let share = Budgets.usedPercent(settled: cost, amount: settled).prefix { $0 != "." }
        return (label, "\(singleLine(spender.name)), \(display(cost, unit: unit)) (\(share)%)")
    }

    /// What was reached: `90%`, or an amount.
    private var mark: String { threshold.map { "\($0)%" } ?? thresholdAmount.map { display($0, unit: unit) } ?? "" }

    /// `organization Acme`, `team Search`.
    public var whose: String { scopeName.isEmpty ? scope : "\(scope) \(scopeName)" }
    public var used: String { display(settled, unit: unit) }
    public var whole: String { display(amount, unit: unit) }
    /// In the organization's zone: `2026-12-01 00:00 Europe/Berlin`.
    public var resets: String { resetsAt.map { localText($0) } ?? "never" }

    /// What happens next.
    public var consequence: String {
        switch reason {
        case "new_period": return "A new period has begun."
        case "limit_raised": return "The limit was raised. Calls are admitted."
        case "burst_active": return "A burst gives room. Calls are admitted."
        case .some: return "The budget was put away."
        case nil: break
        }
        switch (enforcement, isExceeded) {
        case ("block", true): return resetsAt == nil ? "Calls are refused." : "Calls are refused until \(resets)."
        case ("block", false): return "Calls are refused at 100%."
        case ("warn", _): return "Calls are not refused: this budget only warns."
        default: return "Calls are not refused: this budget only watches."
        }
    }

    private func localText(_ instant: Instant) -> String {
        let local = instant.adding(seconds: zone.offsetSeconds(at: instant)).rfc3339
        return "\(local.prefix(10)) \(local.dropFirst(11).prefix(5)) \(zone.identifier)"
    }
}

/// An amount for people: grouped by thousands and cut, never rounded up, so that a budget does not look fuller than it is. Small
/// sums of money keep what makes them different.
func display(_ amount: Amount, unit: BudgetUnit) -> String {
    let text = amount.plain
    let parts = text.split(separator: ".", maxSplits: 1)
    let isNegative = parts[0].hasPrefix("-")
    var grouped = ""
    for (index, digit) in parts[0].drop(while: { $0 == "-" }).reversed().enumerated() {
        if index > 0, index.isMultiple(of: 3) { grouped.append(",") }
        grouped.append(digit)
    }
    let whole = (isNegative ? "-" : "") + String(grouped.reversed())
    let fraction = parts.count > 1 ? String(parts[1]) : ""
    switch unit {
    case .usd:
        let digits = parts[0] == "0" || parts[0] == "-0" ? 6 : 2
        let shown = fraction.prefix(digits)
        return "$\(whole).\(shown)\(String(repeating: "0", count: max(0, 2 - shown.count)))"
    case .tokens: return "\(whole) tokens"
    case .requests: return "\(whole) requests"
    }
}

/// Names come from tenants: line breaks and other controls would let one imitate the lines around it.
func singleLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory.isPrintable ? $0 : " " }))
}

extension Unicode.GeneralCategory {
    /// Controls, line and paragraph separators, and the invisible formats that reverse the direction of text are not.
    fileprivate var isPrintable: Bool {
        switch self {
        case .control, .lineSeparator, .paragraphSeparator, .format, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}

extension String {
    /// At most so many UTF-16 units, the widest way a receiver may count, without cutting a character; an ellipsis marks the cut.
    func shortened(to limit: Int) -> String {
        guard utf16.count > limit else { return self }
        var kept = ""
        var count = 1
        for character in self {
            count += character.utf16.count
            guard count <= limit else { break }
            kept.append(character)
        }
        return kept + "…"
    }
}
