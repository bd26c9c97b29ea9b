/// Holds FOCUS rows against the specification by their text, as a reader finds it: types, formats, nullability, allowed values, and the
/// equalities between numbers, which the official validator does not test.
import Budgets
import JSON
import Store

/// A row that breaks a rule: a fault of ours.
struct FOCUSViolation: Error, Hashable, CustomStringConvertible {
    /// 1 for the first row after the header; 0 for the file as a whole.
    let row: Int
    let rule: String
    var description: String { "FOCUS row \(row): \(rule)" }
}

/// Costs of one commitment's rows: effective but for what was bought, which is billed.
private struct CommitmentSums: Hashable, Sendable {
    var bought = Money.zero
    var used = Money.zero
    var unused = Money.zero
}

struct FOCUSChecker: Sendable {
    private let columns: [FOCUSColumn]
    private let places: [String: Int]
    private var rows = 0
    private var billed: [String: Money] = [:]
    private var commitments: [String: CommitmentSums] = [:]
    private var splits: [String: (cost: Money, ratio: Amount)] = [:]

    init(_ version: FOCUSVersion) {
        columns = FOCUSColumn.all(of: version)
        places = Dictionary(uniqueKeysWithValues: columns.enumerated().map { ($1.name, $0) })
    }

    /// - Parameter cells: one a column, in their order, unquoted.
    mutating func check(_ cells: [String]) throws(FOCUSViolation) {
        rows += 1
        guard cells.count == columns.count else { throw violation("\(cells.count) cells for \(columns.count) columns") }
        for (cell, column) in zip(cells, columns) {
            guard FOCUSChecker.fits(cell, column) else { throw violation("\(column.name) «\(cell)»") }
        }
        try checkNulls(cells)
        try checkPeriods(cells)
        try checkCosts(cells)
    }

    /// Equality 3: an invoice's rows sum to what is paid, to the cent. Equality 4: what was bought of a commitment is used or unused, once
    /// its term is over, and no more of it until then. Equality 5: what a split takes it gives, and its parts sum to 1.
    /// - Parameter months: of the commitments that are kept here; what is known of others stands in the rows alone.
    func finish(invoice: String, payable: Money, _ months: [CommitmentMonth] = []) throws(FOCUSViolation) {
        guard billed.allSatisfy({ $0.key == invoice }), billed[invoice] ?? .zero == payable else {
            throw FOCUSViolation(row: 0, rule: "BilledCost of \(invoice) sums to \(billed[invoice] ?? .zero), not to \(payable)")
        }
        var others = commitments
        for month in months {
            let sums = others.removeValue(forKey: month.record.id.description) ?? CommitmentSums()
            let expected = CommitmentSums(bought: month.isBought ? month.record.amount : .zero, used: month.drawn, unused: month.unused)
            let spoken = month.before + sums.used + sums.unused
            guard sums == expected, month.isLast ? spoken == month.record.amount : spoken <= month.record.amount, spoken >= .zero else {
                throw FOCUSViolation(row: 0, rule: "commitment \(month.record.id): \(sums) after \(month.before)")
            }
        }
        for (id, sums) in others where sums.used + sums.unused != sums.bought {
            throw FOCUSViolation(row: 0, rule: "commitment \(id): \(sums)")
        }
        for (id, sums) in splits where sums.cost != .zero || (places[FOCUSColumn.methodDetails] != nil && sums.ratio != Amount(whole: 1)) {
            throw FOCUSViolation(row: 0, rule: "split \(id): \(sums.cost) are left, parts sum to \(sums.ratio)")
        }
    }

    // MARK: a row

    private subscript(_ cells: [String], _ name: String) -> String { places[name].map { cells[$0] } ?? "" }

    private func violation(_ rule: String) -> FOCUSViolation { FOCUSViolation(row: rows, rule: rule) }

    private func amount(_ cells: [String], _ name: String) -> Amount? { Amount(self[cells, name]) }

    private func checkNulls(_ cells: [String]) throws(FOCUSViolation) {
        let (category, isCorrection) = (self[cells, "ChargeCategory"], self[cells, "ChargeClass"] == "Correction")
        func require(_ names: [String], _ isPresent: Bool) throws(FOCUSViolation) {
            for name in names where self[cells, name].isEmpty == isPresent {
                throw violation("\(name) must\(isPresent ? " not" : "") be null with \(category)")
            }
        }
        let priced = ["ListUnitPrice", "ContractedUnitPrice", "PricingCategory", "PricingQuantity", "SkuId", "SkuPriceId"]
        if ["Usage", "Purchase"].contains(category), !isCorrection { try require(priced, true) }
        if category == "Tax" { try require(priced, false) }
        if category != "Usage" || self[cells, "CommitmentDiscountStatus"] == "Unused" {
            try require(["ConsumedQuantity"], false)
        } else if !isCorrection {
            try require(["ConsumedQuantity"], true)
        }
        for (quantity, unit) in [
            ("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit"), ("SkuId", "SkuMeter"), ("ResourceId", "ResourceType"),
            ("SubAccountId", "SubAccountType"), ("CommitmentDiscountId", "CommitmentDiscountType"),
            ("AllocatedMethodId", FOCUSColumn.methodDetails),
        ] where self[cells, quantity].isEmpty != self[cells, unit].isEmpty {
            throw violation("\(quantity) and \(unit) must be null together")
        }
        if category == "Purchase", self[cells, "ChargeFrequency"] == "Usage-Based" { throw violation("a purchase is not usage-based") }
        let isCommitted = category == "Usage" && !self[cells, "CommitmentDiscountId"].isEmpty
        guard isCommitted == !self[cells, "CommitmentDiscountStatus"].isEmpty,
            isCommitted == (self[cells, "PricingCategory"] == "Committed")
        else { throw violation("a commitment's usage has a status and the category Committed, and nothing else has") }
    }

