// A cost centre that changes on a date: each call is charged to the one in force when it was made.

import Testing

@testable import Budgets

struct CostCenterTests {
    private let date = FormWorld.at

    private func instant(_ seconds: Int64) -> Instant { date.adding(seconds: seconds) }

    @Test("set at once, for a date, for another date, and at once again")
    func set() {
        var center = CostCenter("A")
        center.set("B", from: instant(10), at: date)
        #expect(
            [-1, 9].map { center.name(at: instant($0)) } == ["A", "A"] && [10, 11].map { center.name(at: instant($0)) } == ["B", "B"])
        center.set("C", from: instant(20), at: instant(5))
        #expect(
            [5, 10, 19, 20].map { center.name(at: instant($0)) } == ["A", "A", "A", "C"], "what was set for a later date is forgotten")
        center.set(nil, from: instant(40), at: instant(30))
        #expect([30, 40].map { center.name(at: instant($0)) } == ["C", nil], "what came into force stays")
        center.set("D", from: nil, at: instant(35))
        #expect([35, 50].map { center.name(at: instant($0)) } == ["D", "D"])
    }

    /// The project's own and its team's, and what is charged before the date, at it, and a year later.
    static let cases: [(CostCenter, CostCenter, [String?])] = [
        (CostCenter(nil), CostCenter("T"), ["T", "T", "T"]), (CostCenter("P"), CostCenter("T"), ["P", "P", "P"]),
        (CostCenter(nil), CostCenter("T", next: "U", from: FormWorld.at), ["T", "U", "U"]),
        (CostCenter("P", next: nil, from: FormWorld.at), CostCenter("T"), ["P", "T", "T"]),
        (
            CostCenter(nil, next: "P", from: FormWorld.at), CostCenter("T", next: "U", from: FormWorld.at.adding(seconds: 5)),
            ["T", "P", "P"]
        ),
        (CostCenter(nil), CostCenter("T", next: nil, from: FormWorld.at), ["T", nil, nil]),
    ]

    @Test("the project's own goes before its team's, each by its date, to the microsecond", arguments: cases)
    func charged(own: CostCenter, team: CostCenter, expected: [String?]) {
        let project = Project(
            id: FormWorld.project, name: "P", team: FormWorld.team, tier: FormWorld.tier, costCenter: own, teamCostCenter: team,
            isSuspended: false)
        let instants = [Instant(microseconds: date.microseconds - 1), date, instant(365 * 86_400)]
        #expect(instants.map { project.costCenter(at: $0) } == expected)
    }

    @Test("one key of one project has an attribution for each cost centre, while the configuration stands")
    func attributions() {
        var world = FormWorld([], costCenter: CostCenter("A", next: "B", from: date))
        let centers = [-1, 0, -1].map { (seconds: Int64) -> String? in
            guard let held = world.reserve(at: instant(seconds)).reservation else { return nil }
            return world.state.attribution(held.attribution)?.costCenter
        }
        #expect(centers == ["A", "B", "A"])
    }
}
