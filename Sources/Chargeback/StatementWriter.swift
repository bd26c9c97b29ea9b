/// What every form of a statement is made of: a head, its lines in their order, an end. Writers keep no lines, so memory stays constant.
public import Budgets
public import Store

/// Renders a statement. The bytes depend on what is handed over and on nothing else: no clock, no locale.
protocol StatementWriter: Sendable {
    /// Records written so far, without a header.
    var rows: Int64 { get }
    mutating func begin(_ head: StatementHead) -> [UInt8]
    mutating func lines(_ lines: [StatementLine]) throws -> [UInt8]
    /// - Parameter end: what the lines have summed to, and the commitments that they were told of.
    mutating func end(_ end: StatementEnd) throws -> [UInt8]
}

/// What a statement is of.
struct StatementHead: Sendable {
    let organization: OrganizationID
    let organizationName: String
    let month: StatementMonth
    let span: StatementSpan
    let zone: Zone
    let state: StatementState
    /// Of the closing, or of the one to come.
    let edition: Int64
    let accounts: JournalAccounts
}

/// What finance pays: the exact cost rounded to the cent, once a statement. The difference is a line of its own (law 5).
public struct Settlement: Hashable, Sendable {
    /// In whole cents.
    public let payable: Money
    /// What must be added to the exact cost: at most half a cent either way.
    public let rounding: Money

    private static let cent: Int128 = 10_000_000_000

    /// Rounds half a cent to the even one.
    public init(of cost: Money) {
        let (cents, rest) = cost.pico.quotientAndRemainder(dividingBy: Self.cent)
        let twice = rest.magnitude * 2
        let away = twice > Self.cent.magnitude || (twice == Self.cent.magnitude && cents % 2 != 0)
        payable = Money(pico: (cents + (away ? cost.pico.signum() : 0)) * Self.cent)
        rounding = payable - cost
    }
}

/// The forms a statement is exported in.
public enum StatementFormat: String, Sendable, CaseIterable {
    case csv
    case csvSummary = "csv-summary"
    case focus12 = "focus-1.2"
    case focus14 = "focus-1.4"
    case journal
    case json

    func writer() -> any StatementWriter {
        switch self {
        case .csv: StatementCSV()
        case .csvSummary: StatementSummaryCSV()
        case .focus12: FOCUSWriter(.v12)
        case .focus14: FOCUSWriter(.v14)
        case .journal: JournalWriter()
        case .json: StatementJSON()
        }
    }

    /// Nil for what is not of the FOCUS specification.
    var focus: FOCUSVersion? {
        switch self {
        case .focus12: .v12
        case .focus14: .v14
        case .csv, .csvSummary, .journal, .json: nil
        }
    }

    public var contentType: String { self == .json ? "application/json" : "text/csv; charset=utf-8; header=present" }

    /// Of a file with a month's statement, such as `bursar-2026-10.csv`.
    public func fileName(_ month: StatementMonth) -> String {
        switch self {
        case .csv: "bursar-\(month).csv"
        case .csvSummary: "bursar-\(month)-summary.csv"
        case .focus12, .focus14, .journal: "bursar-\(month)-\(rawValue).csv"
        case .json: "bursar-\(month).json"
        }
    }
}
