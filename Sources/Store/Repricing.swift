/// Re-pricing a span (design §6): reads what was booked in it, page by page, and books corrections for what the prices in force now say
/// otherwise. A wrong price found late is first put right (`correctPrice`), or agreed after the fact (`importContract`).
public import Budgets
import Postgres

/// What is to be priced again.
public struct RepricingSpan: Sendable {
    public let from: Instant
    /// Not included.
    public let to: Instant
    /// Nil: every model.
    public let models: Pattern?

    public init(from: Instant, to: Instant, models: Pattern?) {
        self.from = from
        self.to = to
        self.models = models
    }
}

/// What re-pricing comes to, or would.
public struct RepricingReport: Hashable, Sendable {
    public struct Line: Hashable, Sendable {
        public var entries: Int64 = 0
        public var before = Money.zero
        public var after = Money.zero
    }

    /// Calls looked at.
    public var entries: Int64 = 0
    /// Those of them that still have no price for some kind, and stay as they are.
    public var unpriced: Int64 = 0
    /// By model, those that change.
    public var models: [String: Line] = [:]

    public var corrected: Int64 { models.values.reduce(0) { $0 + $1.entries } }
    public var difference: Money { models.values.reduce(.zero) { $0 + $1.after - $1.before } }
}

extension Store {
    /// Entries corrected in one Postgres transaction: decisions of the organization wait for it some tens of milliseconds.
    static let repricingPage: Int64 = 500

    /// Prices what was booked in the span again; books corrections unless it is a preview. A second run finds nothing to correct, and one
    /// that broke off is finished by running it again: each page is booked whole or not at all.
    /// - Throws: `PostgresError`.
    public func reprice(
        _ span: RepricingSpan, of organization: OrganizationID, isPreview: Bool, at now: Instant
    ) async throws -> RepricingReport {
        let (prices, money, version) = try await read { connection in try Repricing.rules(organization, span, connection) }
        var report = RepricingReport()
        var key: (Instant, EntryID)? = (span.from, EntryID(high: 0, low: 0))
        while let (at, id) = key {
            let page = try await transaction { connection in
                // What is read under the fence is still so when its correction is written.
                if !isPreview { try connection.query(Fences.lock([organization])) }
                var page = try Repricing.page(organization, span, after: at, id, version, prices, money, connection)
                page.books = isPreview ? [] : page.books
                if !page.books.isEmpty { try connection.pipeline(Repricing.write(page.books, organization, at: now)) }
                return page
            }
            report.add(page.report)
            key = page.last
        }
        return report
    }
}

extension RepricingReport {
    fileprivate mutating func add(_ other: RepricingReport) {
        entries += other.entries
        unpriced += other.unpriced
        for (model, line) in other.models {
            models[model, default: Line()].entries += line.entries
            models[model, default: Line()].before += line.before
            models[model, default: Line()].after += line.after
        }
    }
}

private enum Repricing {
    struct Book: Sendable {
        let entry: EntryID
        let occurredAt: Instant
        let correction: Correction
        let changedCounters: [(CounterID, Amount)]
    }

    struct Page: Sendable {
        var report = RepricingReport()
        var books: [Book] = []
        /// Where the next page begins; nil after the last.
        var last: (Instant, EntryID)?
    }

    /// The prices that hold now for the span, the budgets that count dollars, and how far the ledger is looked at.
    static func rules(
        _ organization: OrganizationID, _ span: RepricingSpan, _ connection: isolated PostgresConnection
    ) throws -> (Configuration, Set<BudgetID>, Int64) {
        let listed = try ConfigurationReads.decodeCatalogue(try connection.pipeline(catalogue(of: .platform, since: span.from)))
        let own = try ConfigurationReads.decodeCatalogue(try connection.pipeline(catalogue(of: organization, since: span.from)))
        let platform = listed.catalogue()
        let configuration = Configuration(
            organization: organization, organizationName: "", zone: .utc, version: 0, teamNames: [:], projects: [], tiers: [], apiKeys: [],
            ownCatalogue: own.catalogue(), contracts: own.contracts(over: platform), platformCatalogue: platform, budgets: [])
        let budgets = try connection.query("SELECT id FROM budgets WHERE organization_id = \(organization) AND unit = 'usd'")
        let fence = try connection.query("SELECT version FROM fences WHERE organization_id = \(organization)")
        guard let version = try fence.rows.first?.decode(as: Int64.self) else { throw AdminRefusal.notFound }
        return (configuration, Set(try budgets.rows.map { try $0.decode(as: BudgetID.self) }), version)
    }

    /// Like what the engine keeps at hand, but as far back as is asked.
    private static func catalogue(of owner: OrganizationID, since instant: Instant) -> [Query] {
        [
            ConfigurationReads.catalogueQueries(owner)[0],
            """
            SELECT model, id, usage_kind, service_tier, context_from, amount_per_million, valid_from, valid_to FROM prices
            WHERE organization_id = \(owner) AND replaced_by IS NULL AND (valid_to IS NULL OR valid_to > \(instant))
            """,
        ]
    }

