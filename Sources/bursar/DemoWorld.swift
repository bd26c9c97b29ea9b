/// The demo's organization: three teams, eight projects, three tiers, budgets at every level, three receivers; made through the API,
/// as a stranger would.
import Budgets
import JSON
import Store

/// Speaks to the API as one credential.
struct DemoAPI: Sendable {
    let client: LoadClient
    let head: RequestHead

    init(client: LoadClient, apiKey: String) {
        self.client = client
        head = RequestHead(host: client.host, port: client.port, apiKey: apiKey)
    }

    /// - Throws: `CommandError` with the problem, unless the answer is a 2xx.
    @discardableResult func create(_ path: String, _ body: JSON) async throws -> JSON {
        let answer = try await client.send(head.request("POST", path, body: Array(body.text.utf8)))
        guard (200...299).contains(answer.status), let json = try? JSON.parse(answer.body) else {
            throw CommandError("POST \(path): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
        }
        return json
    }

    /// - Throws: `CommandError` with the problem, unless the answer is a 200.
    func read(_ path: String) async throws -> [UInt8] {
        let answer = try await client.send(head.request("GET", path))
        guard answer.status == 200 else { throw CommandError("GET \(path): \(answer.status)") }
        return answer.body
    }
}

/// What is made, and what must therefore come out.
struct DemoWorld: Sendable {
    struct Project: Sendable {
        let name: String
        let team: String
        let tier: String
        let weight: Double
    }

    static let teams = [("Search", "CC-4410"), ("Assist", "CC-4420"), ("Growth", "CC-4430")]
    /// A higher tier includes the lower ones.
    static let tiers = [
        (name: "Basic", models: ["gpt-4o-mini", "claude-haiku-*"]), (name: "Standard", models: ["gpt-4o", "gpt-4.1*"]),
        (name: "Premium", models: ["claude-sonnet-*"]),
    ]
    static let projects = [
        Project(name: "Ranker", team: "Search", tier: "Standard", weight: 3),
        Project(name: "Answers", team: "Search", tier: "Premium", weight: 3),
        Project(name: "Indexer", team: "Search", tier: "Basic", weight: 1),
        Project(name: "Chat", team: "Assist", tier: "Premium", weight: 4),
        Project(name: "Summaries", team: "Assist", tier: "Standard", weight: 2),
        Project(name: "Triage", team: "Assist", tier: "Standard", weight: 3),
        Project(name: "Outreach", team: "Growth", tier: "Basic", weight: 1),
        Project(name: "Experiments", team: "Growth", tier: "Standard", weight: 1),
    ]
    static let models = [("gpt-4o-mini", 4.0), ("claude-haiku-4-5", 2), ("gpt-4o", 2), ("gpt-4.1", 1), ("claude-sonnet-4-6", 1)]
    static let (warning, quota) = ("Search monthly", "Triage requests")
    static let thresholds: [Int64] = [70, 80, 90, 100]

    let plan: ReplayPlan
    let calls: [ReplayCall]
    /// How many calls no tier allows.
    let notAllowed: Int
    /// How many calls the blocking budget of requests lets pass; and how many come beyond it.
    let (quotaAmount, overQuota): (Int, Int)

    /// Every alert there can be. The last of each budget must arrive everywhere; one before it may be replaced by the next on its way.
    static var expectedAlerts: Set<DemoAlert> {
        Set(
            DemoReceivers.names.flatMap { receiver in
                [warning, quota].flatMap { budget in
                    thresholds.map { DemoAlert(receiver: receiver, budget: budget, threshold: $0) }
                }
            })
    }

    /// Makes everything. Two budgets are sized by what the trace will spend, so that it fills them whatever trace it is.
    static func create(
        _ api: DemoAPI, trace: [TraceCall], prices: PriceList, receiversPort: Int, seed: UInt64
    ) async throws -> DemoWorld {
        let ids = try await structure(api)
        let plan = ReplayPlan(
            keys: zip(ids.secrets, projects).map { .init(value: $0, weight: $1.weight) },
            models: models.map { .init(value: $0.0, weight: $0.1) },
            features: [.init(value: "chat", weight: 5), .init(value: "summary", weight: 3), .init(value: "=classify", weight: 1)],
            endUsers: 200)
        let calls = plan.calls(trace, run: "demo", seed: seed)
        let allowed = calls.filter { isAllowed(models[$0.model].0, in: projects[$0.key].tier) }
        let triage = allowed.count { projects[$0.key].name == "Triage" }
        let quotaAmount = max(10, triage * 2 / 5)
        let spend = allowed.filter { projects[$0.key].team == "Search" }.reduce(Money.zero) { $0 + cost($1, prices) }
        try await budgets(api, ids, warning: Amount(pico: spend.pico * 3 / 5), quota: quotaAmount)
        try await endpoints(api, port: receiversPort)
        return DemoWorld(
            plan: plan, calls: calls, notAllowed: calls.count - allowed.count, quotaAmount: quotaAmount,
            overQuota: max(0, triage - quotaAmount))
    }

