/// The parts of a budget's form: what may stand in them, and how a budget is shown.
import Budgets
import JSON
import Postgres
import Store

extension FieldRule where Value == BudgetScope {
    /// `{"team":"team_…"}`, `{"project":"prj_…"}`, or `{}` for the organization.
    static var scope: FieldRule {
        .fields { fields in
            let team = fields.optional("team", .id(TeamKind.self))
            let project = fields.optional("project", .id(ProjectKind.self))
            if team != nil, project != nil { fields.fault("project", .invalidValue, "cannot be there together with team") }
            if let team { return .team(team) }
            if let project { return .project(project) }
            return .organization
        }
    }
}

extension FieldRule where Value == String {
    /// Which calls a budget counts, as the JSON text that is kept: lists of patterns, each of which a call must meet.
    static var match: FieldRule {
        .fields { fields in
            var writer = JSONWriter()
            writer.beginObject()
            for name in ["models", "providers", "environments", "features", "end_users", "api_keys"] {
                guard let patterns = fields.optional(name, .list(.pattern, 0...100)), !patterns.isEmpty else { continue }
                writer.name(name)
                writer.array { writer in for pattern in patterns { writer.string(pattern) } }
            }
            writer.endObject()
            return String(decoding: writer.bytes, as: UTF8.self)
        }
    }
}

extension FieldRule where Value == JSONB {
    /// `{"from_percent":80,"models":{"gpt-4o":"gpt-4o-mini"}}` in the form that is kept. The models need not exist yet: a rule whose model
    /// cannot be called is skipped.
    static var degrade: FieldRule {
        .fields { fields in
            let percent = fields.require("from_percent", .integer(1...100))
            let models = fields.require("models", .modelPairs)
            var writer = JSONWriter()
            writer.object { writer in
                writer.field("from_percent", percent)
                writer.object("models") { writer in
                    for pair in models {
                        writer.name(pair.name)
                        writer.string(pair.replacement)
                    }
                }
            }
            return JSONB(bytes: writer.bytes)
        }
    }

    /// `{"calls":3,"model":"gpt-4o-mini","max_output_tokens":200}` in the form that is kept.
    static var finalCall: FieldRule {
        .fields { fields in
            var writer = JSONWriter()
            writer.object { writer in
                writer.field("calls", fields.require("calls", .integer(1...1000)))
                writer.field("model", fields.require("model", .text(1...200)))
                writer.field("max_output_tokens", fields.require("max_output_tokens", .integer(1...1_000_000)))
            }
            return JSONB(bytes: writer.bytes)
        }
    }
}

struct ModelPair: Sendable {
    let name: String
    let replacement: String
}

extension FieldRule where Value == [ModelPair] {
    /// Names of models with those of their replacements, at most 50.
    static var modelPairs: FieldRule {
        FieldRule(placeholder: []) { json in
            guard case .object(let object) = json else { return .wrongType(json, "an object") }
            guard (1...50).contains(object.count) else { return .fault(.outOfRange, "must have 1 to 50 models") }
            var pairs: [ModelPair] = []
            var faults: [FieldFault] = []
            for member in object {
                for text in [JSON.string(member.name), member.value] {
                    if case .failure(let found) = FieldRule<String>.text(1...200).read(text) {
                        faults += found.list.map {
                            FieldFault(pointer: "/" + FieldReader.escaped(member.name), code: $0.code, detail: $0.detail)
                        }
                    }
                }
                pairs.append(ModelPair(name: member.name, replacement: member.value.string ?? ""))
            }
            return faults.isEmpty ? .success(pairs) : .failure(FieldFaults(list: faults))
        }
    }
}

extension FieldRule where Value == [Int64] {
    /// Ascending percentages, each once. Above 1,000 % nobody is told anything new.
    static var thresholds: FieldRule {
        .list(.integer(1...1000), 0...20).that("must ascend, each once") { list in zip(list, list.dropFirst()).allSatisfy(<) }
    }
}

extension FieldRule where Value == [Amount] {
    /// Ascending amounts in the budget's unit, each once.
    static var thresholdAmounts: FieldRule {
        .list(.writtenAmount().that("must be above 0") { $0 > .zero }, 0...20).that("must ascend, each once") { list in
            zip(list, list.dropFirst()).allSatisfy(<)
        }
    }
}

extension BudgetRecord {
    /// `overCommitted` is of the present period; nil for a budget that counts per something.
    func write(_ writer: inout JSONWriter, overCommitted: Amount?) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", name)
            writer.object("scope") { writer in
                switch scope {
                case .organization: break
                case .team(let id): writer.field("team", id)
                case .project(let id): writer.field("project", id)
                }
            }
            writer.name("match")
            writer.raw(bytes: match.bytes)
            writer.field("per", per?.rawValue)
            writer.field("unit", unit.rawValue)
            writer.field("period", rule.period.rawValue)
            writer.field("anchor_day", Int64(rule.anchorDay))
            writer.field("anchor_month", Int64(rule.anchorMonth))
            writer.field("amount", amount, in: unit)
            writer.array("thresholds", thresholds)
            writer.array("threshold_amounts") { writer in for amount in thresholdAmounts { writer.amount(amount, in: unit) } }
            writer.field("limit_version", limitVersion)
            writer.field("enforcement", enforcement.rawValue)
            writer.field("active_from", activeFrom)
            writer.field("active_to", activeTo)
            for (name, rule) in [("degrade", degrade), ("final_call", finalCall)] {
                writer.name(name)
                if let rule { writer.raw(bytes: rule.bytes) } else { writer.null() }
            }
            writer.field("tier", tier)
            writer.name("share")
            if let share {
                writer.object { writer in
                    writer.field("of", share.of)
                    writer.field("percent", share.percent.plain)
                }
            } else {
                writer.null()
            }
            writer.name("over_committed")
            if let overCommitted { writer.amount(overCommitted, in: unit) } else { writer.null() }
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            writer.field("archived_at", archivedAt)
        }
    }
}