    private func checkPeriods(_ cells: [String]) throws(FOCUSViolation) {
        let (start, end) = (self[cells, "ChargePeriodStart"], self[cells, "ChargePeriodEnd"])
        let (from, to) = (self[cells, "BillingPeriodStart"], self[cells, "BillingPeriodEnd"])
        guard start < end, from < to else { throw violation("a period that ends before it begins") }
        // What is bought in advance is bought for a time to come.
        guard self[cells, "ChargeCategory"] != "Purchase" || self[cells, "CommitmentDiscountId"].isEmpty else { return }
        // Times of one form are in the order of their texts.
        let isCorrection = self[cells, "ChargeClass"] == "Correction"
        guard isCorrection ? end <= from : start >= from && end <= to else {
            throw violation("ChargePeriod \(start) does not fit \(isCorrection ? "a correction" : "the billing period")")
        }
    }

    /// Equalities 1 and 2.
    private mutating func checkCosts(_ cells: [String]) throws(FOCUSViolation) {
        guard let cost = amount(cells, "BilledCost"), let list = amount(cells, "ListCost"),
            let contracted = amount(cells, "ContractedCost"),
            let effective = amount(cells, "EffectiveCost")
        else { throw violation("a cost that is none") }
        if self[cells, "ChargeClass"].isEmpty, let quantity = amount(cells, "PricingQuantity") {
            for (name, found) in [("ListUnitPrice", list), ("ContractedUnitPrice", contracted)] {
                guard let price = amount(cells, name) else { continue }
                guard price >= .zero,
                    price.pico.multipliedFullWidth(by: quantity.pico) == found.pico.multipliedFullWidth(by: Amount.picoPerWhole)
                else { throw violation("\(found) is not \(name) \(price) × \(quantity)") }
            }
        }
        if ["Tax", "Credit", "Adjustment"].contains(self[cells, "ChargeCategory"]), self[cells, "ListUnitPrice"].isEmpty {
            guard [list, contracted, effective].allSatisfy({ $0 == cost }) else { throw violation("four costs that are not the same") }
        }
        billed[self[cells, "InvoiceId"], default: .zero] += cost
        let split = self[cells, "x_SplitId"]
        if !split.isEmpty {
            splits[split, default: (.zero, .zero)].cost += cost
            splits[split, default: (.zero, .zero)].ratio += Self.ratio(self[cells, FOCUSColumn.methodDetails]) ?? .zero
        }
        try checkCommitment(cells, billed: cost, effective: effective)
    }

    /// Dollars of a commitment are billed when they are bought, and a cost when they are used or go unused; as many as its quantity says.
    private mutating func checkCommitment(_ cells: [String], billed: Money, effective: Money) throws(FOCUSViolation) {
        let commitment = self[cells, "CommitmentDiscountId"]
        guard !commitment.isEmpty else { return }
        let isBought = self[cells, "ChargeCategory"] == "Purchase"
        let (dollars, none) = isBought ? (billed, effective) : (effective, billed)
        guard none == .zero, amount(cells, "CommitmentDiscountQuantity") == dollars else {
            throw violation("\(dollars) dollars of \(commitment), and \(none) besides")
        }
        if isBought {
            commitments[commitment, default: CommitmentSums()].bought += dollars
        } else if self[cells, "CommitmentDiscountStatus"] == "Used" {
            commitments[commitment, default: CommitmentSums()].used += dollars
        } else {
            commitments[commitment, default: CommitmentSums()].unused += dollars
        }
    }

    // MARK: a cell

    private static func fits(_ cell: String, _ column: FOCUSColumn) -> Bool {
        guard !cell.isEmpty else { return column.isNullable }
        guard column.allowed.isEmpty || column.allowed.contains(cell) else { return false }
        switch column.kind {
        case .text: return !column.name.hasSuffix("Unit") || isUnit(cell)
        // The point is ours: readers infer types from what they find.
        case .decimal: return Amount(cell) != nil && cell.utf8.contains(UInt8(ascii: "."))
        case .integer: return Int64(cell).map { String($0) } == cell
        case .time: return cell.utf8.count == 20 && cell.hasSuffix("Z") && Instant(rfc3339: cell) != nil
        case .json: return column.name == FOCUSColumn.methodDetails ? ratio(cell) != nil : isKeyValue(cell)
        }
    }

    /// `Tokens`, or a whole number of them: `1000000 Tokens`.
    private static func isUnit(_ text: String) -> Bool {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard let noun = parts.last, parts.count <= 2, noun.first?.isUppercase == true, noun.allSatisfy(\.isLetter) else { return false }
        return parts.count == 1 || (parts[0].first != "0" && parts[0].allSatisfy { $0.isASCII && $0.isNumber })
    }

    /// The part in `{"Elements":[{"AllocatedRatio":0.05}]}`.
    private static func ratio(_ text: String) -> Amount? {
        guard let elements = (try? JSON.parse(Array(text.utf8)))?["Elements"]?.array, elements.count == 1 else { return nil }
        return elements[0]["AllocatedRatio"]?.numberText.flatMap { Amount($0) }
    }

    /// One object without objects or arrays in it.
    private static func isKeyValue(_ text: String) -> Bool {
        guard let members = (try? JSON.parse(Array(text.utf8)))?.object else { return false }
        return members.allSatisfy { $0.value.object == nil && $0.value.array == nil }
    }
}
