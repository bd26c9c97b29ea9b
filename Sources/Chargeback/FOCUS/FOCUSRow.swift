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

    /// The statement's line, or the part of it that the row is about; nil for what is no line: the rounding, what was bought in advance,
    /// and what was left of that.
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
    var isOwn: Bool { provider.name == FOCUSProvider.bursar.name }

    /// Whether the charge follows what was used, or not used; what people book besides is charged once.
    var isUsageBased: Bool { category == .usage && (!isOwn || commitment != nil) }

    /// The rows of a line: one, unless commitments have to do with it.
    static func rows(of line: StatementLine, in head: StatementHead, day: StatementSpan) -> [FOCUSRow] {
        func row(_ category: Category, _ description: String) -> FOCUSRow { FOCUSRow(line, head, day, category, description) }
        if line.split != nil {
            return [row(.adjustment, "\(line.splitRatio == nil ? "Shared cost taken" : "Shared cost given"), \(line.feature)")]
        }
        guard line.provider == BookingKind.ownProvider else { return called(line, head, day) }
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
            if let record = line.commitments.unused { return charged(line, record, head, day) }
            // What was bought and not used is bought here, and costs whoever has it for not being used (recipes C and E).
            var (bought, unused) = (row(.purchase, "Commitment" + about), row(.usage, "Unused commitment" + about))
            bought.commit(FOCUSCommitment(named: line.feature, line.cost, .bought))
            unused.commit(FOCUSCommitment(named: line.feature, line.cost, .unused))
            return [bought, unused]
        }
    }

    /// Usage: what commitments pay of it (recipe D), and what they do not. Quantities are split, because a discount is of a whole row (F).
    private static func called(_ line: StatementLine, _ head: StatementHead, _ day: StatementSpan) -> [FOCUSRow] {
        var rows: [FOCUSRow] = []
        var rest = line
        for (record, draw) in line.commitments.draws {
            var row = priced(rest.part(units: draw.units, cost: draw.amount, hasCalls: rows.isEmpty), head, day, isCommitted: true)
            row.commitment = FOCUSCommitment(record, draw.amount, .used)
            row.costs.billed = .zero
            rows.append(row)
            rest = rest.without(units: draw.units, cost: draw.amount, hasCalls: false)
        }
        return rows.isEmpty || rest.quantity != .zero ? rows + [priced(rest, head, day, isCommitted: false)] : rows
    }

    /// Usage that has a price (recipes A, B, J, K). Usage without a price cannot be a row of usage, which needs a unit price: it is an
    /// adjustment that says so, with its quantity in a column of ours (law 9).
    private static func priced(
        _ line: StatementLine, _ head: StatementHead, _ day: StatementSpan, isCommitted: Bool
    ) -> FOCUSRow {
        let meter = FOCUSMeter(line.usageKind)
        guard let list = line.listPrice, let contracted = line.unitPrice else {
            let kind = line.usageKind.isEmpty ? "Calls without usage" : "\(meter.name) without a known price"
            return FOCUSRow(line, head, day, .adjustment, "\(kind), \(line.model)")
        }
        var usage = FOCUSRow(line, head, day, .usage, "\(meter.name), \(line.model), \(line.serviceTier ?? "standard")")
        usage.costs.list = cost(of: line.quantity, at: list)
        usage.pricing = FOCUSPricing(line, meter, list: list, contracted: contracted, isCommitted: isCommitted)
        return usage
    }

    /// Of what nobody used, the part that a project is charged with: taken from the organization, which has all of it (recipe E).
    private static func charged(
        _ line: StatementLine, _ record: CommitmentRecord, _ head: StatementHead, _ day: StatementSpan
    ) -> [FOCUSRow] {
        let provider = FOCUSProvider(record.provider, model: "")
        var charged = FOCUSRow(line, head, day, .usage, "Unused commitment charged, \(record.name)", provider)
        charged.commit(FOCUSCommitment(record, line.cost, .unused))
        var taken = FOCUSRow(
            provider, .usage, "Unused commitment charged to a project, \(record.name)", charged.period, -line.cost,
            isCorrection: charged.isCorrection)
        taken.commit(FOCUSCommitment(record, -line.cost, .unused))
        return [charged, taken]
    }

    /// The rows of a commitment that are no line's: what was bought (recipe C), and what of it nobody has used (E).
    static func rows(of month: CommitmentMonth, in head: StatementHead) -> [FOCUSRow] {
        let (record, term) = (month.record, month.drawdown.commitment)
        let provider = FOCUSProvider(record.provider, model: "")
        var rows: [FOCUSRow] = []
        if month.isBought {
            let about = record.invoice.map { ", invoice \($0)" } ?? ""
            let span = StatementSpan(start: term.start, end: term.end)
            var bought = FOCUSRow(provider, .purchase, "Commitment, \(record.name)\(about)", span, record.amount)
            bought.commit(FOCUSCommitment(record, record.amount, .bought))
            rows.append(bought)
        }
        if month.unused != .zero {
            let span = StatementSpan(start: max(term.start, head.span.start), end: term.end)
            var unused = FOCUSRow(provider, .usage, "Unused commitment, \(record.name)", span, month.unused)
            unused.commit(FOCUSCommitment(record, month.unused, .unused))
            rows.append(unused)
        }
        return rows
    }

    /// Dollars of a commitment: billed when they are bought, and a cost when they are not used.
    private mutating func commit(_ commitment: FOCUSCommitment) {
        if commitment.part == .bought { costs.effective = .zero } else { costs.billed = .zero }
        pricing = .dollars(commitment.quantity, isCommitted: commitment.part != .bought)
        self.commitment = commitment
    }

    private init(
        _ line: StatementLine, _ head: StatementHead, _ day: StatementSpan, _ category: Category, _ description: String,
        _ provider: FOCUSProvider? = nil
    ) {
        (self.line, self.category, self.description) = (line, category, description)
        isCorrection = line.consumedAt < head.span.start
        // What is shared is shared for the whole month.
        period = line.split == nil ? day : head.span
        costs = Costs(line.cost)
        let own = line.provider == BookingKind.ownProvider ? .bursar : FOCUSProvider(line.provider, model: line.model)
        self.provider = provider ?? own
    }

    /// What is no line's.
    private init(
        _ provider: FOCUSProvider, _ category: Category, _ description: String, _ period: StatementSpan, _ cost: Money,
        isCorrection: Bool = false
    ) {
        line = nil
        (self.provider, self.category, self.description, self.period, self.isCorrection) = (
            provider, category, description, period, isCorrection
        )
        costs = Costs(cost)
    }

    /// The one adjustment that rounds a statement to the cent (recipe H).
    init(rounding: Money, of head: StatementHead) { self.init(.bursar, .adjustment, "Rounding", head.span, rounding) }

    /// Dollars for whole units at a price per million: exact, as prices have at most six fractional digits.
    static func cost(of quantity: Amount, at price: Amount) -> Money {
        Money(pico: quantity.pico / 1_000_000 * price.pico / Amount.picoPerWhole)
    }
}
