/// `apply` and `dump` against a real server over real sockets: what a file says comes about, once, whatever breaks on the way.
import Budgets
import Foundation
import JSON
import Logging
import Outbound
import Store
import Synchronization
import TestSupport
import Testing

@testable import bursar

@Suite("Set-up from a file", .timeLimit(.minutes(4)))
struct SetupTests {
    /// Everything that a file can say.
    static let everything = """
        organization: {name: Zürich 検索 🚀, time_zone: Asia/Tokyo, default_tier: "Standard: all"}
        models:
          - {name: own/model, provider: us, max_output_tokens: 8192, aliases: [own/latest, "no"], deprecated_at: 2099-01-01T00:00:00Z}
        tiers:
          - {name: "Standard: all", rank: 1, models: [gpt-4o-mini, "claude-*"], approval: none, max_output_tokens: 4096}
          - {name: "# Premium", rank: 2, models: ["*"], approval: organization_admin, max_output_tokens: 8192, max_input_tokens: 100000,
             max_requests_per_minute: 600}
        budgets:
          - {name: all, unit: usd, period: month, amount: 5000}
          - {name: Ω, unit: tokens, period: total, amount: 1000000000000}
        teams:
          - name: Search
            cost_center: {name: 0042, next: CC-7, from: 2099-01-01T00:00:00Z}
            budgets:
              - name: monthly
                unit: usd
                period: month
                anchor_day: 15
                amount: 1000.50
                thresholds: [50, 90]
                threshold_amounts: [100, 250.25]
                match: {models: [gpt-*], environments: [production]}
                degrade: {from_percent: 80, models: {gpt-4o: gpt-4o-mini}}
                final_call: {calls: 2, model: gpt-4o-mini, max_output_tokens: 200}
                active_from: 2026-01-01T00:00:00Z
                active_to: 2099-01-01T00:00:00+09:00
            projects:
              - name: Ranker/é
                tier: "# Premium"
                cost_center: "no"
                settings: {owner: "yes", ratio: 1.50, "weird key: {}": [1, null, {a: b}]}
                budgets:
                  - {name: per user, unit: requests, period: minute, amount: 20, per: end_user, enforcement: shadow}
              - {name: Crawler, suspended: true}
          - name: "null"
        endpoints:
          - {name: "#spend", kind: slack, url: "${ENV:SLACK}", events: [budget.*], about: [{team: Search}, {budget: all}],
             min_percent: 70}
          - {name: pager, kind: pagerduty, routing_key: "${ENV:PAGER}", min_severity: critical, paused: true,
             about: [{team: Search, project: Ranker/é}, {team: Search, project: Ranker/é, budget: per user}]}
          - {name: hook, kind: webhook, url: https://example.com/hook, secret: "${ENV:HOOK}", rate_per_minute: 10}
          - {name: mail, kind: email, to: [ops@example.com, "${ENV:MAIL}"]}
        """
    static let secrets = [
        "SLACK": "https://hooks.slack.com/services/T0/B0/secret", "PAGER": "R0123456789", "MAIL": "fin@example.com",
        "HOOK": "whsec_" + Data(repeating: 7, count: 32).base64EncodedString(),
        // As a dump names them.
        "SPEND_URL": "https://hooks.slack.com/services/T0/B0/secret", "PAGER_ROUTING_KEY": "R0123456789",
        "HOOK_URL": "https://example.com/hook", "HOOK_SECRET": "whsec_" + Data(repeating: 7, count: 32).base64EncodedString(),
        "MAIL_TO": "ops@example.com",
    ]

    @Test("A file comes about; again it changes nothing; a dump of it changes nothing either, and makes the same elsewhere")
    func roundTrip() async throws {
        try await withPlace { place in
            let first = try await place.organization()
            #expect(try await first.apply(Self.everything).count == 16)
            #expect(try await first.plan(Self.everything).steps.map(\.description) == [])
            let dump = try await first.dump()
            #expect(Self.secrets.values.allSatisfy { !dump.contains($0) }, "a secret is in the dump")
            #expect(try await first.plan(dump, archivesMissing: true, secrets: [:]).steps.map(\.description) == [])

            let second = try await place.organization()
            try await second.apply(dump)
            #expect(try await second.dump() == dump)
            #expect(try await second.plan(Self.everything).steps.map(\.description) == [])
        }
    }

