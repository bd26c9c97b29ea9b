/// The columns that Bursar's FOCUS exports have, in their order, with what the specification asks of each: the one table behind writer,
/// checker and metadata. Columns of the specification come first, ours (`x_…`) last.
import Budgets
import JSON
import Store

/// Which edition of the specification.
enum FOCUSVersion: String, Sendable {
    case v12 = "1.2"
    case v14 = "1.4"
}

/// A cell before it is written.
enum FOCUSCell: Sendable {
    case null
    case text(String)
    case decimal(Amount)
    case integer(Int64)
    case time(Instant)
    case json([(String, String)])
    /// `{"Elements":[{"AllocatedRatio":0.05}]}`.
    case allocation(ratio: Amount)

    init(_ text: String?) { self = text.flatMap { $0.isEmpty ? nil : .text($0) } ?? .null }
}

struct FOCUSColumn: Sendable {
    enum Kind: String, Sendable {
        case text = "STRING"
        case decimal = "DECIMAL"
        case integer = "INTEGER"
        case time = "DATETIME"
        case json = "JSON"
    }

    let name: String
    let kind: Kind
    let isNullable: Bool
    /// What the cell may hold; empty: anything of its kind.
    let allowed: Set<String>
    /// Nil: every version has it.
    let only: FOCUSVersion?
    let cell: @Sendable (FOCUSRow, StatementHead) -> FOCUSCell

    init(
        _ name: String, _ kind: Kind = .text, null isNullable: Bool = false, allowed: Set<String> = [], only: FOCUSVersion? = nil,
        _ cell: @escaping @Sendable (FOCUSRow, StatementHead) -> FOCUSCell
    ) {
        (self.name, self.kind, self.isNullable, self.allowed, self.only, self.cell) = (name, kind, isNullable, allowed, only, cell)
    }

    static func all(of version: FOCUSVersion) -> [FOCUSColumn] { table.filter { $0.only == nil || $0.only == version } }

    /// Regions are none of ours.
    private static func absent(_ name: String, _ kind: Kind = .text) -> FOCUSColumn {
        FOCUSColumn(name, kind, null: true) { _, _ in .null }
    }

    private static func priced(_ name: String, _ kind: Kind = .text, _ cell: @escaping @Sendable (FOCUSPricing) -> FOCUSCell) -> FOCUSColumn
    {
        FOCUSColumn(name, kind, null: true) { row, _ in row.pricing.map(cell) ?? .null }
    }

    private static func committed(
        _ name: String, _ kind: Kind = .text, allowed: Set<String> = [], _ cell: @escaping @Sendable (FOCUSCommitment) -> FOCUSCell
    ) -> FOCUSColumn {
        FOCUSColumn(name, kind, null: true, allowed: allowed) { row, _ in row.commitment.map(cell) ?? .null }
    }

    /// What was bought or left unused of a commitment is about the commitment itself; everything else was used by an API key.
    private static func resource(
        _ name: String, _ used: @escaping @Sendable (StatementLine) -> String, _ promised: @escaping @Sendable (FOCUSCommitment) -> String
    ) -> FOCUSColumn {
        FOCUSColumn(name, null: true) { row, _ in
            FOCUSCell(row.commitment.flatMap { $0.part == .used ? nil : promised($0) } ?? row.line.map(used))
        }
    }

    private static func line(_ name: String, _ kind: Kind = .text, _ cell: @escaping @Sendable (StatementLine) -> FOCUSCell) -> FOCUSColumn
    {
        FOCUSColumn(name, kind, null: true) { row, _ in row.line.map(cell) ?? .null }
    }

    private static func tags(_ line: StatementLine) -> [(String, String)] {
        let tags = [
            ("cost_center", line.costCenter), ("environment", line.environment), ("feature", line.feature), ("team", line.teamName),
            ("tier", line.tierName),
        ]
        return tags.filter { !$0.1.isEmpty }
    }

