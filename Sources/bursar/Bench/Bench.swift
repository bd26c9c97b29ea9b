/// `bursar bench`: how fast Bursar is, against a bare route of the same server and against one transaction a call, in one run on one
/// machine.
import ArgumentParser
import Budgets
import Foundation
import Histogram
import JSON
import Logging
import NIOCore
import Postgres
import Server
import Store

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure reservations and cycles against a bare route and against one transaction a call.",
        discussion: """
            Starts a Postgres of its own in a temporary folder and a server on a free port, loads both from this process over loopback, \
            and removes everything. Figures are of this machine at this moment; the ratios at the end are what compares.
            """)

    @Option(help: "Seconds of each measurement.")
    var seconds = 5

    @Option(help: "Connections to measure with, separated by commas.")
    var connections = "1,8,64"

    @Option(help: "Measure only reservations on one project, sent at this many a second.")
    var rate: Int?

    @Flag(help: "Print one JSON object instead of the table.")
    var json = false

    func validate() throws {
        guard (1...600).contains(seconds) else { throw ValidationError("--seconds must be 1 to 600.") }
        guard rate ?? 1 > 0 else { throw ValidationError("--rate must be at least 1.") }
        guard !counts.isEmpty, counts.allSatisfy({ (1...512).contains($0) }) else {
            throw ValidationError("--connections must be numbers from 1 to 512, separated by commas.")
        }
    }

    private var counts: [Int] { connections.split(separator: ",").map { Int($0) ?? 0 } }

    func run() async throws {
        let report = try await withTemporaryServer { server in
            let world = try await BenchWorld.create(server.database)
            return try await measure(server, world)
        }
        print(json ? report.json.text : report.table)
    }

    private func measure(_ server: TemporaryServer, _ world: BenchWorld) async throws -> BenchReport {
        var report = BenchReport()
        let client = LoadClient(host: server.host, port: server.port)
        let heads = world.secrets.map { RequestHead(host: server.host, port: server.port, apiKey: $0) }
        // Caches, prepared statements and the first page of every table are not what is measured.
        _ = try await closedLoop(client, .cycle, heads, connections: 8, seconds: 1)
        if let rate {
            report.rows.append(try await paced(client, [heads[0]], perSecond: Double(rate)))
            try await client.shutdown()
            return report
        }
        for connections in counts {
            progress("bare routes, \(connections) connections")
            report.rows.append(try await row(.text, client, .text, [heads[0]], connections))
            report.rows.append(try await row(.bare, client, .bare, [heads[0]], connections))
            for isSpread in [false, true] {
                progress("reservations, \(connections) connections")
                report.rows.append(try await row(.reserve, client, .reserve, isSpread ? heads : [heads[0]], connections))
                progress("cycles, \(connections) connections")
                report.rows.append(try await row(.cycle, client, .cycle, isSpread ? heads : [heads[0]], connections))
            }
            progress("one transaction a call, \(connections) connections")
            report.rows += try await baseline(server.database, world.baseline, connections)
        }
        if let maximum = report.rows.filter({ $0.way == .reserve && !$0.isSpread }).map(\.perSecond).max() {
            progress("reservations at a quarter of the maximal rate")
            report.rows.append(try await paced(client, [heads[0]], perSecond: maximum / 4))
        }
        try await client.shutdown()
        return report
    }

    private func row(
        _ way: BenchRow.Way, _ client: LoadClient, _ kind: CallMaker.Kind, _ heads: [RequestHead], _ connections: Int
    ) async throws -> BenchRow {
        let start = ContinuousClock.now
        let measured = try await closedLoop(client, kind, heads, connections: connections, seconds: seconds)
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        let calls = Double(measured.answered) / (kind == .cycle ? 2 : 1)
        return BenchRow(
            way: way, isSpread: heads.count > 1, connections: connections, perSecond: calls / elapsed, latency: measured.latency,
            unexpected: measured.unexpected)
    }

    private func closedLoop(
        _ client: LoadClient, _ kind: CallMaker.Kind, _ heads: [RequestHead], connections: Int, seconds: Int
    ) async throws -> Measured {
        let until = NIODeadline.now() + .seconds(Int64(seconds))
        let run = UInt64.random(in: 0 ... .max)
        let parts = try await client.drive(connections: connections) { connection in
            ClosedLoop(calls: CallMaker(kind, heads: heads, prefix: "\(run)-\(connection)-"), until: until)
        }
        return parts.reduce(into: Measured()) { $0.add($1) }
    }

    private func paced(_ client: LoadClient, _ heads: [RequestHead], perSecond: Double) async throws -> BenchRow {
        let measured = try await client.paced(heads, perSecond: perSecond, seconds: seconds)
        return BenchRow(
            way: .paced, isSpread: false, connections: LoadClient.pacedConnections, perSecond: Double(measured.answered) / Double(seconds),
            latency: measured.latency, unexpected: measured.unexpected)
    }

    /// The one-transaction way, each client on its own connection: first reservations, then whole cycles.
    private func baseline(
        _ database: PostgresConfiguration, _ way: OneTransaction, _ connections: Int
    ) async throws -> [BenchRow] {
        var rows: [BenchRow] = []
        for isCycle in [false, true] {
            let start = ContinuousClock.now
            let until = start + .seconds(seconds)
            let parts = try await withThrowingTaskGroup(of: Measured.self) { group in
                for client in 0..<connections {
                    group.addTask { try await way.client(client, isCycle: isCycle, until: until, database) }
                }
                return try await group.reduce(into: Measured()) { $0.add($1) }
            }
            let elapsed = (ContinuousClock.now - start) / .seconds(1)
            rows.append(
                BenchRow(
                    way: isCycle ? .oneTransaction : .oneTransactionReserve, isSpread: false, connections: connections,
                    perSecond: Double(parts.answered) / (isCycle ? 2 : 1) / elapsed, latency: parts.latency, unexpected: [:]))
        }
        return rows
    }
}

extension OneTransaction {
    fileprivate func client(
        _ client: Int, isCycle: Bool, until: ContinuousClock.Instant, _ database: PostgresConfiguration
    ) async throws -> Measured {
        let connection = try await PostgresConnection.connect(database, logger: quiet)
        let run = UInt64.random(in: 0 ... .max)
        var measured = Measured()
        var count = 0
        func timed<T>(_ body: () async throws -> T) async rethrows -> T {
            let start = ContinuousClock.now
            defer {
                measured.answered += 1
                measured.latency.record(UInt64(max(1, (ContinuousClock.now - start) / .microseconds(1))))
            }
            return try await body()
        }
        while ContinuousClock.now < until {
            count += 1
            let id = try await timed { try await reserve("\(run)-\(client)-\(count)", on: connection) }
            if isCycle { try await timed { try await settle(id, on: connection) } }
        }
        await connection.close()
        return measured
    }
}

/// For what must not mix with the figures.
let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }

/// Tells a person at a terminal what is going on; stays quiet in a pipe.
func progress(_ text: String) {
    guard isatty(STDERR_FILENO) == 1 else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8))
}
