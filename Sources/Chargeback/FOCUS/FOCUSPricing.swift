/// What FOCUS wants to know of a price: how much of what was priced by which unit, and under which name the price can be looked up.
import Budgets
import Store

/// Quantity times price is the cost, to the last digit.
struct FOCUSPricing: Sendable {
    /// What was used, in units; nil where nothing was.
    let consumed: (quantity: Amount, unit: String)?
    let quantity: Amount
    let unit: String
    let list: Amount
    let contracted: Amount
    /// `Standard`, or `Committed` where a commitment stands for the payment.
    let category: String
    let sku: String
    let meter: String
    let skuPrice: String?
    let details: [(String, String)]

    /// Usage of a kind, by the million.
    init(_ line: StatementLine, _ meter: FOCUSMeter, list: Amount, contracted: Amount, isCommitted: Bool) {
        consumed = (line.quantity, meter.unit)
        quantity = Amount(pico: line.quantity.pico / 1_000_000)
        unit = "1000000 \(meter.unit)"
        (self.list, self.contracted) = (list, contracted)
        category = isCommitted ? "Committed" : "Standard"
        sku = "\(line.provider)-\(line.model)-\(line.usageKind)"
        self.meter = meter.name
        skuPrice = line.price?.description
        details = [
            ("x_ContextFrom", String(line.contextFrom ?? 0)), ("x_ModelId", line.model), ("x_ServiceTier", line.serviceTier ?? "standard"),
            ("x_UsageKind", line.usageKind),
        ]
    }

    private init(
        _ quantity: Amount, _ unit: String, isConsumed: Bool, at price: Amount, isCommitted: Bool, sku: String, meter: String,
        skuPrice: String
    ) {
        consumed = isConsumed ? (quantity, unit) : nil
        (self.quantity, self.unit) = (quantity, unit)
        (list, contracted) = (price, price)
        category = isCommitted ? "Committed" : "Standard"
        (self.sku, self.meter, self.skuPrice) = (sku, meter, skuPrice)
        details = []
    }

    /// A flat fee: one piece at that price; one given back where it is below zero.
    static func piece(costing cost: Money) -> FOCUSPricing {
        let isBack = cost < .zero
        let price = isBack ? -cost : cost
        return FOCUSPricing(
            Amount(whole: isBack ? -1 : 1), "Units", isConsumed: true, at: price, isCommitted: false, sku: "bursar-fee", meter: "Fees",
            skuPrice: "bursar-fee-\(price.plain)")
    }

    /// Money that was promised: dollars at a dollar each.
    static func dollars(_ amount: Money, isCommitted: Bool) -> FOCUSPricing {
        FOCUSPricing(
            amount, "USD", isConsumed: false, at: Amount(whole: 1), isCommitted: isCommitted, sku: "bursar-commitment",
            meter: "Commitments", skuPrice: "bursar-commitment-1")
    }
}

/// A commitment to spend, and what of it a row is about.
struct FOCUSCommitment: Sendable {
    enum Part: String, Sendable {
        case bought
        case used = "Used"
        case unused = "Unused"
    }

    let id: String
    let name: String
    /// Dollars.
    let quantity: Amount
    let part: Part

    /// One that is kept here.
    init(_ record: CommitmentRecord, _ quantity: Amount, _ part: Part) {
        (id, name, self.quantity, self.part) = (record.id.description, record.name, quantity, part)
    }

    /// One that is not: an adjustment names it.
    init(named name: String, _ quantity: Amount, _ part: Part) {
        (id, self.name, self.quantity, self.part) = ("commitment-\(name)", name, quantity, part)
    }
}