    private static func allocated(
        _ name: String, _ kind: Kind = .text, _ cell: @escaping @Sendable (StatementLine, String, Amount) -> FOCUSCell
    ) -> FOCUSColumn {
        FOCUSColumn(name, kind, null: true, only: .v14) { row, _ in
            guard let line = row.line, let (method, ratio) = row.allocation else { return .null }
            return cell(line, method, ratio)
        }
    }

    private static let table = allocations + charges + commitments + prices + services + own

    private static let allocations: [FOCUSColumn] = [
        allocated(FOCUSColumn.methodDetails, .json) { _, _, ratio in .allocation(ratio: ratio) },
        allocated("AllocatedMethodId") { _, method, _ in .text(method) },
        allocated("AllocatedResourceId") { line, _, _ in .text(line.project.description) },
        allocated("AllocatedResourceName") { line, _, _ in FOCUSCell(line.projectName) },
        allocated("AllocatedTags", .json) { _, _, _ in .null },
    ]
    /// The one column that holds more than key-value pairs.
    static let methodDetails = "AllocatedMethodDetails"

    private static let charges: [FOCUSColumn] = [
        FOCUSColumn("BilledCost", .decimal) { row, _ in .decimal(row.costs.billed) },
        FOCUSColumn("BillingAccountId") { _, head in .text(head.organization.description) },
        FOCUSColumn("BillingAccountName", null: true) { _, head in FOCUSCell(head.organizationName) },
        FOCUSColumn("BillingAccountType") { _, _ in .text("Organization") },
        FOCUSColumn("BillingCurrency", allowed: ["USD"]) { _, _ in .text("USD") },
        FOCUSColumn("BillingPeriodEnd", .time) { _, head in .time(head.span.end) },
        FOCUSColumn("BillingPeriodStart", .time) { _, head in .time(head.span.start) },
        FOCUSColumn("ChargeCategory", allowed: ["Usage", "Purchase", "Tax", "Credit", "Adjustment"]) { row, _ in
            .text(row.category.rawValue)
        },
        FOCUSColumn("ChargeClass", null: true, allowed: ["Correction"]) { row, _ in row.isCorrection ? .text("Correction") : .null },
        FOCUSColumn("ChargeDescription") { row, _ in .text(row.description) },
        FOCUSColumn("ChargeFrequency", allowed: ["One-Time", "Recurring", "Usage-Based"]) { row, _ in
            .text(row.isUsageBased ? "Usage-Based" : "One-Time")
        },
        FOCUSColumn("ChargePeriodEnd", .time) { row, _ in .time(row.period.end) },
        FOCUSColumn("ChargePeriodStart", .time) { row, _ in .time(row.period.start) },
    ]

    private static let commitments: [FOCUSColumn] = [
        committed("CommitmentDiscountCategory", allowed: ["Spend", "Usage"]) { _ in .text("Spend") },
        committed("CommitmentDiscountId") { .text($0.id) },
        committed("CommitmentDiscountName") { .text($0.name) },
        committed("CommitmentDiscountQuantity", .decimal) { .decimal($0.quantity) },
        committed("CommitmentDiscountStatus", allowed: ["Used", "Unused"]) { $0.part == .bought ? .null : .text($0.part.rawValue) },
        committed("CommitmentDiscountType") { _ in .text("Committed Spend") },
        committed("CommitmentDiscountUnit") { _ in .text("USD") },
    ]

