/// A small organization in a fresh database, and the engine on it: what every test of the ledger starts from.
import Budgets
import Postgres
import Store
import Synchronization
import TestSupport

@testable import Ledger

/// One team, one project on one tier, one API key, and one model: $1 per million input, $2 per million output tokens.
struct World: Sendable {
    var configuration: PostgresConfiguration
    let organization: OrganizationID
    let team: TeamID
    var project: ProjectID
    let tier: TierID
    var apiKey: APIKeyID
    static let model = "test-model"

    /// Creates the organization.
    /// - Parameter neighbour: whether there is another one, whose budget has no room for anything: no wall may let it through.
    static func create(_ configuration: PostgresConfiguration, neighbour: Bool = Wall.ofThisRun != .both) async throws -> World {
        if neighbour { try await create(configuration, neighbour: false).budget("0") }
        let at = Instant.now()
        let world = World(
            configuration: configuration, organization: OrganizationID(at: at), team: TeamID(at: at), project: ProjectID(at: at),
            tier: TierID(at: at), apiKey: APIKeyID(at: at))
        let (o, long) = (world.organization, Instant(seconds: 0))
        try await world.sql([
            "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(o), \("Org " + o.hexadecimal), 'UTC')",
            "INSERT INTO fences (organization_id) VALUES (\(o))",
            "INSERT INTO teams (organization_id, id, name, cost_center) VALUES (\(o), \(world.team), 'Search', 'CC-1')",
            """
            INSERT INTO tiers (organization_id, id, name, rank, models, max_output_tokens)
            VALUES (\(o), \(world.tier), 'Standard', 1, \(["test-*"]), 1000000)
            """,
            """
            INSERT INTO projects (organization_id, id, team_id, tier_id, name)
            VALUES (\(o), \(world.project), \(world.team), \(world.tier), 'Ranker')
            """,
            """
            INSERT INTO api_keys (organization_id, id, name, project_id, secret_sha256, secret_hint)
            VALUES (\(o), \(world.apiKey), 'ci', \(world.project), sha256(\(o.hexadecimal)::text::bytea), 'bur_…')
            """,
            """
            INSERT INTO models (organization_id, id, name, provider) VALUES (\(o), \(ModelID(at: at)), \(World.model), 'test')
            """,
            """
            INSERT INTO prices (organization_id, id, model, usage_kind, amount_per_million, valid_from, source)
            VALUES (\(o), \(PriceID(at: at)), \(World.model), 'input', 1, \(long), 'test'),
                   (\(o), \(PriceID(at: at)), \(World.model), 'output', 2, \(long), 'test')
            """,
        ])
        return world
    }

    /// Runs statements in one Postgres transaction on a connection of its own.
    @discardableResult func sql(_ queries: [Query]) async throws -> [PostgresResult] {
        let connection = try await PostgresConnection.connect(configuration, logger: testLogger)
        let results = try await connection.flight(queries)
        await connection.close()
        return results
    }

    /// Adds a budget of the organization, as an admin would: with the fence raised.
    @discardableResult func budget(
        _ amount: String, unit: BudgetUnit = .usd, period: Period = .total, per: BudgetPer? = nil, enforcement: Enforcement = .block,
        thresholds: [Int64] = [70, 80, 90, 100]
    ) async throws -> BudgetID {
        let id = BudgetID(at: .now())
        try await sql([
            Fences.raiseConfiguration(organization),
            """
            INSERT INTO budgets (organization_id, id, name, per, unit, period, amount, thresholds, enforcement)
            VALUES (\(organization), \(id), \("Budget \(amount) \(unit)"), \(per?.rawValue), \(unit.rawValue), \(period.rawValue),
                    \(Amount(amount)!), \(thresholds), \(enforcement.rawValue))
            """,
        ])
        return id
    }

    /// Runs the engine beside the body.
    func withLedger<T: Sendable>(
        lanes: Int = 2, batchBound: Int = 512, sweepInterval: Duration = .milliseconds(50),
        now: @escaping @Sendable () -> Instant = Instant.now, onAlerts: @escaping @Sendable () -> Void = {},
        _ body: (Ledger) async throws -> T
    ) async throws -> T {
        let ledger = Ledger(
            configuration.serving, laneCount: lanes, batchBound: batchBound, sweepInterval: sweepInterval, now: now, onAlerts: onAlerts,
            logger: testLogger)
        async let running: Void = ledger.run()
        await ledger.connected()
        let result: Result<T, any Error>
        do { result = .success(try await body(ledger)) } catch { result = .failure(error) }
        ledger.finish()
        try await running
        return try result.get()
    }