    private static func structure(_ api: DemoAPI) async throws -> (teams: [String: String], projects: [String: String], secrets: [String]) {
        func id(_ json: JSON) throws -> String {
            guard let id = json["id"]?.string else { throw CommandError("an answer without an id") }
            return id
        }
        var teamIDs: [String: String] = [:]
        for (name, costCenter) in teams {
            teamIDs[name] = try id(try await api.create("/v1/teams", ["name": .string(name), "cost_center": .string(costCenter)]))
        }
        var tierIDs: [String: String] = [:]
        for (index, tier) in tiers.enumerated() {
            tierIDs[tier.name] = try id(
                try await api.create(
                    "/v1/tiers",
                    [
                        "name": .string(tier.name), "rank": .number(index + 1), "models": .array(tier.models.map { .string($0) }),
                        "approval": "none", "max_output_tokens": 4096,
                    ]))
        }
        var projectIDs: [String: String] = [:]
        var secrets: [String] = []
        for project in projects {
            let made = try await api.create(
                "/v1/projects",
                [
                    "name": .string(project.name), "team": .string(teamIDs[project.team] ?? ""),
                    "tier": .string(tierIDs[project.tier] ?? ""),
                ])
            projectIDs[project.name] = try id(made)
            let key = try await api.create("/v1/api-keys", ["name": "demo", "project": .string(try id(made))])
            guard let secret = key["secret"]?.string else { throw CommandError("an API key without a secret") }
            secrets.append(secret)
        }
        return (teamIDs, projectIDs, secrets)
    }

    private static func budgets(
        _ api: DemoAPI, _ ids: (teams: [String: String], projects: [String: String], secrets: [String]), warning: Money, quota: Int
    ) async throws {
        func budget(_ name: String, _ scope: (String, JSON)?, _ unit: JSON, _ amount: String, _ enforcement: JSON, per: JSON = .null)
            -> JSON
        {
            [
                "name": .string(name), "scope": .object(scope.map { [$0] } ?? []), "per": per, "unit": unit, "period": "month",
                "amount": .string(amount),
                "thresholds": .array(thresholds.map { .number($0) }), "enforcement": enforcement,
            ]
        }
        for body in [
            budget("Company monthly", nil, "usd", "100000", "block"),
            budget(DemoWorld.warning, ("team", .string(ids.teams["Search"] ?? "")), "usd", warning.plain, "warn"),
            budget(DemoWorld.quota, ("project", .string(ids.projects["Triage"] ?? "")), "requests", String(quota), "block"),
            budget("Fair use", ("project", .string(ids.projects["Chat"] ?? "")), "tokens", "1000000000", "shadow", per: "end_user"),
        ] {
            try await api.create("/v1/budgets", body)
        }
    }

    private static func endpoints(_ api: DemoAPI, port: Int) async throws {
        for name in DemoReceivers.names {
            var body: JSON.Object = .init([
                ("kind", .string(name)), ("name", .string(name)), ("url", .string("http://127.0.0.1:\(port)/\(name)")),
                ("events", ["budget.*"]), ("rate_per_minute", 6000),
            ])
            if name == "pagerduty" { body["routing_key"] = "0123456789abcdef0123456789abcdef" }
            try await api.create("/v1/endpoints", .object(body))
        }
    }

    private static func isAllowed(_ model: String, in tier: String) -> Bool {
        let rank = tiers.firstIndex { $0.name == tier } ?? 0
        return tiers[...rank].contains { $0.models.contains { Pattern($0)?.matches(model) ?? false } }
    }

    private static func cost(_ call: ReplayCall, _ prices: PriceList) -> Money {
        guard let model = prices.models.first(where: { $0.name == models[call.model].0 }) else { return .zero }
        func part(_ kind: UsageKind, _ quantity: Int64) -> Int128 {
            (model.amount(.init(kind: kind))?.pico ?? 0) / 1_000_000 * Int128(quantity)
        }
        return Money(pico: part("input", call.trace.inputTokens) + part("output", call.trace.outputTokens))
    }
}
