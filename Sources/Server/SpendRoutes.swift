/// `/v1/reports/spend`: what was spent, by stretches of the organization's calendar and up to two dimensions.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func reportSpend(_ exchange: Exchange) async throws -> Response {
        guard let zone = try await store.zone(of: exchange.organization) else { throw Problem(.notFound) }
        var query = try exchange.query()
        let start = query.require("from", .quarterHour)
        let end = query.require("to", .quarterHour)
        let grouping = query.optional("group_by", .spendGrouping) ?? SpendGrouping()
        let spans = grouping.spans(from: start, to: end, in: zone)
        if query.faults.isEmpty, end <= start { query.fault("to", .outOfRange, "must come after `from`") }
        if query.faults.isEmpty, spans == nil {
            query.fault("to", .outOfRange, "must leave at most \(SpendGrouping.maximumSpans) stretches: ask for less, or for longer ones")
        }
        try query.finish()
        guard let rows = try await store.spend(of: exchange.organization, in: spans ?? [], by: grouping.dimensions) else {
            throw Problem.invalid(
                "The report has more than \(Store.maximumSpendRows) rows: ask for less time or one dimension.", status: 422)
        }
        return .json { writer in
            writer.object { writer in
                writer.field("from", start)
                writer.field("to", end)
                writer.field("time_zone", zone.identifier)
                writer.array("group_by", ([grouping.period?.rawValue] + grouping.dimensions.map(\.rawValue)).compactMap(\.self))
                writer.field("calls", rows.map(\.calls).reduce(0, +))
                writer.field("cost", rows.map(\.cost).reduce(.zero, +))
                writer.array("data") { writer in
                    for row in rows { row.write(&writer, span: spans?[row.span], grouping.dimensions) }
                }
            }
        }
    }
}

/// How a report is cut.
struct SpendGrouping: Sendable {
    /// More stretches than a chart has room for: a month of hours, or two years of days.
    static let maximumSpans = 1000
    static let periods: [Period] = [.hour, .day, .week, .month]

    var period: Period?
    var dimensions: [SpendDimension] = []

    init() {}

    /// Names separated by commas: at most one period and two dimensions, each once.
    init?(_ text: String) {
        for name in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            if let named = Period(rawValue: name), Self.periods.contains(named), period == nil {
                period = named
            } else if let dimension = SpendDimension(rawValue: name), !dimensions.contains(dimension) {
                dimensions.append(dimension)
            } else {
                return nil
            }
        }
        guard dimensions.count <= 2 else { return nil }
    }

    /// The calendar's stretches between two instants, the first and the last cut off by them; nil when there are too many.
    func spans(from start: Instant, to end: Instant, in zone: Zone) -> [StatementSpan]? {
        guard let period else { return start < end ? [StatementSpan(start: start, end: end)] : [] }
        var spans: [StatementSpan] = []
        var next = start
        while next < end {
            guard spans.count < Self.maximumSpans else { return nil }
            let last = min(PeriodRule(period).span(containing: next, in: zone).end ?? end, end)
            spans.append(StatementSpan(start: next, end: last))
            next = last
        }
        return spans
    }
}

extension FieldRule where Value == Instant {
    /// Roll-ups are of quarters of an hour, and with them every zone's midnight.
    static var quarterHour: FieldRule {
        instant.that("must be a full quarter of an hour, such as 2026-11-01T00:00:00Z") { $0.microseconds % 900_000_000 == 0 }
    }
}

extension FieldRule where Value == SpendGrouping {
    static var spendGrouping: FieldRule {
        .text(
            "up to two of \(SpendDimension.allCases.map(\.rawValue).joined(separator: ", ")) and one of "
                + "\(SpendGrouping.periods.map(\.rawValue).joined(separator: ", ")), separated by commas",
            placeholder: SpendGrouping()
        ) { SpendGrouping($0) }
    }
}

extension SpendRow {
    func write(_ writer: inout JSONWriter, span: StatementSpan?, _ dimensions: [SpendDimension]) {
        writer.object { writer in
            writer.field("starts_at", span?.start)
            writer.field("ends_at", span?.end)
            for (index, dimension) in dimensions.enumerated() {
                writer.name(dimension.rawValue)
                let value = values[index]
                guard let prefix = dimension.idPrefix else {
                    if value.isEmpty { writer.null() } else { writer.string(value) }
                    continue
                }
                writer.string("\(prefix)_\(value)")
                writer.name("\(dimension.rawValue)_name")
                if let name = names[index] { writer.string(name) } else { writer.null() }
            }
            writer.field("calls", calls)
            writer.field("cost", cost)
        }
    }
}

extension SpendDimension {
    /// A value as it is shown: with the prefix of its kind, if it is an id.
    func written(_ value: String) -> String { idPrefix.map { "\($0)_\(value)" } ?? value }

    /// What its ids begin with; nil for what is named by itself.
    fileprivate var idPrefix: String? {
        switch self {
        case .team: TeamKind.prefix
        case .project: ProjectKind.prefix
        case .tier: TierKind.prefix
        case .apiKey: APIKeyKind.prefix
        case .model, .provider, .feature, .environment, .costCenter: nil
        }
    }
}
