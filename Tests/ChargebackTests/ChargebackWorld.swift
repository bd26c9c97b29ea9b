/// An organization whose ledger is written by hand: what the tests of statements start from.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Chargeback

/// In Berlin, with one team, a project for each cost centre, and one model: $1 a million input, $2 a million output units.
struct ChargebackWorld: Sendable {
    let database: PostgresConfiguration
    var organization = OrganizationID(high: 1, low: 1)
    static let model = "gpt-4o"

    /// A call: usage by kind with its dollars per million units, nil where no price is known.
    struct Entry: Sendable {
        var at: String
        var attribution: UInt64
        var feature: String?
        var model = ChargebackWorld.model
        var corrects: String?
        var lines: [(kind: String, quantity: Int64, price: Int64?)]

        init(
            at: String, attribution: UInt64, feature: String? = nil, corrects: String? = nil,
            lines: [(kind: String, quantity: Int64, price: Int64?)]
        ) {
            (self.at, self.attribution, self.feature, self.corrects, self.lines) = (at, attribution, feature, corrects, lines)
        }

        static func cost(_ quantity: Int64, _ price: Int64?) -> Amount { Amount(pico: Int128(quantity) * Int128(price ?? 0) * 1_000_000) }
        var cost: Amount { lines.reduce(.zero) { $0 + Entry.cost($1.quantity, $1.price) } }
        var json: JSONB {
            let members = lines.map { kind, quantity, price in
                let id = price.map { _ in "\"\(ChargebackWorld.price(kind).hexadecimal)\"" } ?? "null"
                return "\"\(kind)\":{\"quantity\":\(quantity),\"price\":\(id),\"cost\":\"\(Entry.cost(quantity, price))\"}"
            }
            return JSONB(text: "{\(members.joined(separator: ","))}")
        }
    }

    /// Whose key books adjustments and writes rules.
    static let apiKey = APIKeyID(high: 6, low: 100)
    static func project(_ place: UInt64) -> ProjectID { ProjectID(high: 4, low: place) }

    /// Of the kinds that have one, told apart by their names.
    static func price(_ kind: String) -> PriceID { PriceID(high: 8, low: UInt64(kind.utf8.count)) }

    /// - Parameter neighbour: whether there is another organization, in which everything has the same id: no wall may let it through.
    func create(costCenters: [String?], _ entries: [Entry], neighbour: Bool = Wall.ofThisRun != .both) async throws {
        if neighbour {
            var other = self
            other.organization = OrganizationID(high: 99, low: 99)
            try await other.create(costCenters: costCenters.map { $0 ?? "CC-0" }, entries, neighbour: false)
        }
        var queries: [Query] = [
            "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(organization), 'Acme', 'Europe/Berlin')",
            "INSERT INTO fences (organization_id) VALUES (\(organization))",
            "INSERT INTO teams (organization_id, id, name) VALUES (\(organization), \(TeamID(high: 3, low: 3)), 'Search')",
            """
            INSERT INTO api_keys (organization_id, id, name, role, secret_sha256, secret_hint)
            VALUES (\(organization), \(Self.apiKey), 'finance', 'finance', sha256(''), '')
            """,
            """
            INSERT INTO models (organization_id, id, name, provider)
            VALUES (\(organization), \(ModelID(high: 9, low: 9)), \(Self.model), 'openai')
            """,
            """
            INSERT INTO tiers (organization_id, id, name, rank, models, max_output_tokens)
            VALUES (\(organization), \(TierID(high: 5, low: 5)), 'Standard', 1, \(["*"]), 1000)
            """,
            """
            INSERT INTO prices (organization_id, id, model, usage_kind, amount_per_million, valid_from, source)
            VALUES (\(organization), \(Self.price("input")), \(Self.model), 'input', 1, '2020-01-01', 'test'),
                   (\(organization), \(Self.price("output")), \(Self.model), 'output', 2, '2020-01-01', 'test')
            """,
        ]
        for (index, costCenter) in costCenters.enumerated() {
            let place = UInt64(index + 1)
            queries += [
                """
                INSERT INTO projects (organization_id, id, team_id, tier_id, name, cost_center)
                VALUES (\(organization), \(ProjectID(high: 4, low: place)), \(TeamID(high: 3, low: 3)), \(TierID(high: 5, low: 5)),
                        \("Project \(place)"), \(costCenter))
                """,
                """
                INSERT INTO attributions
                    (organization_id, id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name, api_key_id,
                     api_key_name, environment)
                VALUES (\(organization), \(AttributionID(high: 2, low: place)), \(TeamID(high: 3, low: 3)), 'Search',
                        \(ProjectID(high: 4, low: place)), \("Project \(place)"), \(costCenter), \(TierID(high: 5, low: 5)), 'Standard',
                        \(APIKeyID(high: 6, low: place)), 'ci', 'production')
                """,
            ]
        }
        try await sql(queries)
        for entry in entries { try await book(entry) }
    }

