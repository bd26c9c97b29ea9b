/// One charge as the FOCUS specification sees it (FinOps Open Cost and Usage Specification, 1.2 and 1.4): what a line of a statement
/// becomes before it is written in one version's columns.
import Budgets
import Store

struct FOCUSRow: Sendable {
    enum Category: String, Sendable {
        case usage = "Usage"
        case purchase = "Purchase"
        case tax = "Tax"
        case credit = "Credit"
        case adjustment = "Adjustment"
    }

    /// What a charge costs: on the invoice; to whoever used it; by the provider's list; and by contract. The same unless said otherwise.
    struct Costs: Sendable {
        var billed: Money
        var effective: Money
        var list: Money
        var contracted: Money

        init(_ cost: Money) { (billed, effective, list, contracted) = (cost, cost, cost, cost) }
    }

    /// The statement's line; nil for the rounding.
    let line: StatementLine?
    let category: Category
    let isCorrection: Bool
    let description: String
    /// The local day of the calls, as UTC instants.
    let period: StatementSpan
    private(set) var costs: Costs
    /// Nil for what has no price by the unit.
    private(set) var pricing: FOCUSPricing?
    private(set) var commitment: FOCUSCommitment?
    let provider: FOCUSProvider

    /// What the specification calls split cost allocation (recipe L): how much of a shared cost the receiver takes on.
    var allocation: (method: String, ratio: Amount)? {
        guard let line, line.split != nil, let ratio = line.splitRatio else { return nil }
        return (line.usageKind.uppercased().replacing("_", with: "-") + "-1", ratio)
    }

    /// Whether no provider billed it: what people booked, a shared cost, or the rounding.
    var isOwn: Bool { line == nil || line?.provider == BookingKind.ownProvider }

    /// Whether the charge follows what was used, or not used; what people book besides is charged once.
    var isUsageBased: Bool { category == .usage && (!isOwn || commitment != nil) }

    /// The rows of a line: one, but two of a commitment that nobody used.
    static func rows(of line: StatementLine, in head: StatementHead, day: StatementSpan) -> [FOCUSRow] {
        func row(_ category: Category, _ description: String) -> FOCUSRow { FOCUSRow(line, head, day, category, description) }
        if line.split != nil {
            return [row(.adjustment, "\(line.splitRatio == nil ? "Shared cost taken" : "Shared cost given"), \(line.feature)")]
        }
        guard line.provider == BookingKind.ownProvider else { return [called(line, row)] }
        let about = line.feature.isEmpty ? "" : ", \(line.feature)"
        switch ChargeKind(rawValue: line.model) ?? .adjustment {
        case .adjustment: return [row(.adjustment, "Adjustment" + about)]
        case .credit: return [row(.credit, "Credit" + about)]
        case .tax: return [row(.tax, "Tax" + about)]
        case .fee:
            // No purchase: that would cover charges to come, and cost nobody anything by itself.
            var fee = row(.usage, "Fee" + about)
            fee.pricing = .piece(costing: line.cost)
            return [fee]
        case .unusedCommitment:
            // What was bought and not used is bought here, and costs whoever has it for not being used (recipes C and E).
            var (bought, unused) = (row(.purchase, "Commitment" + about), row(.usage, "Unused commitment" + about))
            bought.costs.effective = .zero
            unused.costs.billed = .zero
            bought.pricing = .dollars(line.cost, isCommitted: false)
            unused.pricing = .dollars(line.cost, isCommitted: true)
            bought.commitment = FOCUSCommitment(name: line.feature, quantity: line.cost, isUnused: false)
            unused.commitment = FOCUSCommitment(name: line.feature, quantity: line.cost, isUnused: true)
            return [bought, unused]
        }
    }

    /// Usage that has a price (recipes A, B, J, K). Usage without a price cannot be a row of usage, which needs a unit price: it is an
    /// adjustment that says so, with its quantity in a column of ours (law 9).
    private static func called(_ line: StatementLine, _ row: (Category, String) -> FOCUSRow) -> FOCUSRow {
        let meter = FOCUSMeter(line.usageKind)
        guard let list = line.listPrice, let contracted = line.unitPrice else {
            return row(
                .adjustment,
                line.usageKind.isEmpty ? "Calls without usage, \(line.model)" : "\(meter.name) without a known price, \(line.model)")
        }
        var usage = row(.usage, "\(meter.name), \(line.model), \(line.serviceTier ?? "standard")")
        usage.costs.list = cost(of: line.quantity, at: list)
        usage.pricing = FOCUSPricing(line, meter, list: list, contracted: contracted)
        return usage
    }

    private init(_ line: StatementLine, _ head: StatementHead, _ day: StatementSpan, _ category: Category, _ description: String) {
        (self.line, self.category, self.description) = (line, category, description)
        isCorrection = line.consumedAt < head.span.start
        // What is shared is shared for the whole month.
        period = line.split == nil ? day : head.span
        costs = Costs(line.cost)
        provider = line.provider == BookingKind.ownProvider ? .bursar : FOCUSProvider(line.provider, model: line.model)
    }

    /// The one adjustment that rounds a statement to the cent (recipe H).
    init(rounding: Money, of head: StatementHead) {
        line = nil
        category = .adjustment
        isCorrection = false
        description = "Rounding"
        period = head.span
        costs = Costs(rounding)
        provider = .bursar
    }

    /// Dollars for whole units at a price per million: exact, as prices have at most six fractional digits.
    static func cost(of quantity: Amount, at price: Amount) -> Money {
        Money(pico: quantity.pico / 1_000_000 * price.pico / Amount.picoPerWhole)
    }
}
