/// The schema's own law (design §11): it shards by organization as it stands. Asked of the catalogue, so no table can be forgotten.
import Postgres
import TestSupport
import Testing

@Suite("Schema")
struct SchemaTests {
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