    /// Books as an engine does: the fence rises with it.
    func book(_ entry: Entry) async throws {
        let at = try #require(Instant(rfc3339: entry.at))
        let id = EntryID(at: at)
        try await sql([
            "UPDATE fences SET version = version + 1 WHERE organization_id = \(organization)",
            """
            INSERT INTO ledger_entries
                (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model, provider,
                 service_tier, feature, lines, cost, overage, draws, is_late, outcome, corrects_at, version)
            SELECT \(organization), \(id), \(id), \(AttributionID(high: 2, low: entry.attribution)), \(at), \(at), 'r', \(entry.model),
                   \(entry.model), 'openai', 'standard', \(entry.feature), \(entry.json), \(entry.cost), 0, '[]', false, 'ok',
                   \(entry.corrects.flatMap { Instant(rfc3339: $0) }), version
            FROM fences WHERE organization_id = \(organization)
            """,
        ])
    }

    @discardableResult func sql(_ queries: [Query]) async throws -> [PostgresResult] {
        let connection = try await PostgresConnection.connect(database, logger: testLogger)
        let results = try await connection.flight(queries)
        await connection.close()
        return results
    }

    /// Proposes, closes and freezes.
    @discardableResult func close(_ month: StatementMonth, _ store: Store, at now: Instant) async throws -> StatementRecord {
        _ = try await store.propose(month, of: organization, by: "a", at: now)
        _ = try await store.close(month, of: organization, accepting: Set(StatementPoint.Name.allCases), by: "b", at: now)
        return try #require(try await finish(month, at: now))
    }

    func finish(_ month: StatementMonth, at now: Instant, timeout: Duration = .seconds(60)) async throws -> StatementRecord? {
        var own = database
        own.statementTimeout = timeout
        let connection = try await PostgresConnection.connect(own, logger: testLogger)
        defer { Task { await connection.close() } }
        return try await ClosingMonths.finish(month, of: organization, at: now, on: connection)
    }

    /// Renames a project's team, moves the project to it, and returns the attribution of its calls from now on.
    func move(project place: UInt64, toTeam name: String, costCenter: String?) async throws -> UInt64 {
        let (attribution, team) = (place + 100, TeamID(high: 3, low: place + 100))
        try await sql([
            "INSERT INTO teams (organization_id, id, name) VALUES (\(organization), \(team), \(name))",
            """
            UPDATE projects SET team_id = \(team), name = name || ' moved', cost_center = \(costCenter)
            WHERE organization_id = \(organization) AND id = \(Self.project(place))
            """,
            """
            INSERT INTO attributions
                (organization_id, id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name, api_key_id,
                 api_key_name, environment)
            VALUES (\(organization), \(AttributionID(high: 2, low: attribution)), \(team), \(name), \(Self.project(place)),
                    \("Project \(place) moved"), \(costCenter), \(TierID(high: 5, low: 5)), 'Standard',
                    \(APIKeyID(high: 6, low: place)), 'ci', 'staging')
            """,
        ])
        return attribution
    }

    /// Asks for an adjustment, or for a credit where it is below zero, unless it is another kind; and approves it.
    func adjust(
        _ amount: Amount, as kind: ChargeKind? = nil, feature: String? = nil, project place: UInt64, at: String, _ store: Store,
        now: Instant
    ) async throws {
        let new = NewAdjustment(
            id: AdjustmentID(at: now), kind: kind ?? (amount < .zero ? .credit : .adjustment), project: Self.project(place),
            feature: feature,
            amount: amount, reason: "a fee", occurredAt: try #require(Instant(rfc3339: at)))
        _ = try await store.requestAdjustment(new, of: organization, requestedBy: "a", rank: 1, at: now)
        _ = try await store.decide(
            .approve, on: new.id, of: organization, by: "b", apiKey: Self.apiKey, reason: nil, at: now, check: { _, _ in })
    }

    /// What administrators may do at any time.
    func renameEverything() async throws {
        try await sql([
            "UPDATE organizations SET name = 'Other' WHERE organization_id = \(organization)",
            "UPDATE teams SET name = name || ' renamed', cost_center = 'CC-9'",
            "UPDATE projects SET name = name || ' renamed', cost_center = 'CC-8', archived_at = now()",
            "UPDATE prices SET valid_to = now() WHERE valid_to IS NULL",
        ])
    }
}
