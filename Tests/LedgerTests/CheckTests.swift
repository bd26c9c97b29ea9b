/// Each fact of `bursar check` is corrupted by hand, where need be with the constraint that forbids it removed, and found.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite("Check")
struct CheckTests {
    /// A fact and SQL that breaks it.
    static let corruptions: [(fact: String, sql: String)] = [
        ("settled_is_booked", "UPDATE budget_periods SET settled = settled + 0.000000000001 WHERE subject = ''"),
        ("settled_is_booked", "UPDATE ledger_entries SET draws = '[]'"),
        ("settled_is_booked", "DELETE FROM budget_periods"),
        ("held_is_open", "UPDATE budget_periods SET held = held + 1 WHERE ceiling IS NULL"),
        ("held_is_open", "UPDATE reservations SET state = 'released' WHERE state = 'held'"),
        (
            "never_over",
            "ALTER TABLE budget_periods DROP CONSTRAINT law_1_never_over; UPDATE budget_periods SET held = 1000000 WHERE ceiling IS NOT NULL"
        ),
        (
            "bursts_are_drawn",
            """
            INSERT INTO bursts (organization_id, id, budget_id, amount, starts_at, ends_at, reason, requested_by, requested_at,
                                review_due_at, held)
            SELECT organization_id, gen_random_uuid(), id, 5, now(), now() + interval '1 day', 'launch', gen_random_uuid(), now(), now(), 1
            FROM budgets
            """
        ),
        ("cost_is_lines", "UPDATE ledger_entries SET cost = cost + 0.000000000001"),
        (
            "adjustments_are_entries",
            """
            INSERT INTO adjustments (organization_id, id, kind, project_id, amount, reason, occurred_at, requested_by, requester_rank,
                                     requested_at, state, decided_by)
            SELECT organization_id, gen_random_uuid(), 'credit', id, -1, 'N', now(), 'key_1', 0, now(), 'booked', 'key_2' FROM projects
            """
        ),
        ("reversals_cancel", "UPDATE ledger_entries SET reverses_id = id"),
        ("spend_is_ledger", "UPDATE spend_rollups SET cost = cost - 0.000000000001 WHERE span = 'quarter'"),
        ("spend_is_ledger", "UPDATE spend_rollups SET calls = calls + 1"),
        ("spend_is_ledger", "DELETE FROM ledger_entries"),
        ("usage_is_ledger", "UPDATE usage_rollups SET quantity = quantity + 1 WHERE usage_kind = 'input'"),
        ("usage_is_ledger", "DELETE FROM usage_rollups WHERE usage_kind = 'output'"),
        ("spend_days_are_quarters", "UPDATE spend_rollups SET cost = cost + 1 WHERE span = 'day'"),
        ("spend_days_are_quarters", "DELETE FROM spend_rollups WHERE span = 'day'"),
        ("usage_days_are_quarters", "UPDATE usage_rollups SET cost = cost + 1 WHERE span = 'day'"),
        ("settled_has_one_entry", "UPDATE reservations SET state = 'expired' WHERE state = 'settled'"),
        ("settled_has_one_entry", "DELETE FROM ledger_entries"),
        (
            "settled_has_one_entry",
            """
            INSERT INTO ledger_entries SELECT (jsonb_populate_record(e, jsonb_build_object('occurred_at', e.occurred_at + interval '1 s'))).*
            FROM ledger_entries AS e
            """
        ),
        ("entry_has_reservation", "DELETE FROM reservations WHERE state = 'settled'"),
        ("holds_end", "UPDATE reservations SET expires_at = now() - interval '11 minutes' WHERE state = 'held'"),
        (
            "one_alert",
            """
            ALTER TABLE alerts DROP CONSTRAINT law_7_one_alert;
            INSERT INTO alerts SELECT (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid()))).* FROM alerts AS a
            """
        ),
        ("alert_has_event", "DELETE FROM deliveries; DELETE FROM events"),
        (
            "closed_is_ledger",
            """
            INSERT INTO statements (organization_id, id, month, starts_at, ends_at, state, edition, closing_at, closing_by, closing_version,
                                    organization_name, accounts, closed_at, calls, cost, lines, content_sha256)
            SELECT organization_id, gen_random_uuid(), '2020-01', '2020-01-01', '2020-02-01', 'closed', 1, now(), 'a', 1, 'Org', '{}', now(), 1,
                   1, 1, sha256('') FROM fences
            """
        ),
        (
            "splits_cancel",
            """
            ALTER TABLE statement_lines DISABLE TRIGGER keep_frozen_lines;
            ALTER TABLE statement_lines DROP CONSTRAINT statement_lines_organization_id_statement_id_fkey;
            INSERT INTO statement_lines (organization_id, statement_id, edition, line, consumed_at, attribution_id, provider, model, feature,
                                         usage_kind, price_id, calls, quantity, cost, split_id, split_ratio)
            SELECT organization_id, gen_random_uuid(), 1, 1, now(), id, 'bursar', 'split', 'Platform', 'split_even', gen_random_uuid(), 0, 0,
                   1, gen_random_uuid(), 1 FROM attributions
            """
        ),
        (
            "commitments_are_drawn",
            """
            ALTER TABLE commitment_draws DISABLE TRIGGER keep_frozen_lines;
            INSERT INTO commitments (organization_id, id, name, provider, models, amount, from_date, until_date, purchase_month)
            SELECT organization_id, md5('')::uuid, 'N', 'p', '{}', 1, '2020-01-01', '2020-02-01', '2020-01' FROM fences;
            INSERT INTO statements (organization_id, id, month, starts_at, ends_at, state, edition, closing_at, closing_by, closing_version,
                                    organization_name, accounts, closed_at, calls, cost, lines, content_sha256)
            SELECT organization_id, md5('')::uuid, '2020-01', '2020-01-01', '2020-02-01', 'closed', 1, now(), 'a', 1, 'Org', '{}', now(), 0,
                   0, 0, sha256('') FROM fences;
            INSERT INTO commitment_draws (organization_id, statement_id, edition, commitment_id, starts_at, ends_at, drawn_before, drawn, charged)
            SELECT organization_id, id, 1, id, starts_at, ends_at, 0, 1.000000000001, 0 FROM statements
            """
        ),
        ("event_has_deliveries", "DELETE FROM deliveries"),
        ("deliveries_move", "UPDATE deliveries SET next_attempt_at = now() - interval '11 minutes'"),
        ("deliveries_move", "UPDATE deliveries SET state = 'sending', lease_until = now() - interval '11 minutes'"),
        ("versions_are_past", "UPDATE fences SET version = 1"),
        (
            "rollups_follow",
            "UPDATE rollup_positions SET spend_version = 0; UPDATE ledger_entries SET booked_at = booked_at - interval '11 minutes'"
        ),
        (
            "audit_chain",
            """
            INSERT INTO teams (organization_id, id, name) SELECT organization_id, gen_random_uuid(), 'audited' FROM fences;
            ALTER TABLE audit_events DISABLE TRIGGER append_only; UPDATE audit_events SET actor = 'nobody'
            """
        ),
        ("months_exist", "SELECT detach(to_char(now() + interval '1 month', 'YYYY_MM'))"),
        (
            "months_exist",
            """
            INSERT INTO ledger_entries SELECT (jsonb_populate_record(e, jsonb_build_object('occurred_at', '2001-01-01'))).*
            FROM ledger_entries AS e
            """
        ),
    ]

