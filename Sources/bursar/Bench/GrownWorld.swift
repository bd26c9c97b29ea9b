/// Fills a database with years of work in minutes: organizations whose entries, counters, reservations and roll-ups agree as if every
/// call had been made (`bursar check` finds nothing). Rows are made inside Postgres, which is faster than COPY of the same rows.
import Budgets
import Postgres
import Store

struct GrownWorld: Sendable {
    /// How much there is in all.
    struct Size: Sendable {
        var entries: Int64
        var budgets: Int64
        /// End users that a budget of the first organization counts one by one.
        var subjects: Int64
        var organizations: Int64
        /// Over how many days up to now the calls were made.
        var days: Int64
    }

    /// Of the first organization, which has half of everything.
    let organization: OrganizationID
    let secret: String
    /// Features of each project that have a budget of their own.
    private let features: Int64

    /// Of all organizations: none of its midnights is one of UTC's, so nothing is fast for want of a zone.
    static var zone: Zone { Zone("Asia/Kolkata") ?? .utc }
    private static let teams: Int64 = 10
    private static let projects: Int64 = 50
    /// Entries made by one statement.
    private static let chunk: Int64 = 250_000
    /// Entries of one fence version, as a lane under load commits them. The first is 2, as in life: a fence begins at 1.
    private static let perVersion: Int64 = 40

    static func create(_ size: Size, _ configuration: PostgresConfiguration, progress: (String) -> Void) async throws -> GrownWorld {
        var patient = configuration
        patient.statementTimeout = .seconds(1800)
        patient.settings["work_mem"] = "64MB"
        patient.settings["synchronous_commit"] = "off"
        let connection = try await PostgresConnection.connect(patient, logger: quiet)
        let at = Instant.now()
        for month in 0...(size.days / 28 + 1) { try await connection.query(LedgerMonths.add(-month, from: at)) }
        var first: GrownWorld?
        for number in 0..<size.organizations {
            let others = max(1, size.organizations - 1)
            func part(_ all: Int64) -> Int64 { number == 0 ? all - all / 2 : all / 2 / others }
            let world = try await structure(number, budgets: max(12, size.budgets / size.organizations), on: connection, at: at)
            first = first ?? world
            let entries = size.organizations == 1 ? size.entries : part(size.entries)
            let subjects = max(1, size.organizations == 1 ? size.subjects : part(size.subjects))
            for start in stride(from: 0, to: entries, by: Int(chunk)) {
                progress("organization \(number + 1) of \(size.organizations): \(start) of \(entries) entries")
                try await connection.query(
                    book(world, from: start, to: min(start + chunk, entries), of: entries, subjects, size.days, at: at))
            }
            progress("organization \(number + 1) of \(size.organizations): reservations, counters and roll-ups")
            for query in derived(world.organization, entries: entries, at: at) { try await connection.query(query) }
            try await rollUp(world.organization, on: connection)
        }
        for table: Query in [
            "VACUUM (ANALYZE) ledger_entries", "VACUUM (ANALYZE) reservations", "VACUUM (ANALYZE) budget_periods", "ANALYZE",
        ] {
            try await connection.query(table)
        }
        try await connection.query("CHECKPOINT")
        await connection.close()
        guard let first else { throw CommandError("a world needs an organization") }
        return first
    }

    /// Rolls everything up, in larger steps than the server's follower takes, which may be at it too: then its step is waited for.
    private static func rollUp(_ organization: OrganizationID, on connection: PostgresConnection) async throws {
        try await connection.query(RollUps.adopt)
        let isBehind: Query = """
            SELECT f.version > p.spend_version FROM fences AS f JOIN rollup_positions AS p USING (organization_id)
            WHERE organization_id = \(organization) FOR UPDATE OF p
            """
        while try await connection.query(isBehind).rows.first?.decode(as: Bool.self) == true {
            try await RollUps.step(organization, maximumEntries: 500_000, on: connection)
        }
    }