    @Test("Changes are shown as they will be made; what is missing stays unless it is to go; a list that is not there is left alone")
    func changes() async throws {
        try await withPlace { place in
            let organization = try await place.organization()
            try await organization.apply(Self.everything)
            let text = """
                tiers:
                  - {name: "Standard: all", models: [gpt-4o-mini]}
                  - name: "# Premium"
                teams:
                  - name: research
                  - name: Search
                    cost_center: CC-7
                    budgets: [{name: monthly, amount: 600, thresholds: [50, 90], degrade: null}]
                    projects:
                      - {name: Ranker/é, tier: "Standard: all", settings: {owner: "no"}}
                endpoints: []
                """
            let expected = [
                "~ tier Standard: all: models [gpt-4o-mini, claude-*] → [gpt-4o-mini]", "+ team research",
                #"~ team Search: cost_center {"name":"0042","next":"CC-7","from":"2099-01-01T00:00:00Z"} → CC-7"#,
                ##"~ project Search/Ranker/é: tier # Premium → Standard: all, settings {"owner":"yes","ratio":1.50,"weird key: {}":[1,null,{"a":"b"}]} → {"owner":"no"}"##,
                #"~ budget Search/monthly: amount 1000.5 → 600, degrade {"models":{"gpt-4o":"gpt-4o-mini"},"from_percent":80} → none"#,
            ]
            let plan = try await organization.plan(text)
            #expect(plan.steps.map(\.description) == expected)
            let missing = [
                "team null", "project Search/Crawler", "endpoint #spend", "endpoint pager", "endpoint hook", "endpoint mail",
            ]
            #expect(plan.missing.map(\.description) == missing)
            #expect(try await organization.apply(text) == expected)
            #expect(try await organization.plan(text).steps.isEmpty)

            #expect(try await organization.apply(text, archivesMissing: true) == missing.reversed().map { "- \($0)" })
            let last = try await organization.plan("teams: []\nbudgets: []", archivesMissing: true)
            #expect(
                last.steps.map(\.description) == [
                    "- budget Search/Ranker/é/per user", "- budget Search/monthly", "- budget Ω", "- budget all",
                    "- project Search/Ranker/é", "- team research", "- team Search",
                ])
            try await organization.apply("teams: []\nbudgets: []", archivesMissing: true)
            #expect(try await organization.dump().contains("teams: []"))
        }
    }

    @Test("Every lost reply is asked for again, and everything is made once")
    func lostReplies() async throws {
        try await withPlace { place in
            let calm = try await place.organization()
            try await calm.apply(Self.everything)
            let lost = Mutex(0)
            let rough = try await place.organization { send in
                let last = Mutex("")
                return { request throws(OutboundError) in
                    let response = try await send(request)
                    // The first answer to every write is lost after the server has given it.
                    let key = request.headers.first { $0.name == "idempotency-key" }?.value ?? ""
                    guard !key.isEmpty, last.withLock({ $0 != key }) else { return response }
                    last.withLock { $0 = key }
                    lost.withLock { $0 += 1 }
                    throw .interrupted
                }
            }
            try await rough.apply(Self.everything)
            #expect(lost.withLock { $0 } >= 16)
            #expect(try await rough.dump() == calm.dump())
            #expect(try await rough.changesOnRecord() == calm.changesOnRecord())
        }
    }

    @Test("What breaks off says how far it came, and the same file does the rest", arguments: [0, 3, 9, 17])
    func halfWay(writes: Int) async throws {
        try await withPlace { place in
            let left = Mutex(writes)
            let organization = try await place.organization { send in
                { request throws(OutboundError) in
                    guard request.method != .get else { return try await send(request) }
                    let isBroken = left.withLock { left in
                        left -= 1
                        return left < 0
                    }
                    if isBroken { throw .unreachable }
                    return try await send(request)
                }
            }
            await #expect {
                try await organization.apply(Self.everything)
            } throws: {
                "\($0)".contains("no connection") && "\($0)".contains(" of 16 changes were made; run it again for the rest")
            }
            left.withLock { $0 = .max }
            try await organization.apply(Self.everything)
            #expect(try await organization.plan(Self.everything).steps.isEmpty)
            let calm = try await place.organization()
            try await calm.apply(Self.everything)
            #expect(try await organization.dump() == calm.dump())
        }
    }

    @Test("A share follows its budget, and is none of the file's business")
    func shares() async throws {
        try await withPlace { place in
            let organization = try await place.organization()
            func file(_ amount: Int) -> String { "budgets: [{name: all, unit: usd, period: month, amount: \(amount)}]" }
            try await organization.apply(file(500))
            let all = try #require(try await organization.api.list("/v1/budgets")[0]["id"]?.string)
            let share: JSON = ["name": "chat", "percent": "40", "match": ["features": ["chat"]]]
            _ = try await organization.api.write(.post, "/v1/budgets/\(all)/shares", share)
            #expect(try await !organization.dump().contains("chat"))
            try await organization.apply(file(600), archivesMissing: true)
            #expect(try await organization.plan(file(600), archivesMissing: true).steps.map(\.description) == [])
            let amounts = try await organization.api.list("/v1/budgets").map { $0["amount"]?["amount"]?.string }
            #expect(amounts == ["600.000000000000", "240.000000000000"], "\(amounts)")
        }
    }

    @Test("What somebody else changed meanwhile is not overwritten, and what the server refuses is told with its line")
    func refusals() async throws {
        try await withPlace { place in
            let organization = try await place.organization()
            try await organization.apply("budgets: [{name: all, unit: usd, period: month, amount: 500}]")
            let plan = try await organization.planned("budgets:\n  - {name: all, amount: 600}")
            try await organization.apply("budgets: [{name: all, amount: 550}]")
            var run = plan.run
            await #expect {
                try await run.run(plan.plan.steps) { _ in }
            } throws: {
                "\($0)".hasPrefix("o.yaml:2: budget all: it was changed by somebody else in the meantime\n0 of 1 changes were made")
            }
            #expect(try await organization.dump().contains("amount: 550"))

            func refused(_ text: String, secrets: [String: String] = [:], _ says: String) async {
                await #expect {
                    try await organization.apply(text, secrets: secrets)
                } throws: { error in
                    let said = "\(error)".contains(says)
                    if !said { Issue.record("\(error)") }
                    return said
                }
            }
            await refused("budgets: [{name: all, period: week}]", "o.yaml:1: /budgets/0/period cannot change: period month → week")
            await refused("teams: [{name: A, projects: [{name: P, tier: Gold}]}]", "names tier Gold, which is neither")
            await refused("tiers: [{name: A, rank: 1}]", "/tiers/0 is new and needs models, max_output_tokens")
            await refused("endpoints: [{name: A, kind: slack, url: '${ENV:NOT_SET}'}]", "needs the environment variable NOT_SET")
            await refused("endpoints: [{name: A, kind: slack, url: 'https://hooks.slack.com/x'}]", "is a secret: write ${ENV:NAME}")
            await refused("endpoints: [{name: A, kind: webhook, url: 'https://example.com'}]", "needs secret: ${ENV:NAME}")
            await refused("endpoints: [{name: A, kind: pigeon}]", "o.yaml:1: endpoint A: /kind must be one of")
            await refused(
                "teams: [{name: A}]\nbudgets:\n  - {name: B, unit: requests, period: day,\n     amount: 0.5}",
                "o.yaml:4: budget B: /amount must be a whole number in this unit\n1 of 2 changes were made")
            // Two budgets of one name are two things that a file cannot tell apart.
            for _ in 1...2 {
                _ = try await organization.api.write(.post, "/v1/budgets", ["name": "twin", "unit": "usd", "period": "day", "amount": "1"])
            }
            await refused("budgets: [{name: twin, amount: 2}]", "give them different names first")
            await #expect { try await organization.dump() } throws: { "\($0)".contains("budget twin could be any of bgt_") }

            let tiers = (1...201).map { "  - {name: T\($0), rank: \($0), models: [m], max_output_tokens: 1}\n" }.joined()
            await refused("tiers:\n" + tiers, "o.yaml:202: tier T201: There may be 200 tiers. Archive what is no longer needed.")
            await refused("tiers:\n" + tiers, "0 of 1 changes were made")
        }
    }

    @Test("The program says what is pending by its exit status, reads its key from the environment, and explains itself")
    func program() async throws {
        try await withPlace { place in
            let organization = try await place.organization()
            let file = place.folder + "/organization.yaml"
            try "teams: [{name: Search, budgets: [{name: monthly, unit: usd, period: month, amount: 500}]}]\n"
                .write(toFile: file, atomically: true, encoding: .utf8)
            let key = ["BURSAR_API_KEY": organization.api.apiKey]
            func bursar(_ arguments: [String], _ environment: [String: String]) throws -> (status: Int32, output: String) {
                try Program.run(arguments + ["--url", organization.api.url], environment: environment, keepsErrors: true)
            }
            let pending = "+ team Search\n+ budget Search/monthly\n"
            #expect(try bursar(["apply", "-f", file, "--dry-run"], key) == (2, pending))
            #expect(try bursar(["apply", "-f", file], key) == (0, pending))
            #expect(try bursar(["apply", "-f", file, "--dry-run"], key) == (0, ""))
            let dump = try bursar(["dump"], key)
            #expect(dump.status == 0 && dump.output.contains("- name: Search"))
            try dump.output.replacing("amount: 500", with: "amount: 600").write(toFile: file, atomically: true, encoding: .utf8)
            #expect(try bursar(["apply", "-f", file, "--dry-run"], key) == (2, "~ budget Search/monthly: amount 500 → 600\n"))

            #expect(
                try bursar(["dump"], [:]) == (
                    1, "Error: set BURSAR_API_KEY to the key of the organization's owner or of an admin, or say --api-key\n"
                ))
            #expect(try bursar(["dump"], ["BURSAR_API_KEY": "bur_no"]).output.contains("the server does not know the API key"))
            #expect(try bursar(["apply", "-f", place.folder + "/none"], key).output.contains("cannot read"))
        }
    }
}

