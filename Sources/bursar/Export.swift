/// `bursar export`: a month's chargeback as a file, straight from the database.
import ArgumentParser
import Budgets
import Chargeback
import Foundation
import Glibc
import JSON
import Postgres
import Store

struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a month's chargeback as a file.",
        discussion: """
            csv has one record a cost centre, team, project, model, feature and environment, by the names they had when the calls were \
            made, csv-summary one a cost centre and team; then the total, its rounding to the cent, and what is to be paid. focus-1.2 and \
            focus-1.4 are for FinOps tools, journal for the general ledger, json has everything. Memory stays constant however long \
            the month is. A closed month gives the same bytes for ever. With --output, FILE.manifest.json says rows, hash and totals.
            """)

    @Option(
        name: .long, help: ArgumentHelp("The month, by the organization's own calendar.", valueName: "YYYY-MM"),
        transform: { try Export.read($0) { StatementMonth($0) } })
    var month: StatementMonth

    @Option(
        name: .long, help: ArgumentHelp("The organization, if there are several.", valueName: "org_…"),
        transform: { try Export.read($0) { OrganizationID($0) } })
    var organization: OrganizationID?

    @Option(
        name: .long, help: ArgumentHelp("csv, csv-summary, focus-1.2, focus-1.4, journal or json. (default: csv)", valueName: "format"),
        transform: { try Export.read($0) { StatementFormat(rawValue: $0) } })
    var format = StatementFormat.csv

    @Option(name: .long, help: ArgumentHelp("Where to write; must not exist. (default: standard output)", valueName: "file"))
    var output: String?

    @Flag(name: .long, help: "Write it compressed.") var gzip = false

    @OptionGroup(title: "Database") var database: DatabaseOptions

    func run() async throws {
        let logger = commandLogger()
        try await database.withDatabase(logger: logger) { configuration in
            var patient = configuration
            // All lines of a month have to be sorted before the first is there.
            patient.statementTimeout = .seconds(1800)
            let pool = PostgresPool(patient, size: 1, logger: logger)
            do {
                try await write(Store(pool: pool))
                await pool.shutdown()
            } catch {
                await pool.shutdown()
                throw error
            }
        }
    }

    static func read<Value>(_ text: String, _ make: (String) -> Value?) throws -> Value {
        guard let value = make(text) else { throw ValidationError("'\(text)' cannot be read.") }
        return value
    }

    private func write(_ store: Store) async throws {
        let export = try await StatementExport(store: store, organization: try await store.only(organization))
        let plan = try await export.plan(format, month: month)
        let file = try output.map { try FileHandle(creating: $0) } ?? .standardOutput
        let stream = gzip ? DeflateStream(.gzip) : nil
        let (end, facts) = try await export.write(plan) { bytes in
            try file.write(contentsOf: Data(stream.map { $0.compress(bytes) } ?? bytes))
        }
        if let stream { try file.write(contentsOf: Data(stream.compress([], isLast: true))) }
        if let output {
            try file.synchronize()
            let manifest = try FileHandle(creating: output + ".manifest.json")
            try manifest.write(contentsOf: Data(export.manifest(plan, end, facts).bytes))
            try manifest.synchronize()
        }
        Terminal.progress("\(month): \(end.total.cost) USD in \(end.total.requests) calls")
    }
}

extension Store {
    /// The organization that was named, or the only one there is.
    func only(_ named: OrganizationID?) async throws -> OrganizationID {
        if let named {
            do { return try await organization(named).id } catch AdminRefusal.notFound {
                throw CommandError("there is no organization \(named)")
            }
        }
        let page = try await organizations(ListFilter(), Listing(OrganizationRecord.orders[0], isDescending: false, limit: 2))
        guard page.items.count == 1, let only = page.items.first else {
            throw CommandError(page.items.isEmpty ? "there is no organization yet" : "there are several organizations: say --organization")
        }
        return only.id
    }
}

extension FileHandle {
    /// A new file for writing; one that exists is not overwritten.
    fileprivate convenience init(creating path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw CommandError("cannot create \(path): \(String(cString: strerror(errno)))") }
        self.init(fileDescriptor: descriptor, closeOnDealloc: true)
    }
}
