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

    /// Commitments and virtual currencies are none of ours, but the columns must be there for the rules about usage to apply.
    private static func absent(_ name: String, _ kind: Kind = .text) -> FOCUSColumn {
        FOCUSColumn(name, kind, null: true) { _, _ in .null }
    }

    private static func usage(_ name: String, _ kind: Kind = .text, _ cell: @escaping @Sendable (StatementLine) -> FOCUSCell) -> FOCUSColumn
    {
        FOCUSColumn(name, kind, null: true) { row, _ in
            guard row.category == .usage, let line = row.line else { return .null }
            return cell(line)
        }
    }

    private static func line(_ name: String, _ kind: Kind = .text, _ cell: @escaping @Sendable (StatementLine) -> FOCUSCell) -> FOCUSColumn
    {
        FOCUSColumn(name, kind, null: true) { row, _ in row.line.map(cell) ?? .null }
    }

    private static func details(_ line: StatementLine) -> [(String, String)] {
        [
            ("x_ContextFrom", String(line.contextFrom ?? 0)), ("x_ModelId", line.model), ("x_ServiceTier", line.serviceTier ?? "standard"),
            ("x_UsageKind", line.usageKind),
        ]
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
        FOCUSColumn("BilledCost", .decimal) { row, _ in .decimal(row.cost) },
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
            .text(row.category == .usage ? "Usage-Based" : "One-Time")
        },
        FOCUSColumn("ChargePeriodEnd", .time) { row, _ in .time(row.period.end) },
        FOCUSColumn("ChargePeriodStart", .time) { row, _ in .time(row.period.start) },
    ]

    private static let commitments: [FOCUSColumn] = [
        absent("CommitmentDiscountCategory"), absent("CommitmentDiscountId"), absent("CommitmentDiscountName"),
        absent("CommitmentDiscountQuantity", .decimal), absent("CommitmentDiscountStatus"), absent("CommitmentDiscountType"),
        absent("CommitmentDiscountUnit"),
    ]

    private static let prices: [FOCUSColumn] = [
        usage("ConsumedQuantity", .decimal) { .decimal($0.quantity) },
        usage("ConsumedUnit") { .text(FOCUSMeter($0.usageKind).unit) },
        FOCUSColumn("ContractedCost", .decimal) { row, _ in .decimal(row.cost) },
        usage("ContractedUnitPrice", .decimal) { .decimal($0.unitPrice ?? .zero) },
        FOCUSColumn("EffectiveCost", .decimal) { row, _ in .decimal(row.cost) },
        FOCUSColumn("HostProviderName", only: .v14) { row, _ in .text(row.provider.name) },
        FOCUSColumn("InvoiceId") { _, head in .text(head.invoice) },
        // The one who provides: the validator takes another issuer for a payment by a third party.
        FOCUSColumn("InvoiceIssuerName") { row, _ in .text(row.provider.name) },
        FOCUSColumn("ListCost", .decimal) { row, _ in .decimal(row.listCost) },
        usage("ListUnitPrice", .decimal) { .decimal($0.listPrice ?? .zero) },
        usage("PricingCategory") { _ in .text("Standard") },
        FOCUSColumn("PricingCurrency", allowed: ["USD"]) { _, _ in .text("USD") },
        usage("PricingCurrencyContractedUnitPrice", .decimal) { .decimal($0.unitPrice ?? .zero) },
        FOCUSColumn("PricingCurrencyEffectiveCost", .decimal) { row, _ in .decimal(row.cost) },
        usage("PricingCurrencyListUnitPrice", .decimal) { .decimal($0.listPrice ?? .zero) },
        usage("PricingQuantity", .decimal) { .decimal(Amount(pico: $0.quantity.pico / 1_000_000)) },
        usage("PricingUnit") { .text("1000000 \(FOCUSMeter($0.usageKind).unit)") },
    ]

    private static let services: [FOCUSColumn] = [
        FOCUSColumn("ProviderName", only: .v12) { row, _ in .text(row.provider.name) },
        FOCUSColumn("PublisherName", only: .v12) { row, _ in .text(row.provider.publisher) },
        absent("RegionId"), absent("RegionName"),
        line("ResourceId") { .text($0.apiKey.description) },
        line("ResourceName") { FOCUSCell($0.apiKeyName) },
        line("ResourceType") { _ in .text("API Key") },
        FOCUSColumn("ServiceCategory", allowed: ["AI and Machine Learning", "Management and Governance"]) { row, _ in
            .text(row.isOwn ? "Management and Governance" : "AI and Machine Learning")
        },
        FOCUSColumn("ServiceName") { row, _ in .text(row.provider.service) },
        FOCUSColumn("ServiceProviderName", only: .v14) { row, _ in .text(row.provider.name) },
        FOCUSColumn("ServiceSubcategory", allowed: ["Generative AI", "Cost Management"]) { row, _ in
            .text(row.isOwn ? "Cost Management" : "Generative AI")
        },
        usage("SkuId") { .text("\($0.provider)-\($0.model)-\($0.usageKind)") },
        usage("SkuMeter") { .text(FOCUSMeter($0.usageKind).name) },
        usage("SkuPriceDetails", .json) { .json(details($0)) },
        usage("SkuPriceId") { FOCUSCell($0.price?.description) },
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
