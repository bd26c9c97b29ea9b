/// What a set-up file may say, and how a faulty one is refused: each fault with its line, its place and the cure.
import Budgets
import JSON
import Testing

@testable import bursar

@Suite struct SetupFileTests {
    private static let now = Instant(rfc3339: "2026-11-21T12:00:00Z") ?? Instant(microseconds: 0)

    private func file(_ text: String) throws -> SetupFile { try SetupFile(text, name: "o.yaml", now: Self.now) }

    @Test("Values are as they are written, whatever YAML 1.1 would make of them")
    func values() throws {
        let objects = try file(
            """
            organization: {name: no, time_zone: Europe/Berlin}
            tiers:
              - {name: 0042, rank: 1, models: ["*", 4.10], max_output_tokens: 4096}
            teams:
              - name: Zürich 検索 🚀
                cost_center: 0010
                budgets: [{name: on, unit: usd, period: month, amount: 0.10, thresholds: []}]
                projects:
                  - name: "null"
                    settings: {country: no, ratio: 1.50, deep: {list: [1, "2", ~, true]}}
            endpoints:
            """
        ).objects
        func fields(_ key: SetupKey) -> JSON? { objects.first { $0.key == key }.map { .object($0.fields) } }
        #expect(fields(.organization) == ["name": "no", "time_zone": "Europe/Berlin"])
        let tier = SetupKey(kind: .tier, path: ["0042"])
        #expect(fields(tier) == ["rank": 1, "models": ["*", "4.10"], "max_output_tokens": 4096])
        let team = SetupKey(kind: .team, path: ["Zürich 検索 🚀"])
        #expect(fields(team) == ["cost_center": "0010"])
        #expect(fields(team.child(.budget, "on"))?["amount"] == "0.10")
        let settings = fields(team.child(.project, "null"))?["settings"]
        #expect(settings?.text == #"{"country":"no","ratio":1.50,"deep":{"list":[1,"2",null,true]}}"#)
    }

    @Test("JSON is a file too, and an empty one says nothing")
    func json() throws {
        #expect(try file(#"{"teams":[{"name":"A","cost_center":null}]}"#).objects.first?.fields["cost_center"] == .null)
        #expect(try file("# nothing yet\n").objects.isEmpty)
    }

    @Test("A change of cost centre is ahead until its date, and then the present")
    func costCenters() throws {
        func costCenter(_ from: String) throws -> JSON? {
            try file("teams: [{name: A, cost_center: {name: C1, next: C2, from: \(from)}}]").objects[0].fields["cost_center"]
        }
        #expect(try costCenter("2026-11-21T12:00:01Z") == ["name": "C1", "next": "C2", "from": "2026-11-21T12:00:01Z"])
        #expect(try costCenter("2026-11-21T12:00:00Z") == "C2")
    }

    @Test(
        "A fault is told with its line, its place and the cure",
        arguments: [
            ("teams:\n  - name: A\n    cost_centre: x", "o.yaml:3: /teams/0/cost_centre is no field of a team; did you mean cost_center?"),
            ("team: []", "o.yaml:1: /team is no field of an organization; did you mean teams?"),
            ("teams:\n  - {projects: []}", "o.yaml:2: /teams/0 needs a name, by which it is known in its parent"),
            ("teams:\n  - name: A\n  - name: A", "o.yaml:3: /teams/1 is team A a second time: the first is in line 2"),
            ("teams: A", "o.yaml:1: /teams must be a list"), ("- A", "o.yaml:1:  must be a mapping, name: value"),
            ("tiers:\n  - name: A\n    rank: 1.5", "o.yaml:3: /tiers/0/rank must be a whole number"),
            ("budgets: [{name: A, amount: much}]", "o.yaml:1: /budgets/0/amount must be a decimal number such as 500 or 0.25"),
            ("budgets: [{name: A, active_from: today}]", "/budgets/0/active_from must be a time such as 2027-01-01T00:00:00Z"),
            ("budgets: [{name: A, match: {model: [x]}}]", "/budgets/0/match/model is no field here; there are models, providers"),
            ("budgets: [{name: [A]}]", "/budgets/0/name must be a single value"),
            ("teams: [{name: A, projects: [{name: P, suspended: maybe}]}]", "/teams/0/projects/0/suspended must be true or false"),
            ("teams: [{name: A, projects: [{name: P, settings: {a: 0x1F}}]}]", "settings/a must be a number as JSON writes it"),
            ("teams: [{name: A, cost_center: {name: B, next: C}}]", "/teams/0/cost_center needs from"),
            ("teams: [{name: A, name: B}]", "o.yaml:1: has name twice in one place"),
            ("teams: [", "o.yaml:2: is no YAML: did not find expected node content"),
            ("teams: &a [*a]", "is no YAML"),
        ])
    func faults(text: String, says: String) {
        #expect { try file(text) } throws: { error in
            let said = "\(error)".contains(says)
            if !said { Issue.record("\(error)") }
            return said
        }
    }

    @Test("All faults of a file are told at once")
    func allFaults() {
        #expect { try file("tiers: [{name: A, rnk: 1}]\nteams: [{nam: B}]\nbudget: []") } throws: {
            "\($0)".split(separator: "\n").count == 3
        }
    }

    @Test(
        "Values are the same when they mean the same",
        arguments: [
            (SetupForm.amount, "500", "500.000000000000", true), (.amount, "500", "500.000000000001", false),
            (.instant, "2027-01-01T01:00:00+01:00", "2027-01-01T00:00:00Z", true), (.list(.text), .null, [], true),
            (.list(.amount), ["1.0"], ["1"], true), (.list(.text), ["a", "b"], ["b", "a"], false),
            (.free, ["a": 1, "b": ["c": .number("1.50")]], ["b": ["c": .number("1.5")], "a": 1], true),
            (.free, ["a": 1], ["a": "1"], false),
            (.object([SetupField("models", .list(.text))]), ["models": []], [:], true), (.text, .null, "", false),
        ] as [(SetupForm, JSON, JSON, Bool)])
    func same(form: SetupForm, left: JSON, right: JSON, isSame: Bool) {
        #expect(form.isSame(left, right) == isSame && form.isSame(right, left) == isSame)
    }
}
