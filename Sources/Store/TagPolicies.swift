/// The tag policy as it is kept: one row an organization, none while there are no rules.
public import Budgets
import JSON
import Postgres

extension Store {
    /// The policy and its revision: 0 until somebody sets one.
    public func tagPolicy(of organization: OrganizationID) async throws -> (TagPolicy, revision: Int64) {
        try await read { connection in
            // In this order: whoever reads across a change and then writes is told so.
            let revision = try Store.tagPolicyRevision(of: organization, connection)
            let rows = try connection.query(TagPolicy.query(organization)).rows
            return (try rows.first.map { try TagPolicy($0) } ?? TagPolicy(), revision)
        }
    }

    /// Replaces it, and returns its new revision.
    public func setTagPolicy(_ policy: TagPolicy, of organization: OrganizationID, ifRevision: Int64?) async throws -> Int64 {
        try await configure(organization) { connection in
            let revision = try Store.tagPolicyRevision(of: organization, connection)
            try Store.check(revision: revision, archivedAt: nil, against: ifRevision)
            try connection.query(
                """
                INSERT INTO tag_policies (organization_id, rules, is_blocking, revision)
                VALUES (\(organization), \(policy.column), \(policy.isBlocking), \(revision + 1))
                ON CONFLICT (organization_id) DO UPDATE
                SET rules = EXCLUDED.rules, is_blocking = EXCLUDED.is_blocking, revision = EXCLUDED.revision
                """)
            return revision + 1
        }
    }

    private static func tagPolicyRevision(of organization: OrganizationID, _ connection: isolated PostgresConnection) throws -> Int64 {
        let rows = try connection.query("SELECT revision FROM tag_policies WHERE organization_id = \(organization)").rows
        return try rows.first?.decode(as: Int64.self) ?? 0
    }
}

extension TagPolicy {
    static func query(_ organization: OrganizationID) -> Query {
        "SELECT rules, is_blocking FROM tag_policies WHERE organization_id = \(organization)"
    }

    /// `[{"tag":"project-id","required":true,"values":["a*"],"project":true}]`.
    fileprivate var column: JSONB {
        var writer = JSONWriter()
        writer.array { writer in
            for rule in rules {
                writer.object { writer in
                    writer.field("tag", rule.tag)
                    writer.field("required", rule.isRequired)
                    writer.array("values") { writer in for value in rule.values { writer.string(value.description) } }
                    writer.field("project", rule.isProject)
                }
            }
        }
        return JSONB(bytes: writer.bytes)
    }

    init(_ row: Row) throws(PostgresError) {
        let (column, isBlocking) = try row.decode(as: (JSONB, Bool).self)
        guard let elements = (try? JSON.parse(column.bytes))?.array else { throw .decoding("a tag policy that is no array") }
        var rules: [Rule] = []
        for element in elements {
            guard let tag = element["tag"]?.string, let required = element["required"]?.bool, let project = element["project"]?.bool,
                let values = element["values"]?.array
            else { throw .decoding("a tag rule with a missing member") }
            rules.append(
                Rule(
                    tag: tag, isRequired: required, values: values.compactMap { $0.string.flatMap { Pattern($0) } }, isProject: project))
        }
        self.init(rules: rules, isBlocking: isBlocking)
    }
}
