/// `/v1/reports/top` and `/v1/reports/models`: who and what spends most, and what models give for it.
import Budgets
import Hummingbird
import JSON
import Store

/// By what a top list is made.
enum TopDimension: Hashable, Sendable {
    case spend(SpendDimension)
    case subject(SpendSubject)

    init?(_ name: String) {
        if let dimension = SpendDimension(rawValue: name) {
            self = .spend(dimension)
        } else if let subject = SpendSubject(name) {
            self = .subject(subject)
        } else {
            return nil
        }
    }
}

extension API {
    /// The largest, all others together, and what names none: they sum to the whole.
    @Sendable func reportTop(_ exchange: Exchange) async throws -> Response {
        guard let zone = try await store.zone(of: exchange.organization) else { throw Problem(.notFound) }
        var query = try exchange.query()
        let span = query.span()
        let dimension = query.require("by", .topDimension)
        let limit = Int(query.optional("limit", .digits(1...100)) ?? 10)
        if case .subject = dimension, query.faults.isEmpty {
            for (name, instant) in [("from", span.start), ("to", span.end)]
            where PeriodRule(.day).span(containing: instant, in: zone).start != instant {
                query.fault(name, .invalidValue, "must be a local midnight: end users and tags are kept by days")
            }
        }
        try query.finish()
        let report = try await top(dimension, span, limit, exchange)
        return .json { writer in
            writer.object { writer in
                writer.field("from", span.start)
                writer.field("to", span.end)
                writer.field("time_zone", zone.identifier)
                writer.array("data") { writer in for row in report.rows { row.write(&writer) } }
                for (name, total) in [
                    ("others" as StaticString, report.others), ("unattributed", report.unattributed), ("total", report.whole),
                ] {
                    writer.object(name) { total.writeMembers(&$0) }
                }
            }
        }
    }

    private struct TopReport {
        struct Row {
            let value: String
            let name: String?
            let total: StatementTotal

            func write(_ writer: inout JSONWriter) {
                writer.object { writer in
                    writer.field("value", value)
                    writer.field("name", name)
                    total.writeMembers(&writer)
                }
            }
        }

        var rows: [Row] = []
        var others = StatementTotal()
        var unattributed = StatementTotal()
        var whole = StatementTotal()
    }

    private func top(_ dimension: TopDimension, _ span: StatementSpan, _ limit: Int, _ exchange: Exchange) async throws -> TopReport {
        var report = TopReport()
        switch dimension {
        case .subject(let subject):
            let found = try await store.topSubjects(of: exchange.organization, subject, in: span, limit: limit)
            report.rows = found.rows.map {
                TopReport.Row(value: $0.value, name: nil, total: StatementTotal(requests: $0.calls, cost: $0.cost))
            }
            report.whole = found.whole
            report.unattributed = found.whole - found.all
        case .spend(let dimension):
            guard let rows = try await store.spend(of: exchange.organization, in: [span], by: [dimension]) else {
                throw Problem.invalid("More than \(Store.maximumSpendRows) values: ask for less time.", status: 422)
            }
            for row in rows {
                let total = StatementTotal(requests: row.calls, cost: row.cost)
                report.whole = report.whole + total
                if row.values[0].isEmpty {
                    report.unattributed = total
                } else if report.rows.count < limit {
                    report.rows.append(TopReport.Row(value: dimension.written(row.values[0]), name: row.names[0], total: total))
                }
            }
        }
        report.others = report.rows.reduce(report.whole - report.unattributed) { $0 - $1.total }
        return report
    }

    /// What each model cost and gave, beside the span of the same length before.
    @Sendable func reportModels(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let span = query.span()
        try query.finish()
        let length = span.end.seconds - span.start.seconds
        let before = StatementSpan(start: span.start.adding(seconds: -length), end: span.start)
        let rows = try await store.modelUse(of: exchange.organization, in: [span, before])
        return .json { writer in
            writer.object { writer in
                writer.field("from", span.start)
                writer.field("to", span.end)
                let now = rows.filter { $0.span == 0 }
                writer.field("calls", now.map(\.calls).reduce(0, +))
                writer.field("cost", now.map(\.cost).reduce(.zero, +))
                writer.array("data") { writer in
                    for row in now {
                        row.write(&writer, before: rows.first { $0.span == 1 && $0.model == row.model && $0.provider == row.provider })
                    }
                }
            }
        }
    }
}

extension FieldReader {
    /// `from` and `to` of a report: two quarters of an hour.
    mutating func span() -> StatementSpan {
        let span = StatementSpan(start: require("from", .quarterHour), end: require("to", .quarterHour))
        if faults.isEmpty, span.end <= span.start { fault("to", .outOfRange, "must come after `from`") }
        if faults.isEmpty, span.end.seconds - span.start.seconds > 10 * 366 * 86_400 {
            fault("to", .outOfRange, "must be within ten years of `from`")
        }
        return span
    }
}

extension FieldRule where Value == TopDimension {
    fileprivate static var topDimension: FieldRule {
        .text(
            "end_user, tag:… with a tag's key, or one of \(SpendDimension.allCases.map(\.rawValue).joined(separator: ", "))",
            placeholder: .subject(.endUser)
        ) { TopDimension($0) }
    }
}

extension StatementTotal {
    fileprivate static func + (left: Self, right: Self) -> Self {
        StatementTotal(requests: left.requests + right.requests, cost: left.cost + right.cost)
    }

    fileprivate static func - (left: Self, right: Self) -> Self {
        StatementTotal(requests: left.requests - right.requests, cost: left.cost - right.cost)
    }
}