    @Test("a sound database has no violations, and each corruption is found as what it is")
    func corruption() async throws {
        #expect(Set(Self.corruptions.map(\.fact)) == Set(Fact.all.map(\.name)), "each fact has a corruption")
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.budget("10", thresholds: [50])
            try await world.budget("1", enforcement: .warn)
            try await world.sql([
                """
                INSERT INTO endpoints (organization_id, id, name, kind, events, sealed, created_at)
                VALUES (\(world.organization), \(EndpointID(at: .now())), 'hook', 'webhook', '{budget.*}', '', now() - interval '1 minute')
                """
            ])
            try await world.withLedger { ledger in
                for (number, tokens) in [6_000_000, 1_500_000].enumerated() {
                    let held = await ledger.submit(world.reserve("r\(number)", tokens: Int64(tokens), output: 3), for: world.organization)
                    let id = try #require(held.reservation?.id)
                    let report = Report(usage: Usage([("input", Int64(tokens)), ("output", 2)])!)
                    let settle = Settle(
                        reservation: id, project: world.project, apiKey: world.apiKey, content: Array(repeating: 0, count: 32),
                        report: report,
                        at: .now())
                    #expect(await ledger.submit(.settle(settle), for: world.organization).word == "settled")
                }
                #expect(await ledger.submit(world.reserve("open"), for: world.organization).word == "held")
            }
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            try await connection.query(RollUps.adopt)
            try await RollUps.step(world.organization, on: connection)
            try await connection.script(
                """
                CREATE FUNCTION detach(month text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                    EXECUTE format('DROP TABLE %I', 'ledger_entries_' || month);
                END $$
                """)
            let sound = try await Check.run(on: connection)
            #expect(sound.violations == 0, "\(sound.findings.flatMap(\.samples))")
            // The platform, the world, and behind one wall alone a neighbour.
            #expect(sound.organizations == (Wall.ofThisRun == .both ? 2 : 3))
            #expect(sound.figures.oldestHoldAge != nil && sound.figures.lastCommitAge != nil && sound.figures.entriesNotRolledUp == 0)

            for (fact, sql) in Self.corruptions {
                try await connection.script("BEGIN; \(sql)")
                let report = try await Check.run(on: connection)
                let finding = try #require(report.findings.first { $0.fact.name == fact })
                #expect(finding.count > 0 && !finding.samples.isEmpty, "\(fact) survives: \(sql)")
                #expect(finding.samples.count <= Fact.maximumSamples)
                try await connection.script("ROLLBACK")
            }
            let again = try await Check.run(on: connection)
            #expect(again.violations == 0)
            await connection.close()
        }
    }
}
