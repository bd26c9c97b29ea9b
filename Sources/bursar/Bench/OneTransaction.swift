/// The way Bursar is measured against: one row-updating Postgres transaction a call, written with care (counters locked in one order,
/// prepared statements, a connection a client, no HTTP in between, so that it is not made to look worse than it is).
import Budgets
import Logging
import Postgres
import Store

/// One client of the careful one-transaction-per-call way, on its own connection.
struct OneTransaction {
    let organization: OrganizationID
    let project: ProjectID
    let apiKey: APIKeyID
    let budgets: [BudgetID]
    /// What each call holds and then costs on each budget.
    let quantity = Amount("0.003")!

    /// Takes a hold on every budget, in one transaction.
    func reserve(_ request: String, on connection: isolated PostgresConnection) throws -> ReservationID {
        let at = Instant.now()
        let id = ReservationID(at: at)
        try connection.transaction { connection in
            let counters = try connection.query(
                """
                SELECT settled, held, ceiling FROM budget_periods
                WHERE organization_id = \(organization) AND budget_id = ANY (\(budgets)) AND subject = '' AND period_start = 'epoch'
                ORDER BY budget_id FOR UPDATE
                """)
            for row in counters.rows {
                let (settled, held, ceiling) = try row.decode(as: (Amount, Amount, Amount).self)
                guard settled + held + quantity <= ceiling else { throw NoRoom() }
            }
            try connection.query(
                """
                UPDATE budget_periods SET held = held + \(quantity)
                WHERE organization_id = \(organization) AND budget_id = ANY (\(budgets)) AND subject = '' AND period_start = 'epoch'
                """)
            try connection.query(
                """
                INSERT INTO reservations
                    (organization_id, id, project_id, request_id, request_sha256, attribution_id, state, model, requested_model,
                     provider, service_tier, held, max_output_tokens, draws, created_at, expires_at)
                VALUES (\(organization), \(id), \(project), \(request), \(Bytea(Array(repeating: 0, count: 32))), \(id), 'held',
                        'gpt-4o', 'gpt-4o', 'openai', 'standard', \(quantity), 800, \(JSONB(text: "[]")), \(at),
                        \(at.adding(seconds: 600)))
                """)
        }
        return id
    }

    /// Books the cost of one reservation, in one transaction.
    func settle(_ id: ReservationID, on connection: isolated PostgresConnection) throws {
        let at = Instant.now()
        try connection.transaction { connection in
            try connection.query(
                """
                UPDATE reservations SET state = 'settled', resolved_at = \(at)
                WHERE organization_id = \(organization) AND id = \(id) AND state = 'held'
                """)
            try connection.query(
                """
                SELECT FROM budget_periods
                WHERE organization_id = \(organization) AND budget_id = ANY (\(budgets)) AND subject = '' AND period_start = 'epoch'
                ORDER BY budget_id FOR UPDATE
                """)
            try connection.query(
                """
                UPDATE budget_periods SET held = held - \(quantity), settled = settled + \(quantity)
                WHERE organization_id = \(organization) AND budget_id = ANY (\(budgets)) AND subject = '' AND period_start = 'epoch'
                """)
            try connection.query(
                """
                INSERT INTO ledger_entries
                    (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model,
                     provider, service_tier, lines, cost, overage, draws, is_late, outcome, version)
                VALUES (\(organization), \(id), \(id), \(id), \(at), \(at), '', 'gpt-4o', 'gpt-4o', 'openai', 'standard',
                        \(JSONB(text: "{}")), \(quantity), 0, \(JSONB(text: "[]")), false, 'ok', 1)
                """)
        }
    }

    struct NoRoom: Error {}
}
