/// The tag policy as it is kept: one row an organization, none while there are no rules.
public import Budgets
import JSON
import Postgres

extension Store {
    public func tagPolicy(of organization: OrganizationID) async throws -> TagPolicy {
        try await read { connection in
            let rows = try connection.query(TagPolicy.query(organization)).rows
            return try rows.first.map { try TagPolicy($0) } ?? TagPolicy()
        }
    }

    /// Replaces it.
    public func setTagPolicy(_ policy: TagPolicy, of organization: OrganizationID) async throws {
        _ = try await configure(organization) { connection in
            try connection.query(
                """
                INSERT INTO tag_policies (organization_id, rules, is_blocking)
                VALUES (\(organization), \(policy.column), \(policy.isBlocking))
                ON CONFLICT (organization_id) DO UPDATE SET rules = EXCLUDED.rules, is_blocking = EXCLUDED.is_blocking
                """)
        }
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