    private static let prices: [FOCUSColumn] = [
        priced("ConsumedQuantity", .decimal) { $0.consumed.map { .decimal($0.quantity) } ?? .null },
        priced("ConsumedUnit") { FOCUSCell($0.consumed?.unit) },
        FOCUSColumn("ContractedCost", .decimal) { row, _ in .decimal(row.costs.contracted) },
        priced("ContractedUnitPrice", .decimal) { .decimal($0.contracted) },
        FOCUSColumn("EffectiveCost", .decimal) { row, _ in .decimal(row.costs.effective) },
        FOCUSColumn("HostProviderName", only: .v14) { row, _ in .text(row.provider.name) },
        FOCUSColumn("InvoiceId") { _, head in .text(head.invoice) },
        // The one who provides: the validator takes another issuer for a payment by a third party.
        FOCUSColumn("InvoiceIssuerName") { row, _ in .text(row.provider.name) },
        FOCUSColumn("ListCost", .decimal) { row, _ in .decimal(row.costs.list) },
        priced("ListUnitPrice", .decimal) { .decimal($0.list) },
        priced("PricingCategory") { .text($0.category) },
        FOCUSColumn("PricingCurrency", allowed: ["USD"]) { _, _ in .text("USD") },
        priced("PricingCurrencyContractedUnitPrice", .decimal) { .decimal($0.contracted) },
        FOCUSColumn("PricingCurrencyEffectiveCost", .decimal) { row, _ in .decimal(row.costs.effective) },
        priced("PricingCurrencyListUnitPrice", .decimal) { .decimal($0.list) },
        priced("PricingQuantity", .decimal) { .decimal($0.quantity) },
        priced("PricingUnit") { .text($0.unit) },
    ]

    private static let services: [FOCUSColumn] = [
        FOCUSColumn("ProviderName", only: .v12) { row, _ in .text(row.provider.name) },
        FOCUSColumn("PublisherName", only: .v12) { row, _ in .text(row.provider.publisher) },
        absent("RegionId"), absent("RegionName"),
        resource("ResourceId", \.apiKey.description, \.id),
        resource("ResourceName", \.apiKeyName, \.name),
        resource("ResourceType", { _ in "API Key" }, { _ in "Commitment" }),
        FOCUSColumn("ServiceCategory", allowed: ["AI and Machine Learning", "Management and Governance"]) { row, _ in
            .text(row.isOwn ? "Management and Governance" : "AI and Machine Learning")
        },
        FOCUSColumn("ServiceName") { row, _ in .text(row.provider.service) },
        FOCUSColumn("ServiceProviderName", only: .v14) { row, _ in .text(row.provider.name) },
        FOCUSColumn("ServiceSubcategory", allowed: ["Generative AI", "Cost Management"]) { row, _ in
            .text(row.isOwn ? "Cost Management" : "Generative AI")
        },
        priced("SkuId") { .text($0.sku) },
        priced("SkuMeter") { .text($0.meter) },
        priced("SkuPriceDetails", .json) { $0.details.isEmpty ? .null : .json($0.details) },
        priced("SkuPriceId") { FOCUSCell($0.skuPrice) },
        line("SubAccountId") { .text($0.project.description) },
        line("SubAccountName") { FOCUSCell($0.projectName) },
        line("SubAccountType") { _ in .text("Project") },
        line("Tags", .json) { .json(tags($0)) },
    ]

    private static let own: [FOCUSColumn] = [
        line("x_CostCenter") { FOCUSCell($0.costCenter) },
        line("x_Environment") { FOCUSCell($0.environment) },
        line("x_Feature") { FOCUSCell($0.feature) },
        line("x_ModelId") { .text($0.model) },
        line("x_RequestCount", .integer) { .integer($0.calls) },
        line("x_SplitId") { FOCUSCell($0.split?.description) },
        line("x_StatementLine", .integer) { .integer($0.number) },
        line("x_TeamId") { .text($0.team.description) },
        line("x_TeamName") { FOCUSCell($0.teamName) },
        FOCUSColumn("x_UnpricedQuantity", .decimal, null: true) { row, _ in
            guard let line = row.line, row.category != .usage, line.quantity != .zero else { return .null }
            return .decimal(line.quantity)
        },
        line("x_UsageKind") { FOCUSCell($0.usageKind) },
    ]
}

extension StatementHead {
    /// The statement's number as an invoice's: given before the month closes, as invoices of the open period may be.
    var invoice: String { "CB-\(month)-\(edition)" }
}
