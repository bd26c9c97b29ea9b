/// The organization that the bench loads: one team, projects with a key each, and on every call's path three blocking budgets that
/// never run out.
import Budgets
import Postgres
import Store

struct BenchWorld: Sendable {
    static let projectCount = 16

    let organization: OrganizationID
    let projects: [ProjectID]
    let apiKeys: [APIKeyID]
    /// What the projects' keys are, in the projects' order.
    let secrets: [String]
    /// The counters of the one-transaction way: the same three levels.
    let baseline: OneTransaction

    static func create(_ configuration: PostgresConfiguration) async throws -> BenchWorld {
        try await breakIn(configuration)
        let connection = try await PostgresConnection.connect(configuration, logger: quiet)
        let at = Instant.now()
        let organization = OrganizationID(at: at)
        let team = TeamID(at: at)
        let tier = TierID(at: at)
        let keys = (0..<projectCount).map { _ in APIKeySecret() }
        let projects = keys.map { _ in ProjectID(at: at) }
        let ids = keys.map { _ in APIKeyID(at: at) }
        var queries: [Query] = [
            "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(organization), \("bench " + organization.hexadecimal), 'UTC')",
            "INSERT INTO fences (organization_id) VALUES (\(organization))",
            "INSERT INTO teams (organization_id, id, name) VALUES (\(organization), \(team), 'Bench')",
            """
            INSERT INTO tiers (organization_id, id, name, rank, models, max_output_tokens)
            VALUES (\(organization), \(tier), 'All', 1, '{*}', 4096)
            """,
            """
            INSERT INTO models (organization_id, id, name, provider) VALUES (\(organization), \(ModelID(at: at)), 'gpt-4o', 'openai')
            """,
            """
            INSERT INTO prices (organization_id, id, model, usage_kind, amount_per_million, valid_from, source)
            VALUES (\(organization), \(PriceID(at: at)), 'gpt-4o', 'input', 2.5, 'epoch', 'bench'),
                   (\(organization), \(PriceID(at: at)), 'gpt-4o', 'output', 10, 'epoch', 'bench')
            """,
        ]
        for (index, key) in keys.enumerated() {
            queries.append(
                """
                INSERT INTO projects (organization_id, id, team_id, tier_id, name)
                VALUES (\(organization), \(projects[index]), \(team), \(tier), \("Project \(index)"))
                """)
            queries.append(
                """
                INSERT INTO api_keys (organization_id, id, name, project_id, secret_sha256, secret_hint)
                VALUES (\(organization), \(ids[index]), 'bench', \(projects[index]), \(Bytea(Array(key.sha256))), \(key.hint))
                """)
            queries.append(budget(organization, project: projects[index]))
        }
        queries.append(budget(organization))
        queries.append(budget(organization, team: team))
        let baseline = OneTransaction(
            organization: organization, project: projects[0], apiKey: ids[0], budgets: (0..<3).map { _ in BudgetID(at: at) })
        for id in baseline.budgets {
            queries.append(budget(organization, id: id, isArchived: true))
            queries.append(
                """
                INSERT INTO budget_periods (organization_id, budget_id, subject, period_start, settled, held, ceiling)
                VALUES (\(organization), \(id), '', 'epoch', 0, 0, \(Amount.maximum))
                """)
        }
        try await connection.flight(queries)
        await connection.close()
        return BenchWorld(
            organization: organization, projects: projects, apiKeys: ids, secrets: keys.map(\.text), baseline: baseline)
    }

    /// Fills the write-ahead log once round, as that of any server that has run for an hour is: a new segment is 16 MiB of zeroes to
    /// be written and synced first, and each stalls all commits for some 50 ms.
    private static func breakIn(_ configuration: PostgresConfiguration) async throws {
        var patient = configuration
        patient.statementTimeout = .seconds(120)
        let connection = try await PostgresConnection.connect(patient, logger: quiet)
        try await connection.query("ALTER SYSTEM SET min_wal_size = '1GB'")
        try await connection.query("SELECT pg_reload_conf()")
        try await connection.query(
            "SELECT count(pg_logical_emit_message(false, 'bench', repeat('x', 1000000))) FROM generate_series(1, 800)")
        try await connection.query("CHECKPOINT")
        await connection.close()
    }

    private static func budget(
        _ organization: OrganizationID, id: BudgetID = BudgetID(at: .now()), team: TeamID? = nil, project: ProjectID? = nil,
        isArchived: Bool = false
    ) -> Query {
        """
        INSERT INTO budgets (organization_id, id, name, team_id, project_id, unit, period, amount, enforcement, archived_at)
        VALUES (\(organization), \(id), 'Bench', \(team), \(project), 'usd', 'month', \(Amount.maximum), 'block',
                \(isArchived ? Instant(seconds: 0) : nil))
        """
    }
}
