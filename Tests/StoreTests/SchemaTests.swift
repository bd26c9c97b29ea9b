/// The schema's own law (design §11): it shards by organization as it stands. Asked of the catalogue, so no table can be forgotten.
import Postgres
import TestSupport
import Testing

@Suite("Schema")
struct SchemaTests {
    @Test("every table stands behind its wall, also before its owner, and nothing leads around it")
    func walls() async throws {
        try await withDatabase { database in
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            let tables = try await connection.query(
                """
                SELECT c.relname::text, c.relispartition, c.relrowsecurity AND c.relforcerowsecurity,
                       EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'wall' AND p.polcmd = '*'),
                       (SELECT count(*) FROM pg_policy AS p WHERE p.polrelid = c.oid),
                       has_table_privilege('bursar_service', c.oid, 'SELECT'), has_table_privilege('bursar_service', c.oid, 'TRUNCATE')
                FROM pg_class AS c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations'
                """)
            #expect(tables.rows.count >= 30)
            for row in tables.rows {
                let (table, isPartition, isForced, hasWall, policies, isReadable, isTruncatable) = try row.decode(
                    as: (String, Bool, Bool, Bool, Int64, Bool, Bool).self)
                let isOffered = ["models", "prices", "fences"].contains(table)
                if isPartition {
                    #expect(!isReadable || hasWall, "\(table)")
                } else {
                    #expect(isForced && hasWall && policies == (isOffered ? 2 : 1) && isReadable, "\(table)")
                }
                #expect(!isTruncatable, "\(table)")
            }
            let others = try await connection.query(
                """
                SELECT c.relname::text FROM pg_class AS c WHERE relnamespace = 'public'::regnamespace
                AND (relkind IN ('m', 'f') OR relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (reloptions), false))
                UNION ALL
                SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
                """)
            #expect(try others.rows.map { try $0.decode(as: String.self) } == ["add_ledger_month"], "this one writes no row but moves some")
            let written = try await connection.query(
                """
                SELECT t, p FROM unnest(ARRAY['audit_events', 'ledger_entries', 'attributions', 'statement_lines', 'statement_files']) AS t,
                                 unnest(ARRAY['UPDATE', 'DELETE']) AS p
                WHERE has_table_privilege('bursar_service', t, p)
                """)
            #expect(written.rows.isEmpty, "what has happened stays as it was written")
            let led = try await connection.query(
                """
                SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
                AND NOT coalesce('search_path=public, pg_temp' = ANY (proconfig), false)
                """)
            #expect(led.rows.isEmpty, "what runs as the owner looks for nothing in its caller's temporary tables")
            await connection.close()
        }
    }

    @Test("every table, unique key and foreign key leads with organization_id")
    func leadsWithOrganization() async throws {
        try await withDatabase { database in
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            let tables = try await connection.query(
                """
                SELECT relname::text, coalesce((SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1), '')
                FROM pg_class c
                WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations'
                """)
            #expect(tables.rows.count >= 15)
            for row in tables.rows {
                let (table, first) = try row.decode(as: (String, String).self)
                #expect(first == "organization_id", "table \(table)")
            }
            let keys = try await connection.query(
                """
                SELECT i.indexrelid::regclass::text, a.attname::text FROM pg_index i
                JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'schema_migrations'
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                WHERE i.indisunique
                UNION ALL
                SELECT f.conrelid::regclass::text || '.' || f.conname::text, a.attname::text FROM pg_constraint f
                JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
                WHERE f.contype = 'f' AND f.connamespace = 'public'::regnamespace
                UNION ALL
                SELECT f.conrelid::regclass::text || '.' || f.conname::text || ' (target)', a.attname::text FROM pg_constraint f
                JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = f.confkey[1]
                WHERE f.contype = 'f' AND f.connamespace = 'public'::regnamespace
                """)
            #expect(keys.rows.count >= 40)
            for row in keys.rows {
                let (name, first) = try row.decode(as: (String, String).self)
                #expect(first == "organization_id", "\(name)")
            }
            await connection.close()
        }
    }
}
