/// `bursar growth`: whether Bursar stays as fast when the ledger is long. One run measures a database as it begins and the same one
/// filled, on one machine, so that the ratio holds where the times do not (docs/performance.md).
import ArgumentParser
import Budgets
import Foundation
import Histogram
import NIOCore
import Postgres
import Store

struct Growth: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure a database with millions of entries against an empty one.",
        discussion: """
            Starts a Postgres of its own in a temporary folder and a server on a free port, measures reservations, fills the database, \
            measures again, reads reports, closes months, makes the check, and removes everything. Ten million entries take half an hour and 25 GB.
            """, shouldDisplay: false)

    @Option(help: "Ledger entries in all.") var entries: Int64 = 1_000_000
    @Option(help: "Budgets in all.") var budgets: Int64 = 10_000
    @Option(help: "End users that a budget counts one by one.") var subjects: Int64 = 100_000
    @Option(help: "Organizations; the first has half of the entries.") var organizations: Int64 = 20
    @Option(help: "Days over which the calls were made.") var days: Int64 = 90
    @Option(help: "Seconds of each measurement.") var seconds = 5

    func validate() throws {
        guard [entries, budgets, subjects, organizations, days].allSatisfy({ $0 > 0 }), days <= 3650, (1...600).contains(seconds) else {
            throw ValidationError("Every number must be above 0, --days at most 3650, --seconds at most 600.")
        }
    }

    func run() async throws {
        let size = GrownWorld.Size(entries: entries, budgets: budgets, subjects: subjects, organizations: organizations, days: days)
        let seconds = seconds
        try await withTemporaryServer { server in
            let client = LoadClient(host: server.host, port: server.port)
            let empty = RequestHead(host: server.host, port: server.port, apiKey: try await BenchWorld.create(server.database).secrets[0])
            _ = try await Self.measure(client, empty, connections: 8, seconds: 1)
            for connections in [1, 8] {
                Self.tell(
                    "reservations, empty", try await Self.measure(client, empty, connections: connections, seconds: seconds), connections)
            }
            let start = ContinuousClock.now
            let grown = try await GrownWorld.create(size, server.database, progress: progress)
            Terminal.say("filled in \((ContinuousClock.now - start).components.seconds) s")
            let full = RequestHead(host: server.host, port: server.port, apiKey: grown.secret)
            _ = try await Self.measure(client, full, connections: 8, seconds: 2)
            for connections in [1, 8] {
                Self.tell(
                    "reservations, grown", try await Self.measure(client, full, connections: connections, seconds: seconds), connections)
            }
            try await Self.readReports(grown.organization, server.database)
            try await Self.closeMonths(of: grown.organization, server.database, calling: client, full, seconds: seconds)
            try await client.shutdown()
            Terminal.say("server and load generator, most memory: \(Self.peakMemory())")
            try await Self.check(server.database)
            Terminal.say("with the check, most memory: \(Self.peakMemory())")
        }
    }

    private static func measure(_ client: LoadClient, _ head: RequestHead, connections: Int, seconds: Int) async throws -> Measured {
        let until = NIODeadline.now() + .seconds(Int64(seconds))
        let run = UInt64.random(in: 0 ... .max)
        let parts = try await client.drive(connections: connections) { connection in
            ClosedLoop(calls: CallMaker(.reserve, heads: [head], prefix: "\(run)-\(connection)-"), until: until)
        }
        return parts.reduce(into: Measured()) { $0.add($1) }
    }

    private static func tell(_ what: String, _ measured: Measured, _ connections: Int) {
        tell("\(what), \(connections) connections", measured)
    }

    static func tell(_ what: String, _ measured: Measured) {
        func milliseconds(_ percentile: Double) -> String { fixed(Double(measured.latency.valueAtPercentile(percentile)) / 1000, 2) }
        let unexpected = measured.unexpected.isEmpty ? "" : ", unexpected \(measured.unexpected)"
        Terminal.say("\(what): p50 \(milliseconds(50)) ms, p99 \(milliseconds(99)) ms, \(measured.answered) calls\(unexpected)")
    }

    /// Each report five times; the median is told.
    private static func readReports(_ organization: OrganizationID, _ database: PostgresConfiguration) async throws {
        let pool = PostgresPool(database, size: 1, logger: quiet)
        let store = Store(pool: pool)
        let zone = GrownWorld.zone
        let now = Instant.now().adding(seconds: -32 * 86_400)
        let month = PeriodRule(.month).span(containing: now, in: zone)
        let span = StatementSpan(start: month.start, end: month.end ?? now)
        let days = sequence(first: PeriodRule(.day).span(containing: span.start, in: zone)) { day in
            day.end.map { PeriodRule(.day).span(containing: $0, in: zone) }
        }.prefix { $0.start < span.end }.map { StatementSpan(start: $0.start, end: $0.end ?? span.end) }
        func time(_ what: String, _ body: () async throws -> Void) async throws {
            var times: [Duration] = []
            for _ in 0..<5 {
                let start = ContinuousClock.now
                try await body()
                times.append(ContinuousClock.now - start)
            }
            Terminal.say("\(what): \(fixed(times.sorted()[2] / .milliseconds(1), 1)) ms")
        }
        try await time("last month by team") { _ = try await store.spend(of: organization, in: [span], by: [.team]) }
        try await time("last month by project and model") {
            _ = try await store.spend(of: organization, in: [span], by: [.project, .model])
        }
        try await time("last month by local day and team") { _ = try await store.spend(of: organization, in: days, by: [.team]) }
        let source = StatementSource(organization: organization, span: span, zone: zone)
        try await time("last month's statement") { _ = try await store.statementSummary(of: source) }
        await pool.shutdown()
    }

    private static func check(_ database: PostgresConfiguration) async throws {
        var patient = database
        patient.statementTimeout = .seconds(3600)
        let connection = try await PostgresConnection.connect(patient, logger: quiet)
        let start = ContinuousClock.now
        let report = try await Check.run(on: connection)
        await connection.close()
        Terminal.say("check: \(report.violations) violations in \((ContinuousClock.now - start).components.seconds) s")
        for sample in report.findings.flatMap(\.samples) { Terminal.say("  \(sample.what)") }
    }

    /// The most that this process ever had in memory, as the kernel says it.
    private static func peakMemory() -> String {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        return status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }.map { $0.dropFirst(6).trimmingCharacters(in: .whitespaces) }
            ?? "?"
    }
}