    /// Teams, projects with a key each, models, prices, and budgets: one of the organization, one for each of its end users, one a team,
    /// and the rest for single features of single projects. Ids are hashes of numbers, so that SQL can name them.
    private static func structure(
        _ number: Int64, budgets: Int64, on connection: PostgresConnection, at: Instant
    ) async throws -> GrownWorld {
        let organization = OrganizationID(at: at)
        let key = APIKeySecret()
        let features = max(1, (budgets - 2 - teams) / projects)
        try await connection.flight([
            "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(organization), \("Grown \(number)"), \(zone.identifier))",
            "INSERT INTO fences (organization_id) VALUES (\(organization))",
            """
            INSERT INTO teams (organization_id, id, name, cost_center)
            SELECT \(organization), md5('team' || n)::uuid, 'Team ' || n, 'CC-' || n FROM generate_series(0, \(teams) - 1) AS n
            """,
            """
            INSERT INTO tiers (organization_id, id, name, rank, models, max_output_tokens)
            VALUES (\(organization), md5('tier')::uuid, 'All', 1, '{*}', 4096)
            """,
            """
            INSERT INTO models (organization_id, id, name, provider)
            VALUES (\(organization), md5('model0')::uuid, 'gpt-4o', 'openai'), (\(organization), md5('model1')::uuid, 'gpt-4o-mini', 'openai'),
                   (\(organization), md5('model2')::uuid, 'claude-sonnet', 'anthropic'), (\(organization), md5('model3')::uuid, 'claude-haiku', 'anthropic')
            """,
            """
            INSERT INTO prices (organization_id, id, model, usage_kind, amount_per_million, valid_from, source)
            SELECT organization_id, md5(kind || name)::uuid, name, kind, CASE kind WHEN 'input' THEN 2.5 ELSE 10 END, 'epoch', 'grown'
            FROM models, unnest('{input,output}'::text[]) AS kind WHERE organization_id = \(organization)
            """,
            """
            INSERT INTO projects (organization_id, id, team_id, tier_id, name)
            SELECT \(organization), md5('project' || n)::uuid, md5('team' || n % \(teams))::uuid, md5('tier')::uuid, 'Project ' || n
            FROM generate_series(0, \(projects) - 1) AS n
            """,
            """
            INSERT INTO api_keys (organization_id, id, name, project_id, secret_sha256, secret_hint)
            SELECT \(organization), md5('key' || n)::uuid, 'ci', md5('project' || n)::uuid,
                   CASE n WHEN 0 THEN \(Bytea(Array(key.sha256))) ELSE sha256((\(organization)::text || n)::bytea) END, 'bur_…'
            FROM generate_series(0, \(projects) - 1) AS n
            """,
            """
            INSERT INTO attributions (organization_id, id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name,
                                      api_key_id, api_key_name, environment)
            SELECT \(organization), md5('attribution' || n)::uuid, md5('team' || n % \(teams))::uuid, 'Team ' || n % \(teams),
                   md5('project' || n)::uuid, 'Project ' || n, 'CC-' || n % \(teams), md5('tier')::uuid, 'All', md5('key' || n)::uuid, 'ci',
                   'production'
            FROM generate_series(0, \(projects) - 1) AS n
            """,
            """
            INSERT INTO budgets (organization_id, id, name, per, team_id, project_id, match, unit, period, amount, enforcement)
            SELECT \(organization), md5('organization')::uuid, 'All', NULL, NULL::uuid, NULL::uuid, '{}'::jsonb, 'usd', 'month',
                   \(Amount.maximum), 'block'
            UNION ALL
            SELECT \(organization), md5('users')::uuid, 'Each user', 'end_user', NULL, NULL, '{}', 'usd', 'month', \(Amount.maximum), 'block'
            UNION ALL
            SELECT \(organization), md5('budget of team' || n)::uuid, 'Team ' || n, NULL, md5('team' || n)::uuid, NULL, '{}', 'usd', 'month',
                   \(Amount.maximum), 'block'
            FROM generate_series(0, \(teams) - 1) AS n
            UNION ALL
            SELECT \(organization), md5('budget of project' || p || ' feature' || f)::uuid, 'Feature ' || f, NULL, NULL,
                   md5('project' || p)::uuid, jsonb_build_object('features', jsonb_build_array('feature-' || f)), 'usd', 'month',
                   \(Amount.maximum), 'block'
            FROM generate_series(0, \(projects) - 1) AS p, generate_series(0, \(features) - 1) AS f
            """,
        ])
        return GrownWorld(organization: organization, secret: key.text, features: features)
    }

