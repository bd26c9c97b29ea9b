/// When API keys were last used: written down for many at a time, and never by a call itself.
public import Budgets
import Postgres

extension Store {
    /// Notes the latest use of each key. What other replicas noted stays if it is later.
    public func noteUses(_ uses: [(organization: OrganizationID, apiKey: APIKeyID, at: Instant)]) async throws {
        guard !uses.isEmpty else { return }
        _ = try await transaction { connection in
            try connection.query(
                """
                INSERT INTO api_key_uses AS u (organization_id, api_key_id, last_used_at)
                SELECT * FROM unnest(\(uses.map(\.organization)), \(uses.map(\.apiKey)), \(uses.map(\.at)))
                ON CONFLICT (organization_id, api_key_id) DO UPDATE SET last_used_at = greatest(u.last_used_at, EXCLUDED.last_used_at)
                """)
        }
    }
}