    // MARK: commands

    /// A reservation for so many input tokens: one token costs a millionth of a dollar, so a million of them hold one dollar.
    func reserve(
        _ request: String, tokens: Int64 = 1_000_000, output: Int64 = 0, endUser: String? = nil, timeToLive: Int64 = 600,
        content: UInt8 = 0, at: Instant = .now()
    ) -> Command {
        .reserve(
            Reserve(
                id: ReservationID(at: at), request: RequestID(project: project, text: request),
                content: Array(repeating: content, count: 32),
                call: Call(project: project, apiKey: apiKey, model: World.model, endUser: endUser), inputTokens: tokens,
                maxOutputTokens: output, timeToLive: timeToLive, at: at))
    }

    func settle(_ reservation: ReservationID, tokens: Int64, content: UInt8 = 0, at: Instant = .now()) -> Command {
        .settle(
            Settle(
                reservation: reservation, project: project, apiKey: apiKey, content: Array(repeating: content, count: 32),
                report: Report(usage: Usage([("input", tokens)])!), at: at))
    }

    /// A call that was made without a reservation.
    func book(_ request: String, tokens: Int64, at: Instant = .now()) -> Command {
        .book(
            Book(
                id: ReservationID(at: at), request: RequestID(project: project, text: request), content: Array(repeating: 0, count: 32),
                call: Call(project: project, apiKey: apiKey, model: World.model), report: Report(usage: Usage([("input", tokens)])!),
                occurredAt: at, at: at))
    }

    func release(_ reservation: ReservationID) -> Command {
        .release(Release(reservation: reservation, project: project, apiKey: apiKey, at: .now()))
    }

    // MARK: what Postgres says

    struct Totals: Equatable, Sendable {
        var settled: String
        var held: String
        var entries: Int64
        var open: Int64
    }

    /// One budget's counters summed, with the ledger's and the reservations' own sums, which must agree with them (law 5).
    func totals(_ budget: BudgetID) async throws -> Totals {
        // One statement, so one snapshot: engines may be at work.
        let results = try await sql([
            """
            SELECT c.*, e.*, r.* FROM (
                SELECT coalesce(sum(settled), 0), coalesce(sum(held), 0) FROM budget_periods
                WHERE organization_id = \(organization) AND budget_id = \(budget)
            ) AS c, (
                SELECT count(*), coalesce(sum((d ->> 'quantity')::numeric), 0) FROM ledger_entries, jsonb_array_elements(draws) AS d
                WHERE organization_id = \(organization) AND (d ->> 'budget')::uuid = \(budget)
            ) AS e, (
                SELECT count(*), coalesce(sum((d ->> 'quantity')::numeric), 0) FROM reservations, jsonb_array_elements(draws::jsonb) AS d
                WHERE organization_id = \(organization) AND state = 'held' AND (d ->> 'budget')::uuid = \(budget)
            ) AS r
            """
        ])
        let (settled, held, entries, booked, open, holding) = try results[0].rows[0].decode(
            as: (Amount, Amount, Int64, Amount, Int64, Amount).self)
        guard settled == booked, held == holding else {
            throw Disagreement(counters: "\(settled) settled, \(held) held", ledger: "\(booked) booked, \(holding) held")
        }
        return Totals(settled: settled.plain, held: held.plain, entries: entries, open: open)
    }

    struct Disagreement: Error {
        let counters: String
        let ledger: String
    }
}

extension Ledger {
    /// Returns once every lane has its connection: a command is answered `storeUnavailable` until then.
    func connected() async {
        while !isConnected { await Task.yield() }
    }
}

extension Outcome {
    /// The outcome as a word for tables.
    var word: String {
        switch self {
        case .reserved(_, _, let isReplay): isReplay ? "held again" : "held"
        case .settled(let reservation, _, let isReplay):
            (isReplay ? "settled again" : "settled") + (reservation.entry?.isLate == true ? " late" : "")
        case .released(_, let isReplay): isReplay ? "released again" : "released"
        case .expired: "expired"
        case .allowance(let allowance): allowance.refusal.map { "would be \($0.code)" } ?? "allowed"
        case .refused(let refusal): "\(refusal.code)"
        case .overloaded: "overloaded"
        case .storeUnavailable: "store_unavailable"
        case .failed: "internal_error"
        }
    }

    var reservation: Reservation? {
        switch self {
        case .reserved(let reservation, _, _), .settled(let reservation, _, _), .released(let reservation, _): reservation
        default: nil
        }
    }
}
