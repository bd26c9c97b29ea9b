/// A folder with an organization on it, and the built program serving it: one process after another.
import Glibc
import JSON
import Testing

@testable import bursar

/// The organization has a budget with room and one that warns.
struct Place {
    static let thresholds: [Int64] = [70, 80, 90, 100]

    private let options: [String]
    private(set) var program: Program
    private(set) var callers: Callers

    init(_ folder: String, _ book: Book) async throws {
        options = ["--embedded", "--data-directory", folder]
        let (program, client) = try Place.serve(options)
        let keys = try JSON.parse(Program.run(["bootstrap", "--json"] + options).output)
        #expect(try Program.run(["import-prices"] + options).status == 0)
        let ownerKey = try #require(keys["owner_key"]?.string)
        let owner = DemoAPI(client: client, apiKey: ownerKey)
        func make(_ path: String, _ body: JSON, _ field: String = "id") async throws -> JSON {
            try #require(try await owner.create(path, body)[field])
        }
        let team = try await make("/v1/teams", ["name": "Search"])
        let tier = try await make("/v1/tiers", ["name": "All", "rank": 1, "models": ["*"], "max_output_tokens": 4096])
        let project = try await make("/v1/projects", ["name": "Ranker", "team": team, "tier": tier])
        let secret = try await make("/v1/api-keys", ["name": "ci", "project": project], "secret")
        var budgets: [JSON] = []
        for (amount, enforcement) in [("1000", "block"), ("0.1", "warn")] as [(JSON, JSON)] {
            let thresholds = JSON.array(Place.thresholds.map { .number($0) })
            budgets.append(
                try await make(
                    "/v1/budgets",
                    [
                        "name": enforcement, "unit": "usd", "period": "total", "amount": amount, "enforcement": enforcement,
                        "thresholds": thresholds,
                    ]))
        }
        self.program = program
        callers = Callers(
            secrets: (ownerKey, try #require(secret.string)), budgets: budgets.compactMap(\.string), book: book, client: client)
    }

    /// Starts the program again after its end; those who call find it at another port.
    mutating func open() async throws {
        try await callers.client.shutdown()
        let (program, client) = try Place.serve(options)
        self.program = program
        callers = Callers(secrets: callers.secrets, budgets: callers.budgets, book: callers.book, client: client)
    }

    mutating func close() async throws {
        program.send(SIGTERM)
        #expect(try program.end() == 0)
        try await callers.client.shutdown()
    }

    static func serve(_ options: [String]) throws -> (Program, LoadClient) {
        let program = try Program(["serve", "--port", "0", "--allow-targets", "127.0.0.0/8"] + options)
        let port = try program.line()?.firstMatch(of: #/http://127\.0\.0\.1:(\d+)/#).flatMap { Int($0.1) }
        return (program, LoadClient(host: "127.0.0.1", port: try #require(port)))
    }
}
