/// `bursar replay`: real or synthetic calls through the HTTP API, and the proof that what was booked is what was answered.
import ArgumentParser
import Foundation
import Glibc
import JSON

struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send a trace of calls through the API and compare the sums.",
        discussion: """
            Each line of TRACE (\(Trace.header)) becomes a reservation and, if it is admitted, a settlement. Who makes which call is \
            drawn by the weights of the plan, a JSON file such as

                {"keys": [{"api_key": "bur_…", "weight": 3}, {"api_key": "bur_…"}], "models": [{"name": "gpt-4o"}],
                 "end_users": 200, "features": [{"name": "chat", "weight": 2}, {"name": "search"}]}

            Prints what was admitted and what was refused and why, the exact cost, and latencies; a paced reservation's counts from \
            the moment it was due. With --api-key of somebody who may read statements, what the server booked meanwhile is compared to \
            the last digit; nobody else may make calls then. The exit status is 0 if everything ties.
            """)

    @Argument(help: ArgumentHelp("The trace file; or say --synthetic.", valueName: "trace"))
    var trace: String?

    @Option(name: .long, help: ArgumentHelp("Make up a bursty trace of so many calls instead.", valueName: "calls"))
    var synthetic: Int?

    @Option(name: .long, help: "What decides every draw: the same seed, the same calls.")
    var seed: UInt64 = 1

    @Option(name: .long, help: ArgumentHelp("Who makes the calls: a JSON file.", valueName: "file"))
    var plan: String

    @Option(name: .long, help: ArgumentHelp("The server.", valueName: "url"))
    var url = "http://127.0.0.1:8080"

    @Option(name: .long, help: ArgumentHelp("How many times faster than the trace, or max.", valueName: "factor"))
    var speed = ReplaySpeed.max

    @Option(name: .long, help: "Calls under way at once.")
    var connections = 16

    @Option(
        name: .long, help: ArgumentHelp("Reads the statement for the comparison; or set BURSAR_API_KEY.", valueName: "bur_…"))
    var apiKey: String?

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp(
            "Begins every request_id. A repeated name repeats the same requests, which books nothing. (default: a new one)",
            valueName: "name"))
    var runName = "replay-\(UUID().uuidString.lowercased())"

    @Flag(name: .long, help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (trace == nil) != (synthetic == nil) else { throw ValidationError("Name a trace file, or say --synthetic CALLS.") }
        guard (1...10_000_000).contains(synthetic ?? 1) else { throw ValidationError("--synthetic must be 1 to 10000000.") }
        guard (1...512).contains(connections) else { throw ValidationError("--connections must be 1 to 512.") }
        guard target != nil else { throw ValidationError("--url must be http://HOST:PORT.") }
    }

    func run() async throws {
        guard let target else { throw CommandError("--url must be http://HOST:PORT") }
        let plan = try ReplayPlan(json: try Replay.contents(self.plan))
        let calls = try plan.calls(Replay.readTrace(trace, synthetic: synthetic ?? 0, seed: seed), run: runName, seed: seed)
        let key = apiKey ?? ProcessInfo.processInfo.environment["BURSAR_API_KEY"]
        let replay = ReplayRun(
            host: target.host, port: target.port, plan: plan, calls: calls, speed: speed.factor, connections: connections,
            statementKey: key)
        let count = calls.count
        let show: @Sendable (Int) -> Void = { Terminal.update("\($0) of \(count) calls") }
        let report = try await replay.run(progress: Terminal.isInteractive ? show : nil)
        Terminal.say(json ? report.json.text : report.text)
        if !report.isTied { throw ExitCode.failure }
    }

    /// The calls of a file, or synthetic ones.
    static func readTrace(_ file: String?, synthetic: Int, seed: UInt64) throws -> [TraceCall] {
        guard let file else { return Trace.synthetic(synthetic, seed: seed) }
        return try Trace.parse(String(decoding: try contents(file), as: UTF8.self))
    }

    private static func contents(_ file: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: file) else { throw CommandError("cannot read \(file)") }
        return Array(data)
    }

    private var target: (host: String, port: Int)? {
        guard let url = URL(string: url), url.scheme == "http", let host = url.host() else { return nil }
        return (host, url.port ?? 80)
    }
}

/// `max`, or how many times faster than the trace.
enum ReplaySpeed: ExpressibleByArgument, CustomStringConvertible {
    case max
    case times(Double)

    init?(argument: String) {
        if argument == "max" {
            self = .max
        } else if let factor = Double(argument), factor > 0, factor <= 1e6 {
            self = .times(factor)
        } else {
            return nil
        }
    }

    var factor: Double? { if case .times(let factor) = self { factor } else { nil } }
    var description: String { factor.map { "\($0)" } ?? "max" }
}
