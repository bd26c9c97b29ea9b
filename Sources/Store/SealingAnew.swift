/// Changing the master key (design §10): everything that an old key sealed is sealed with the new one, while the service is at work.
import Budgets
import Postgres

extension Store {
    /// What became of the sealed values.
    public struct SealedAnew: Sendable, Equatable {
        public var sealedAnew = 0
        /// Sealed with a key that is not known any more; left as they are.
        public var unopened = 0
    }

    /// Seals anew whatever is sealed with an old key of the sealer's. Broken off half-way it has done half of it, and can be run again: each
    /// value is one or the other, and the sealer opens both. A value that changes meanwhile is left to whoever changes it.
    public func sealAnew(with sealer: Sealer) async throws -> SealedAnew {
        var outcome = SealedAnew()
        for column in SealedColumn.allCases {
            var last = column.start
            while true {
                let after = last
                let page = try await read { connection in
                    try connection.query(column.page(after: after)).rows.map { row in
                        let (organization, key, part, sealed) = try row.decode(as: (OrganizationID, String, String, Bytea).self)
                        return SealedRow(organization: organization, key: key, part: part, sealed: sealed)
                    }
                }
                var changes: [Query] = []
                for row in page where !sealer.isCurrent(row.sealed.bytes) {
                    let place = column.place(of: row)
                    if let secret = try? sealer.open(row.sealed.bytes, at: place) {
                        changes.append(column.change(row, to: Bytea(try sealer.seal(secret, at: place))))
                    } else {
                        outcome.unopened += 1
                    }
                }
                if !changes.isEmpty {
                    let batch = changes
                    outcome.sealedAnew += try await pool.withConnection { try $0.flight(batch).map(\.affected).reduce(0, +) }
                }
                guard page.count == SealedColumn.atOnce, let end = page.last else { break }
                last = end
            }
        }
        return outcome
    }
}

/// A sealed value and where it stands: under a key of one or two parts.
private struct SealedRow: Sendable {
    let organization: OrganizationID
    let key: String
    let part: String
    let sealed: Bytea
}

/// A column of sealed values, walked in the order of its table's key.
private enum SealedColumn: CaseIterable {
    case endpoints, credentials, answers

    /// How many rows one round trip reads and one transaction writes.
    static let atOnce = 200

    /// Before every row.
    var start: SealedRow {
        let key = self == .answers ? "" : OrganizationID.first.hexadecimal
        return SealedRow(organization: .first, key: key, part: self == .credentials ? "0" : "", sealed: Bytea([]))
    }

    func place(of row: SealedRow) -> SealedPlace {
        switch self {
        case .endpoints, .credentials: Store.place(of: EndpointID(hexadecimal: row.key) ?? .first, row.organization)
        case .answers:
            SealedPlace(table: "idempotent_requests", organization: row.organization, row: "\(row.key) \(row.part)")
        }
    }

    func page(after row: SealedRow) -> Query {
        switch self {
        case .endpoints:
            """
            SELECT organization_id, replace(id::text, '-', ''), '', sealed FROM endpoints
            WHERE (organization_id, id) > (\(row.organization), \(row.key)::text::uuid) ORDER BY organization_id, id LIMIT \(Self.atOnce)
            """
        case .credentials:
            """
            SELECT organization_id, replace(endpoint_id::text, '-', ''), version::text, sealed FROM endpoint_credentials
            WHERE (organization_id, endpoint_id, version) > (\(row.organization), \(row.key)::text::uuid, \(row.part)::text::bigint)
            ORDER BY organization_id, endpoint_id, version LIMIT \(Self.atOnce)
            """
        case .answers:
            """
            SELECT organization_id, actor, key, sealed_answer FROM idempotent_requests
            WHERE (organization_id, actor, key) > (\(row.organization), \(row.key), \(row.part))
            ORDER BY organization_id, actor, key LIMIT \(Self.atOnce)
            """
        }
    }

    /// Changes the value unless somebody else has.
    func change(_ row: SealedRow, to sealed: Bytea) -> Query {
        switch self {
        case .endpoints:
            """
            UPDATE endpoints SET sealed = \(sealed)
            WHERE organization_id = \(row.organization) AND id = \(row.key)::text::uuid AND sealed = \(row.sealed)
            """
        case .credentials:
            """
            UPDATE endpoint_credentials SET sealed = \(sealed)
            WHERE organization_id = \(row.organization) AND endpoint_id = \(row.key)::text::uuid AND version = \(row.part)::text::bigint
              AND sealed = \(row.sealed)
            """
        case .answers:
            """
            UPDATE idempotent_requests SET sealed_answer = \(sealed)
            WHERE organization_id = \(row.organization) AND actor = \(row.key) AND key = \(row.part) AND sealed_answer = \(row.sealed)
            """
        }
    }
}
