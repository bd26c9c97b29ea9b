/// `/v1/tag-policy`: which tags calls must carry; and what of a month lacks them, or a cost centre.
import Budgets
import Chargeback
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func readTagPolicy(_ exchange: Exchange) async throws -> Response {
        let (policy, revision) = try await store.tagPolicy(of: exchange.organization)
        return .json(revision: revision) { policy.write(&$0) }
    }

    @Sendable func replaceTagPolicy(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let rules = fields.optional("tags", .list(.tagRule, 0...16)) ?? []
        let enforcement = fields.optional("enforcement", .word(TagEnforcement.self)) ?? .warn
        if Set(rules.compactMap { $0?.tag }).count < rules.count { fields.fault("tags", .invalidValue, "must name each tag once") }
        try fields.finish()
        let policy = TagPolicy(rules: rules.compactMap(\.self), isBlocking: enforcement == .block)
        let revision = try await store.setTagPolicy(policy, of: exchange.organization, ifRevision: exchange.expectedRevision())
        return .json(revision: revision) { policy.write(&$0) }
    }
}

private enum TagEnforcement: String, CaseIterable { case warn, block }

extension FieldRule where Value == TagPolicy.Rule? {
    fileprivate static var tagRule: FieldRule {
        .fields { fields in
            let tag = fields.require("tag", .text(1...100))
            let isRequired = fields.optional("required", .bool) ?? true
            let values = fields.optional("values", .list(.pattern, 0...100)) ?? []
            let isProject = fields.optional("project", .bool) ?? false
            return TagPolicy.Rule(tag: tag, isRequired: isRequired, values: values.compactMap { Pattern($0) }, isProject: isProject)
        }
    }
}

extension TagPolicy {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("enforcement", (isBlocking ? TagEnforcement.block : .warn).rawValue)
            writer.array("tags") { writer in
                for rule in rules {
                    writer.object { writer in
                        writer.field("tag", rule.tag)
                        writer.field("required", rule.isRequired)
                        writer.array("values", rule.values.map(\.description))
                        writer.field("project", rule.isProject)
                    }
                }
            }
        }
    }
}

extension TagFault {
    /// What is wrong with the tag, as a faulty field of the request.
    var field: FieldFault {
        let (code, detail): (FieldFault.Code, String) =
            switch reason {
            case .missing: (.missing, "is required by the organization's tag policy")
            case .notAllowed: (.invalidValue, "is not among the values that the organization's tag policy allows")
            case .noProject: (.unknownReference, "must be the id or the name of a project of the organization")
            }
        return FieldFault(pointer: "/tags/" + FieldReader.escaped(tag), code: code, detail: detail)
    }
}

extension API {
    /// A line of its own beside the month's statement: what nobody can be charged for as it stands.
    @Sendable func readUnattributed(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        try query.finish()
        let month = try exchange.month()
        let export = try await StatementExport(store: statements, organization: exchange.organization)
        let (total, parts) = try await export.unattributed(month: month)
        return .json { writer in
            writer.object { writer in
                writer.field("month", month.description)
                total.writeFields(&writer)
                writer.array("data") { writer in
                    for part in parts {
                        writer.object { writer in
                            writer.field("team", part.team)
                            writer.field("team_name", part.teamName)
                            writer.field("project", part.project)
                            writer.field("project_name", part.projectName)
                            writer.array(
                                "lacks", (part.lacksCostCenter ? ["cost_center"] : []) + (part.lacksTags ? ["tags"] : []))
                            part.total.writeFields(&writer)
                        }
                    }
                }
            }
        }
    }
}

extension StatementTotal {
    fileprivate func writeFields(_ writer: inout JSONWriter) {
        writer.field("calls", requests)
        writer.field("cost", cost)
    }
}
