/// Everything a statement says, for programs: its head, every line, its total.
import Budgets
import JSON
import Store

struct StatementJSON: StatementWriter {
    private(set) var rows: Int64 = 0

    mutating func begin(_ head: StatementHead) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("organization", head.organization.description)
            writer.field("organization_name", head.organizationName)
            writer.field("month", head.month.description)
            writer.field("number", head.invoice)
            writer.field("starts_at", head.span.start.rfc3339)
            writer.field("ends_at", head.span.end.rfc3339)
            writer.field("time_zone", head.zone.identifier)
            writer.field("currency", "USD")
        }
        return Array(#"{"statement":"#.utf8) + writer.bytes + Array(#","lines":["#.utf8)
    }

    mutating func lines(_ lines: [StatementLine]) -> [UInt8] {
        var bytes: [UInt8] = []
        for line in lines {
            bytes.append(contentsOf: rows == 0 ? "\n".utf8 : ",\n".utf8)
            rows += 1
            var writer = JSONWriter()
            line.write(&writer)
            bytes.append(contentsOf: writer.bytes)
        }
        return bytes
    }

    mutating func end(_ end: StatementEnd) -> [UInt8] {
        let settlement = Settlement(of: end.total.cost)
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("calls", end.total.requests)
            writer.field("cost", end.total.cost.description)
            writer.field("rounding", settlement.rounding.description)
            writer.field("payable", settlement.payable.description)
            if !end.commitments.isEmpty { writer.field("billed", end.billed.description) }
        }
        return Array("\n],".utf8) + commitments(end.commitments) + Array("\"total\":".utf8) + writer.bytes + Array("}\n".utf8)
    }

    /// Nothing where there are none: files of months that were closed before there could be any stay what they were.
    private func commitments(_ months: [CommitmentMonth]) -> [UInt8] {
        guard !months.isEmpty else { return [] }
        var writer = JSONWriter()
        writer.array { writer in
            for month in months { writer.value(month.json { .string($0.description) }) }
        }
        return Array("\"commitments\":".utf8) + writer.bytes + Array(",".utf8)
    }
}

extension StatementLine {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("line", number)
            writer.field("consumed_at", consumedAt.rfc3339)
            writer.field("cost_center", costCenter.isEmpty ? nil : costCenter)
            writer.field("team", team.description)
            writer.field("team_name", teamName)
            writer.field("project", project.description)
            writer.field("project_name", projectName)
            writer.field("tier_name", tierName)
            writer.field("api_key", apiKey.description)
            writer.field("api_key_name", apiKeyName)
            writer.field("environment", environment)
            writer.field("provider", provider)
            writer.field("model", model)
            writer.field("feature", feature.isEmpty ? nil : feature)
            writer.field("usage_kind", usageKind.isEmpty ? nil : usageKind)
            writer.field("price", price?.description)
            writer.field("service_tier", serviceTier)
            writer.field("context_from", contextFrom)
            writer.field("unit_price", unitPrice?.description)
            writer.field("list_price", listPrice?.description)
            writer.field("calls", calls)
            writer.field("quantity", quantity.plain)
            writer.field("cost", cost.description)
            if let split {
                writer.field("split", split.description)
                writer.field("split_ratio", splitRatio?.description)
            }
            if !commitments.draws.isEmpty {
                writer.array("draws") { writer in
                    for (record, draw) in commitments.draws {
                        writer.object { writer in
                            writer.field("commitment", record.id.description)
                            writer.field("quantity", draw.units)
                            writer.field("amount", draw.amount.description)
                        }
                    }
                }
            }
        }
    }
}
