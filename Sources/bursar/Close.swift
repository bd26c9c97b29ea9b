/// `bursar close`: a month proposed and closed straight in the database, or looked over without changing anything.
import ArgumentParser
import Budgets
import Postgres
import Store

struct Close: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Close a month: nothing is booked on it any more, and its statement stays as it is.",
        discussion: """
            Prints the checklist and two control totals, one of the statement's lines and one of the ledger itself. With --dry-run that \
            is all. Otherwise the month is proposed, closed and frozen; points of the checklist that are to stay as they are must be named \
            with --accept. What breaks off is taken up again by the same command, or by any running server.
            """)

    @Option(
        name: .long, help: ArgumentHelp("The month, by the organization's own calendar.", valueName: "YYYY-MM"),
        transform: { try Export.read($0) { StatementMonth($0) } })
    var month: StatementMonth

    @Option(
        name: .long, help: ArgumentHelp("The organization, if there are several.", valueName: "org_…"),
        transform: { try Export.read($0) { OrganizationID($0) } })
    var organization: OrganizationID?

    @Flag(name: .long, help: "Change nothing.") var dryRun = false

    @Option(
        name: .long, help: ArgumentHelp("A point of the checklist that may stay as it is.", valueName: "point"),
        transform: { try Export.read($0) { StatementPoint.Name(rawValue: $0) } })
    var accept: [StatementPoint.Name] = []

    @OptionGroup(title: "Database") var database: DatabaseOptions

    /// So long may one statement about the month take.
    private static let statementTimeout: Duration = .seconds(1800)
    /// Whoever closes from the command line needs no credential but the database's.
    private static let actor = "bursar"

    func run() async throws {
        let logger = commandLogger()
        try await database.withDatabase(logger: logger) { configuration in
            var patient = configuration
            patient.statementTimeout = Self.statementTimeout
            let pool = PostgresPool(patient, size: 1, logger: logger)
            let result: Result<Void, any Error>
            do { result = .success(try await close(Store(pool: pool))) } catch { result = .failure(error) }
            await pool.shutdown()
            try result.get()
        }
    }

    private func close(_ store: Store) async throws {
        let organization = try await store.only(organization)
        let state = try await store.statement(of: month, in: organization)?.state ?? .open
        if state == .open || state == .proposed {
            let checklist = try await store.checklist(of: month, in: organization, at: .now())
            Terminal.say("lines   \(checklist.total.cost) USD in \(checklist.total.requests) calls")
            Terminal.say("ledger  \(checklist.control.cost) USD in \(checklist.control.requests) calls")
            for point in checklist.points {
                let money = point.amount.map { ", \($0) USD" } ?? ""
                Terminal.say("\(point.name.rawValue): \(point.count.plain)\(money)\(point.name.isAcceptable ? "" : " (must be seen to)")")
            }
            if dryRun { return }
            let hindrances = checklist.hindrances(accepting: Set(accept)).map(\.name.rawValue)
            guard hindrances.isEmpty else { throw CommandError("in the way: \(hindrances.joined(separator: ", "))") }
            _ = try await store.propose(month, of: organization, by: Self.actor, at: .now())
            _ = try await store.close(month, of: organization, accepting: Set(accept), by: Self.actor, at: .now())
        }
        if dryRun { return Terminal.say("\(month) is \(state.rawValue)") }
        _ = try await store.pool.withConnection { [month] connection in
            try ClosingMonths.finish(month, of: organization, at: .now(), on: connection)
        }
        // Nil here means that a running server was faster, or is at it.
        let record = try await store.statement(of: month, in: organization)
        Terminal.say(
            "\(month) is \(record?.state.rawValue ?? "open")" + (record?.number.map { ", statement \($0)" } ?? "")
                + (record?.contentHash.map { ", SHA-256 \($0)" } ?? ""))
    }
}