    /// Entries that stand for a call today: booked first, or booked again, and not taken back.
    static func page(
        _ organization: OrganizationID, _ span: RepricingSpan, after instant: Instant, _ id: EntryID, _ version: Int64,
        _ prices: Configuration, _ money: Set<BudgetID>, _ connection: isolated PostgresConnection
    ) throws -> Page {
        let rows = try connection.query(
            """
            SELECT e.id, e.occurred_at, e.corrects_at, e.model, e.service_tier, e.lines, e.cost, e.overage, e.draws
            FROM (
                SELECT * FROM ledger_entries
                WHERE organization_id = \(organization) AND occurred_at >= \(span.from) AND occurred_at < \(span.to) AND corrects_at IS NULL
                UNION ALL
                SELECT * FROM ledger_entries
                WHERE organization_id = \(organization) AND occurred_at >= \(span.from) AND corrects_at IS NOT NULL
                      AND corrects_at >= \(span.from) AND corrects_at < \(span.to)
            ) AS e
            WHERE (e.occurred_at, e.id) > (\(instant), \(id)) AND e.version <= \(version) AND e.kind IN ('usage', 'correction')
              AND e.reverses_id IS NULL
              AND NOT EXISTS (SELECT FROM ledger_entries AS r
                              WHERE r.organization_id = \(organization) AND r.reverses_id = e.id)
            ORDER BY e.occurred_at, e.id LIMIT \(Store.repricingPage)
            """
        ).rows
        var page = Page()
        for row in rows {
            let (id, occurredAt, correctsAt, model, serviceTier, lines, cost, overage, draws) = try row.decode(
                as: (EntryID, Instant, Instant?, String, String, JSONB, Money, Money, JSONB).self)
            page.last = (occurredAt, id)
            guard span.models.map({ $0.matches(model) }) ?? true else { continue }
            page.report.entries += 1
            let calledAt = correctsAt ?? occurredAt
            let call = BookedCall(
                model: model, serviceTier: serviceTier, occurredAt: calledAt, lines: try EntryLine.decode(lines), cost: cost,
                overage: overage, draws: try Draw.decode(draws.bytes))
            guard let sheet = prices.model(model, at: calledAt)?.prices else {
                page.report.unpriced += 1
                continue
            }
            switch call.repriced(with: sheet, money: money) {
            case .unchanged: break
            case .unpriced: page.report.unpriced += 1
            case .corrected(let correction):
                page.report.models[model, default: .init()].entries += 1
                page.report.models[model, default: .init()].before += cost
                page.report.models[model, default: .init()].after += correction.replacement.cost
                let counters = zip(call.draws, correction.replacement.draws).map { ($0.counter, $1.quantity - $0.quantity) }
                page.books.append(
                    Book(
                        entry: id, occurredAt: occurredAt, correction: correction, changedCounters: counters.filter { $0.1 != .zero }))
            }
        }
        if rows.count < Store.repricingPage { page.last = nil }
        return page
    }

    static func write(_ books: [Book], _ organization: OrganizationID, at now: Instant) -> [Query] {
        let halves = books.flatMap { [($0, $0.correction.reversal, true), ($0, $0.correction.replacement, false)] }
        var counters: [CounterID: Amount] = [:]
        for (counter, difference) in books.flatMap(\.changedCounters) { counters[counter, default: .zero] += difference }
        let changed = Array(counters)
        return [
            "UPDATE fences SET version = version + 1 WHERE organization_id = \(organization)",
            // What no longer fits under a ceiling is overage (law 1): the money is spent.
            """
            UPDATE budget_periods AS p
            SET settled = p.settled + c.difference,
                overage = greatest(p.overage, p.settled + c.difference + p.held - p.burst - p.ceiling - p.final_held)
            FROM unnest(
                \(changed.map(\.key.budget)), \(changed.map(\.key.subject)), \(changed.map(\.key.periodStart)), \(changed.map(\.value)))
                AS c (budget_id, subject, period_start, difference)
            WHERE p.organization_id = \(organization) AND p.budget_id = c.budget_id AND p.subject = c.subject
              AND p.period_start = c.period_start
            """,
            // Of a closed month they are entries of the open one, like all that becomes known of it.
            """
            INSERT INTO ledger_entries
                (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model, provider,
                 service_tier, end_user, feature, tags, lines, cost, overage, draws, is_late, outcome, provider_request_id, latency_ms,
                 version, substitutions, kind, reverses_id, corrects_at)
            SELECT e.organization_id, h.id, e.reservation_id, e.attribution_id,
                   CASE WHEN c.called_at < o.closed_until THEN greatest(\(now), o.closed_until) ELSE e.occurred_at END, \(now), e.request_id, e.model,
                   e.requested_model, e.provider, e.service_tier, e.end_user, e.feature, e.tags, h.lines, h.cost, h.overage, h.draws,
                   e.is_late, e.outcome, e.provider_request_id, e.latency_ms, f.version, e.substitutions, 'correction',
                   CASE WHEN h.reverses THEN e.id END, CASE WHEN c.called_at < o.closed_until THEN c.called_at END
            FROM unnest(
                \(halves.map { _ in EntryID(at: now) }), \(halves.map(\.0.entry)), \(halves.map(\.0.occurredAt)), \(halves.map(\.2)),
                \(halves.map { EntryLine.encode($0.1.lines) }), \(halves.map(\.1.cost)), \(halves.map(\.1.overage)),
                \(halves.map { JSONB(bytes: Draw.encode($0.1.draws).bytes) }))
                AS h (id, entry_id, occurred_at, reverses, lines, cost, overage, draws)
            JOIN ledger_entries AS e
              ON e.organization_id = \(organization) AND e.occurred_at = h.occurred_at AND e.id = h.entry_id
            JOIN fences AS f ON f.organization_id = \(organization)
            JOIN organizations AS o ON o.organization_id = \(organization)
            CROSS JOIN LATERAL (SELECT coalesce(e.corrects_at, e.occurred_at) AS called_at) AS c
            """,
        ]
    }
}