    /// Entries `from` up to, not including, `to`, in the order of their versions. Projects, features and users are chosen unevenly, as
    /// they are in life: the square of an even share.
    private static func book(
        _ world: GrownWorld, from: Int64, to: Int64, of entries: Int64, _ subjects: Int64, _ days: Int64, at: Instant
    ) -> Query {
        """
        INSERT INTO ledger_entries
            (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model, provider,
             service_tier, end_user, feature, lines, cost, overage, draws, is_late, outcome, latency_ms, version)
        WITH made AS MATERIALIZED (
            SELECT n, (power(random(), 2) * \(projects))::bigint % \(projects) AS project, floor(random() * 4)::bigint AS model,
                   floor(power(random(), 2) * least(5, \(world.features)))::bigint AS feature, floor(power(random(), 2) * \(subjects))::bigint AS subject,
                   \(at) - (\(entries) - n) * (\(days) * interval '1 day' / \(entries)) - interval '1 second' AS occurred_at,
                   1 + floor(random() * 4000)::bigint AS input, 1 + floor(random() * 800)::bigint AS output
            FROM generate_series(\(from), \(to) - 1) AS n
        ), priced AS (
            SELECT *, ('{gpt-4o,gpt-4o-mini,claude-sonnet,claude-haiku}'::text[])[model + 1] AS model_name,
                   input * 0.0000025 AS input_cost, output * 0.00001 AS output_cost, input * 0.0000025 + output * 0.00001 AS cost,
                   to_char(date_trunc('month', occurred_at, \(zone.identifier)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS period,
                   (lpad(to_hex((extract(epoch FROM occurred_at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
                    || substr(md5(n::text), 4, 15))::uuid AS id
            FROM made
        )
        SELECT \(world.organization), id, id, md5('attribution' || project)::uuid, occurred_at, occurred_at + interval '1 second', 'grown-' || n,
               model_name, model_name, CASE WHEN model < 2 THEN 'openai' ELSE 'anthropic' END, 'standard', 'user-' || subject,
               'feature-' || feature,
               jsonb_build_object(
                   'input', jsonb_build_object('quantity', input, 'price', md5('input' || model_name)::uuid, 'cost', input_cost::text),
                   'output', jsonb_build_object('quantity', output, 'price', md5('output' || model_name)::uuid, 'cost', output_cost::text)),
               cost, 0,
               (SELECT jsonb_agg(jsonb_build_object('budget', budget, 'subject', subject, 'period_start', period, 'quantity', cost::text,
                                                    'amount', '1000', 'settled', '0', 'held', '0'))
                FROM (VALUES (md5('organization')::uuid, ''), (md5('users')::uuid, 'user-' || priced.subject),
                             (md5('budget of team' || project % \(teams))::uuid, ''),
                             (md5('budget of project' || project || ' feature' || feature)::uuid, '')) AS draws (budget, subject)),
               false, 'ok', 900, 2 + n / \(perVersion)
        FROM priced
        """
    }

    /// What follows from the entries: the reservations of the last 35 days (older ones may be forgotten, law 4), the counters, the fence.
    private static func derived(_ organization: OrganizationID, entries: Int64, at: Instant) -> [Query] {
        [
            """
            INSERT INTO reservations
                (organization_id, id, project_id, request_id, request_sha256, attribution_id, state, model, requested_model, provider,
                 service_tier, end_user, feature, held, max_output_tokens, draws, created_at, expires_at, resolved_at, settle_sha256)
            SELECT e.organization_id, e.id, a.project_id, e.request_id, sha256(e.request_id::bytea), e.attribution_id, 'settled', e.model,
                   e.requested_model, e.provider, e.service_tier, e.end_user, e.feature, e.cost, 800, e.draws, e.occurred_at,
                   e.occurred_at + interval '10 minutes', e.booked_at, sha256(e.request_id::bytea)
            FROM ledger_entries AS e JOIN attributions AS a ON a.organization_id = e.organization_id AND a.id = e.attribution_id
            WHERE e.organization_id = \(organization) AND e.occurred_at > \(at) - interval '35 days'
            """,
            """
            INSERT INTO budget_periods (organization_id, budget_id, subject, period_start, settled, held, ceiling)
            WITH months AS MATERIALIZED (
                SELECT date_trunc('month', occurred_at, \(zone.identifier)) AS month, attribution_id, feature, end_user, sum(cost) AS cost
                FROM ledger_entries WHERE organization_id = \(organization) GROUP BY 1, 2, 3, 4
            ), named AS (
                SELECT m.*, n, n % \(teams) AS team FROM months AS m JOIN generate_series(0, \(projects) - 1) AS n ON md5('attribution' || n)::uuid = attribution_id
            ), sums AS (
                SELECT md5('organization')::uuid AS budget, '' AS subject, month, sum(cost) AS cost FROM months GROUP BY month
                UNION ALL SELECT md5('users')::uuid, end_user, month, sum(cost) FROM months GROUP BY end_user, month
                UNION ALL SELECT md5('budget of team' || team)::uuid, '', month, sum(cost) FROM named GROUP BY team, month
                UNION ALL SELECT md5('budget of project' || n || ' feature' || substr(feature, 9))::uuid, '', month, sum(cost)
                FROM named GROUP BY n, feature, month
            )
            SELECT \(organization), budget, subject, month, cost, 0, \(Amount.maximum) FROM sums
            """,
            "UPDATE fences SET version = \(entries / perVersion + 3) WHERE organization_id = \(organization)",
        ]
    }
}
