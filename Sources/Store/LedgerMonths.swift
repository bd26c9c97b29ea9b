/// The ledger's partitions, a UTC month each (0007). An entry whose month has none is booked all the same, in the default partition.
public import Budgets
public import Postgres

public enum LedgerMonths {
    /// Usage is taken for 35 days, which reaches back into at most two earlier months.
    public static let monthsBefore: Int64 = 2
    /// How far ahead months are added: so long may every replica be down before an entry must wait in the default partition.
    public static let monthsAhead: Int64 = 3

    /// Adds one of the months that should be there; `offset` counts from the month of `now`, from `-monthsBefore` to `monthsAhead`.
    /// The answer is one row: whether it was missing. Safe to ask at any time, from any number of replicas.
    public static func add(_ offset: Int64, from now: Instant) -> Query {
        "SELECT add_ledger_month(date_trunc('month', \(now), 'UTC') + \(offset) * interval '1 month')"
    }
}