/// A server of its own, and organizations on it.
private struct SetupWorld: Sendable {
    let url: String
    let folder: String
    let operatorAPI: SetupAPI
    let send: SetupAPI.Send

    /// - Parameter road: what happens to its requests on the way.
    func organization(_ road: (@escaping SetupAPI.Send) -> SetupAPI.Send = { $0 }) async throws -> SetupOrganization {
        let made = try await operatorAPI.write(.post, "/v1/organizations", ["name": "New"])
        let key = try #require(made["owner_key"]?["secret"]?.string)
        return SetupOrganization(api: SetupAPI(url: url, apiKey: key, send: road(send), pause: { _ in }))
    }
}

private struct SetupOrganization: Sendable {
    let api: SetupAPI

    func planned(
        _ text: String, archivesMissing: Bool = false, secrets: [String: String] = SetupTests.secrets
    ) async throws -> (plan: SetupPlan, run: SetupRun) {
        let file = try SetupFile(text, name: "o.yaml", now: .now())
        let state = try await SetupState.read(api, models: file.sections.contains(SetupSection(parent: .organization, kind: .model)))
        let secrets = SetupSecrets(environment: secrets)
        return (try SetupPlan(file, state, secrets, archivesMissing: archivesMissing), SetupRun(api, file, state, secrets))
    }

