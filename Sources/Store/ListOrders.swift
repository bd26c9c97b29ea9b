/// What each list may be sorted by; the first is how it comes unless somebody asks for another.
import Budgets
import Postgres

extension OrganizationRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at"), .name { $0.name }] }
}

extension TeamRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at"), .name { $0.name }] }
}

extension ProjectRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at"), .name { $0.name }] }
}

extension UserRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at"), .name { $0.name }] }
}

extension APIKeyRecord {
    public static var orders: [ListOrder<Self>] {
        [.made("created_at"), ListOrder<Self>.name({ $0.name }, column: #"k.name COLLATE "und-x-icu""#)]
    }
}

extension ModelRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at"), .name { $0.name }] }
}

extension PriceRecord {
    public static var orders: [ListOrder<Self>] {
        [.made("created_at"), .amount("amount_per_million", { $0.amountPerMillion }, column: "amount_per_million")]
    }
}

extension TierRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at"), .name { $0.name }, .number("rank", { $0.rank }, column: "rank")] }
}

extension BudgetRecord {
    public static var orders: [ListOrder<Self>] {
        [.made("created_at"), .name { $0.name }, .amount("amount", { $0.amount }, column: "amount")]
    }
}

extension CostSplitRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at"), .name { $0.name }] }
}

extension CommitmentRecord {
    public static var orders: [ListOrder<Self>] {
        [.made("created_at"), .name { $0.name }, .amount("amount", { $0.amount }, column: "amount")]
    }
}

extension EndpointRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at"), .name { $0.settings.name }] }
}

extension UnmappedUsage {
    public static var orders: [ListOrder<Self>] {
        [
            .time("last_seen_at", { $0.lastSeenAt }, column: "last_seen_at"),
            .time("first_seen_at", { $0.firstSeenAt }, column: "first_seen_at"), .number("entries", { $0.entries }, column: "entries"),
        ]
    }
}

// What grows for ever is sorted by the order of its making alone, which a unique key has.

extension PriceProposal {
    public static var orders: [ListOrder<Self>] { [.made("proposed_at")] }
}

extension AccessRequestRecord {
    public static var orders: [ListOrder<Self>] { [.made("requested_at")] }
}

extension AccessGrantRecord {
    public static var orders: [ListOrder<Self>] { [.made("granted_at")] }
}

extension BurstRecord {
    public static var orders: [ListOrder<Self>] { [.made("requested_at")] }
}

extension ReallocationRecord {
    public static var orders: [ListOrder<Self>] { [.made("requested_at")] }
}

extension AdjustmentRecord {
    public static var orders: [ListOrder<Self>] { [.made("requested_at")] }
}

extension AlertRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at")] }
}

extension ExportRecord {
    public static var orders: [ListOrder<Self>] { [.made("created_at")] }
}

extension StatementRecord {
    public static var orders: [ListOrder<Self>] { [.made("month")] }
}

extension BudgetLimitRecord {
    public static var orders: [ListOrder<Self>] { [.made("limit_version")] }
}

extension AuditRecord {
    public static var orders: [ListOrder<Self>] { [.made("sequence")] }
}

extension DeliveryRecord {
    /// A delivery's own id says nothing of time.
    public static var orders: [ListOrder<Self>] { [.event({ $0.event }, column: "d.event_id")] }
}

extension BudgetPeriodRecord {
    public static var orders: [ListOrder<Self>] { [.time("period_start", { $0.periodStart }, column: "p.period_start")] }
}
