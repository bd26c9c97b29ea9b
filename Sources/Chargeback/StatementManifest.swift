/// What lies beside an export: how many rows and bytes, their hash and control totals; and with FOCUS the specification's own metadata.
import Budgets
import Crypto
public import JSON
public import Store

extension StatementExport {
    /// The manifest of an export, made by writing the file to nowhere where that is still needed.
    public func manifest(_ format: StatementFormat, month: StatementMonth) async throws -> JSON {
        let plan = try await plan(format, month: month)
        let (end, file) = try await write(plan) { _ in }
        return manifest(plan, end, file)
    }

    /// The manifest of an export that was just written.
    public func manifest(_ plan: Plan, _ end: StatementEnd, _ file: StatementFile) -> JSON {
        let (head, total) = (plan.head, end.total)
        var members: [(String, JSON)] = [
            ("file", .string(plan.format.fileName(head.month))), ("format", .string(plan.format.rawValue)),
            ("rows", .number(file.rowCount)),
            ("bytes", .number(file.byteCount)), ("sha256", .string(file.hash)), ("month", .string(head.month.description)),
            ("invoice", .string(head.invoice)), ("state", .string(head.state.rawValue)),
            ("control", .object([("calls", .number(total.requests))] + sums(total.cost))),
        ]
        if let version = plan.format.focus {
            // What BilledCost sums to: what was paid for in advance is billed when it is bought, and not when it is used.
            members.append(("billed", .object(sums(end.billed))))
            members.append(("metadata", FOCUSMetadata.json(version)))
            members.append(("billing_period", FOCUSMetadata.billingPeriod(head, isClosed: plan.isClosed)))
        }
        return .object(members)
    }

    private func sums(_ cost: Money) -> [(String, JSON)] {
        let settlement = Settlement(of: cost)
        return [
            ("cost", .string(cost.description)), ("rounding", .string(settlement.rounding.description)),
            ("payable", .string(settlement.payable.description)),
        ]
    }
}

/// The metadata that the FOCUS specification asks for beside the data.
enum FOCUSMetadata {
    /// When the columns were last changed: with any change of theirs this and so the schema's id change.
    private static let createdAt = "2026-11-21T00:00:00Z"

    static func json(_ version: FOCUSVersion) -> JSON {
        let columns = FOCUSColumn.all(of: version)
        let names = columns.map { "\($0.name) \($0.kind.rawValue)" }.joined(separator: "\n")
        // Made of what the schema is: the same columns have the same id everywhere.
        let id = SHA256.hash(data: Array("\(version.rawValue)\n\(createdAt)\n\(names)".utf8)).prefix(16).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
        return [
            "DataGenerator": "Bursar",
            "Schema": [
                "SchemaId": .string(id), "FocusVersion": .string(version.rawValue), "CreationDate": .string(createdAt),
                "ColumnDefinition": .array(columns.map(definition)),
            ],
        ]
    }

    private static func definition(_ column: FOCUSColumn) -> JSON {
        var members: [(String, JSON)] = [("ColumnName", .string(column.name)), ("DataType", .string(column.kind.rawValue))]
        switch column.kind {
        case .decimal: members += [("NumericPrecision", .number(38)), ("NumberScale", .number(12))]
        case .text: members += [("StringMaxLength", .number(500)), ("StringEncoding", "UTF-8")]
        case .integer, .time, .json: break
        }
        return .object(members)
    }

    /// A row of the BillingPeriod dataset (1.4).
    static func billingPeriod(_ head: StatementHead, isClosed: Bool) -> JSON {
        [
            "BillingPeriodStart": .string(head.span.start.rfc3339), "BillingPeriodEnd": .string(head.span.end.rfc3339),
            "BillingPeriodStatus": isClosed ? "Closed" : "Open", "InvoiceIssuerName": "Bursar",
        ]
    }
}