    func plan(
        _ text: String, archivesMissing: Bool = false, secrets: [String: String] = SetupTests.secrets
    ) async throws -> SetupPlan {
        try await planned(text, archivesMissing: archivesMissing, secrets: secrets).plan
    }

    /// The lines that were said.
    @discardableResult func apply(
        _ text: String, archivesMissing: Bool = false, secrets: [String: String] = SetupTests.secrets
    ) async throws -> [String] {
        var (plan, run) = try await planned(text, archivesMissing: archivesMissing, secrets: secrets)
        var lines: [String] = []
        try await run.run(plan.steps) { lines.append($0) }
        return lines
    }

    func dump() async throws -> String {
        var dump = try SetupDump(try await SetupState.read(api, models: true))
        return try dump.text()
    }

    func changesOnRecord() async throws -> [String] {
        try await api.list("/v1/audit-events").compactMap { $0["action"]?.string }
    }
}

private func withPlace(_ body: (SetupWorld) async throws -> Void) async throws {
    try await withFolder(cluster: true) { folder in
        let options = ["--embedded", "--data-directory", folder]
        let (program, client) = try Place.serve(options + ["--smtp-url", "smtp://127.0.0.1:1", "--smtp-sender", "b@example.com"])
        let keys = try JSON.parse(Program.run(["bootstrap", "--json"] + options).output)
        let outbound = OutboundClient(allowTargets: SetupAPI.privateNetworks, logger: testLogger)
        let url = "http://127.0.0.1:\(client.port)"
        let send = SetupAPI.sender(outbound)
        let api = SetupAPI(url: url, apiKey: try #require(keys["operator_key"]?.string), send: send, pause: { _ in })
        try await body(SetupWorld(url: url, folder: folder, operatorAPI: api, send: send))
        outbound.shutdown()
        program.send(SIGTERM)
        #expect(try program.end() == 0)
        try await client.shutdown()
    }
}
