/// A budget's event as people read it: the same words on every channel, taken from the immutable body and from nowhere else
/// (a delivery that looked up the present state would change what the event means).
public import Budgets
public import JSON

/// What the body of `budget.threshold_reached` and `budget.exceeded` says.
public struct BudgetNews: Sendable {
    public let event: String
    public let type: String
    public let occurredAt: Instant
    public let organization: String
    public let organizationName: String
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
    public let threshold: Int64
    public let periodStart: String
    public let resetsAt: Instant?
    public let amount: Amount
    public let settled: Amount
    /// Two fraction digits, rounded down.
    public let usedPercent: String
    public let severity: Severity
    public let superseded: [Int64]

    /// Reads a body; nil when it is no budget's event or lacks something.
    public init?(_ body: JSON) {
        guard let event = body["id"]?.string, let type = body["type"]?.string,
            let occurredAt = body["occurred_at"]?.string.flatMap({ Instant(rfc3339: $0) }),
            let organization = body["organization"]?["id"]?.string, let organizationName = body["organization"]?["name"]?.string,
            let budget = body["budget"], let budgetID = budget["id"]?.string, let budgetName = budget["name"]?.string,
            let scope = budget["scope"]?.object?.first(where: { ["organization", "team", "project"].contains($0.name) })?.name,
            let unit = budget["unit"]?.string.flatMap({ BudgetUnit(rawValue: $0) }), let period = budget["period"]?.string,
            let enforcement = budget["enforcement"]?.string, let threshold = body["threshold"]?.int64,
            let periodStart = body["period_start"]?.string, let amount = body["amount"]?.string.flatMap({ Amount($0) }),
            let settled = body["settled"]?.string.flatMap({ Amount($0) }), let usedPercent = body["used_percent"]?.string,
            let severity = body["severity"]?.string.flatMap({ Severity(rawValue: $0) })
        else { return nil }
        self.event = event
        self.type = type
        self.occurredAt = occurredAt
        self.organization = organization
        self.organizationName = organizationName
        zone = body["organization"]?["time_zone"]?.string.flatMap { Zone($0) } ?? .utc
        self.budget = budgetID
        self.budgetName = budgetName
        self.scope = scope
        scopeName = budget["scope"]?["name"]?.string ?? ""
        self.unit = unit
        self.period = period
        self.enforcement = enforcement
        subject = body["subject"]?.string
        self.threshold = threshold
        self.periodStart = periodStart
        resetsAt = body["resets_at"]?.string.flatMap { Instant(rfc3339: $0) }
        self.amount = amount
        self.settled = settled
        self.usedPercent = usedPercent
        self.severity = severity
        superseded = body["superseded"]?.array?.compactMap(\.int64) ?? []
    }
}

extension BudgetNews {
    public var isExceeded: Bool { threshold >= 100 }

    /// One line: `Budget 90% used: Search monthly`.
    public var title: String { isExceeded ? "Budget used up: \(plainBudgetName)" : "Budget \(threshold)% used: \(plainBudgetName)" }

    /// One sentence, for notifications and summaries.
    public var summary: String {
        let whom = subject.map { ", \(singleLine($0))" } ?? ""
        return "[\(threshold)%] \(whose)\(whom): \(used) of \(whole) used (\(plainBudgetName)). \(consequence)"
    }

    /// `organization Acme`, `team Search`.
    public var whose: String { scopeName.isEmpty ? scope : "\(scope) \(singleLine(scopeName))" }
    public var used: String { display(settled, unit: unit) }
    public var whole: String { display(amount, unit: unit) }
    /// In the organization's zone: `2026-12-01 00:00 Europe/Berlin`.
    public var resets: String { resetsAt.map { localText($0) } ?? "never" }

    /// What happens next.
    public var consequence: String {
        switch (enforcement, isExceeded) {
        case ("block", true): resetsAt == nil ? "Calls are refused." : "Calls are refused until \(resets)."
        case ("block", false): "Calls are refused at 100%."
        case ("warn", _): "Calls are not refused: this budget only warns."
        default: "Calls are not refused: this budget only watches."
        }
    }

    private var plainBudgetName: String { singleLine(budgetName) }

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
