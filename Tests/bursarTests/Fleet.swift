/// Several processes of the built program on one folder, one private Postgres under all of them, and an organization whose callers
/// press against two blocking budgets.
import Budgets
import Foundation
import Glibc
import JSON
import NIOCore
import Store
import TestSupport
import Testing

@testable import bursar

struct Fleet {
    /// Room for five holds of Traffic's calls, and for six; settlements use some of it up as rounds go by.
    static let amounts = [Amount("0.0065")!, Amount("0.0071")!]
    /// Input tokens of a call. A token costs a millionth of a dollar.
    static let tokens: ClosedRange<Int64> = 800...1100

    private let folder: String
    private var programs: [Program] = []
    private var clients: [LoadClient] = []
    private var secrets = (owner: "", caller: "")
    private var budgets: [String] = []

    init(_ folder: String, replicas: Int) async throws {
        self.folder = folder
        for _ in 0..<replicas { try start() }
        let keys = try JSON.parse(Program.run(["bootstrap", "--json"] + place).output)
        secrets.owner = try #require(keys["owner_key"]?.string)
        let owner = owner
        func make(_ path: String, _ body: JSON, _ field: String = "id") async throws -> JSON {
            try #require(try await owner.create(path, body)[field])
        }
        _ = try await make("/v1/models", ["name": "model-a", "provider": "acme"])
        for (kind, amount) in [("input", "1"), ("output", "2")] as [(JSON, JSON)] {
            _ = try await make(
                "/v1/prices",
                ["model": "model-a", "usage_kind": kind, "amount_per_million": amount, "valid_from": "2020-01-01T00:00:00Z"])
        }
        let team = try await make("/v1/teams", ["name": "Search"])
        let tier = try await make("/v1/tiers", ["name": "All", "rank": 1, "models": ["*"], "max_output_tokens": 4096])
        let project = try await make("/v1/projects", ["name": "Ranker", "team": team, "tier": tier])
        secrets.caller = try #require(try await make("/v1/api-keys", ["name": "ci", "project": project], "secret").string)
        for (amount, scope) in zip(Fleet.amounts, [JSON.object(JSON.Object()), ["team": team]]) {
            let budget: JSON = [
                "name": .string(amount.plain), "scope": scope, "unit": "usd", "period": "total", "amount": .string(amount.plain),
            ]
            budgets.append(try #require(try await make("/v1/budgets", budget).string))
        }
    }

    var replicas: Int { programs.count }
    private var place: [String] { ["--embedded", "--data-directory", folder] }
    private var owner: DemoAPI { DemoAPI(client: clients[0], apiKey: secrets.owner) }

    private mutating func start() throws {
        let (program, client) = try Place.serve(place)
        programs.append(program)
        clients.append(client)
    }

    /// `kill -9` of one process; returns when it is dead.
    func kill(_ replica: Int) throws {
        programs[replica].send(SIGKILL)
        #expect(try programs[replica].end() == SIGKILL)
    }

    /// What a supervisor does when a process has died.
    mutating func startAgain(_ replica: Int) async throws {
        try await clients[replica].shutdown()
        (programs[replica], clients[replica]) = try Place.serve(place)
    }

    /// Kills Postgres, or lets it shut down at once without writing anything, as `pg_ctl stop -m immediate` does.
    func endPostgres(_ signal: Int32) throws {
        let lines = try String(contentsOfFile: folder + "/postgres/postmaster.pid", encoding: .utf8).split(separator: "\n")
        #expect(Glibc.kill(try #require(lines.first.flatMap { pid_t($0) }), signal) == 0)
    }

    func close() async throws {
        for program in programs { program.send(SIGTERM) }
        for program in programs { #expect(try program.end() == 0) }
        for client in clients { try await client.shutdown() }
    }

    // MARK: what callers say and hear

    /// Sends over HTTP what callers ask; `name` tells the request ids of one traffic from another's.
    func send(_ name: String) -> Traffic.Send {
        { [clients, secrets, budgets] ask, call, reservation, replica in
            let (path, body): (String, JSON) =
                switch ask {
                case .reserve, .read:
                    (
                        "/v1/reservations",
                        [
                            "request_id": .string("\(name)-\(call.number)"), "model": "model-a", "input_tokens": .number(call.tokens),
                            "max_output_tokens": 0, "ttl_seconds": 3600,
                        ]
                    )
                case .settle: ("/v1/reservations/\(reservation ?? "")/settle", ["usage": ["input": .number(call.spent)]])
                case .release: ("/v1/reservations/\(reservation ?? "")/release", [:])
                }
            let request = DemoAPI(client: clients[replica], apiKey: secrets.caller).head.request("POST", path, body: Array(body.text.utf8))
            guard let answer = try? await clients[replica].send(request) else { return (.unknown, nil) }
            return Fleet.answer(answer.status, (try? JSON.parse(answer.body)) ?? .null, budgets)
        }
    }

    private static func answer(_ status: Int, _ body: JSON, _ budgets: [String]) -> (TestSupport.Operation.Answer, String?) {
        let id = body["id"]?.string
        let shown = body["budgets"]?.array ?? []
        let balances = budgets.map { budget in shown.first { $0["id"]?.string == budget }.map(balance) ?? Balance() }
        switch (status, body["state"]?.string ?? body["code"]?.string) {
        case (201, "held"): return (.held(balances), id)
        case (200, "settled"): return (.settled(balances), id)
        case (200, "released"): return (.released, id)
        case (409, "reservation_resolved"): return (.resolved, nil)
        case (402, "budget_exceeded"):
            let budget = body["budget"] ?? .null
            return (.refused(budget: budgets.firstIndex(of: budget["id"]?.string ?? "") ?? -1, balance(budget)), nil)
        case (503, "store_unavailable"): return (.unknown, nil)
        default:
            Issue.record("\(status) \(body) is not what such a call is answered")
            return (.unknown, nil)
        }
    }

    private static func balance(_ budget: JSON) -> Balance { Balance(settled: money(budget["settled"]), held: money(budget["held"])) }
    private static func money(_ value: JSON?) -> Amount { value?["amount"]?.string.flatMap { Amount($0) } ?? Amount(pico: -1) }

    /// The counters as the API tells them, and how many calls the month has.
    func balances() async throws -> [Balance] {
        var balances: [Balance] = []
        for budget in budgets {
            let periods = try await read("/v1/budgets/\(budget)/periods")["data"]?.array ?? []
            balances.append(periods.first.map(Fleet.balance) ?? Balance())
        }
        return balances
    }

    func calls() async throws -> Int64 {
        try await read("/v1/statements/\(Instant.now().rfc3339.prefix(7))")["calls"]?.int64 ?? -1
    }

    /// As any reader does who is answered 503: a connection that died with Postgres is found out when it is used next, and a Postgres that
    /// was killed needs a while to recover.
    private func read(_ path: String) async throws -> JSON {
        let head = RequestHead(host: owner.client.host, port: owner.client.port, apiKey: secrets.owner)
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            let answer = try await owner.client.send(head.request("GET", path))
            if answer.status == 503 { continue }
            #expect(answer.status == 200, "GET \(path)")
            return try JSON.parse(answer.body)
        }
        throw CommandError("GET \(path): 503 for half a minute")
    }
}
