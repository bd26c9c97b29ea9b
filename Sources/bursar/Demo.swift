/// `bursar demo` (`make demo`): the main job from end to end, watched and checked. Reservations and settlements of a real trace, alerts
/// on real sockets, and a month's export that equals the calls' own sum to the last digit.
import ArgumentParser
import Budgets
import Chargeback
import Foundation
import JSON
import Postgres
import Store

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch the whole of Bursar at work, in a temporary folder, and check every sum.",
        discussion: """
            Starts Postgres and a server of its own, makes an organization of 3 teams, 8 projects and 3 tiers with budgets at every \
            level, imports prices, replays a trace at full speed, and receives the alerts itself as Slack, PagerDuty and a webhook \
            would. Then it checks that every call was answered, that the blocking budget let exactly its amount pass, that each \
            alert arrived once everywhere, and that the exported month equals the sum of the calls. Nothing is left behind.
            """)

    @Option(name: .long, help: ArgumentHelp("A trace file. (default: a synthetic trace)", valueName: "file"))
    var trace: String?

    @Option(name: .long, help: ArgumentHelp("A price list. (default: the built-in one)", valueName: "file"))
    var prices: String?

    @Option(name: .long, help: "Calls of the synthetic trace.")
    var calls = 20_000

    @Option(name: .long, help: "What decides every draw.")
    var seed: UInt64 = 1

    @Option(name: .long, help: "Calls under way at once.")
    var connections = 16

    func validate() throws {
        guard (1000...1_000_000).contains(calls) else { throw ValidationError("--calls must be 1000 to 1000000.") }
        guard (1...256).contains(connections) else { throw ValidationError("--connections must be 1 to 256.") }
    }

    func run() async throws {
        let calls = try Replay.readTrace(trace, synthetic: calls, seed: seed)
        let list = try ImportPrices.list(prices)
        let (seed, connections) = (seed, connections)
        let outcome = try await withTemporaryServer { server in
            try await DemoRun(server: server, trace: calls, prices: list, seed: seed, connections: connections).run { Terminal.say($0) }
        }
        Terminal.say(outcome.text)
        if !outcome.isWell { throw ExitCode.failure }
    }
}

/// One demo on a running server.
struct DemoRun: Sendable {
    let server: TemporaryServer
    let trace: [TraceCall]
    let prices: PriceList
    let seed: UInt64
    let connections: Int

    /// - Parameter say: told what happens as it happens.
    func run(say: @escaping @Sendable (String) -> Void) async throws -> DemoOutcome {
        let client = LoadClient(host: server.host, port: server.port)
        let receivers = try await DemoReceivers.start { say("  alert   \($0.receiver.padded(to: 10)) \($0.threshold) %  \($0.budget)") }
        do {
            let outcome = try await run(client, receivers, say)
            try await receivers.stop()
            try await client.shutdown()
            return outcome
        } catch {
            // The first error is the one to report.
            try? await receivers.stop()
            try? await client.shutdown()
            throw error
        }
    }

    private func run(
        _ client: LoadClient, _ receivers: DemoReceivers, _ say: @escaping @Sendable (String) -> Void
    ) async throws -> DemoOutcome {
        let ownerKey = try await prepare(say)
        let api = DemoAPI(client: client, apiKey: ownerKey)
        let world = try await DemoWorld.create(api, trace: trace, prices: prices, receiversPort: receivers.port, seed: seed)
        say("made 3 teams, 8 projects, 3 tiers, 4 budgets and 3 endpoints; now \(world.calls.count) calls at full speed")
        let replay = ReplayRun(
            host: server.host, port: server.port, plan: world.plan, calls: world.calls, speed: nil, connections: connections,
            statementKey: ownerKey)
        let report = try await replay.run()
        let deliveries = try await DemoDeliveries.read(api, atMost: .seconds(30))
        return DemoOutcome(
            world: world, report: report, alerts: receivers.alerts, unread: receivers.unread, deliveries: deliveries,
            export: try await DemoExport.read(api))
    }

    /// An organization, its owner's key, and prices.
    private func prepare(_ say: @Sendable (String) -> Void) async throws -> String {
        let first = FirstOrganization(name: "Acme", timeZone: "Europe/Berlin", at: .now())
        let pool = PostgresPool(server.database, size: 1, logger: quiet)
        let prices = prices
        let changes = try await pool.withConnection { connection in
            _ = try first.create(on: connection)
            return try connection.importPrices(prices, at: .now())
        }
        await pool.shutdown()
        say("imported \(changes.newModels.count) models and \(changes.newRates.count) rates from \(prices.title)")
        return first.ownerSecret.text
    }
}
