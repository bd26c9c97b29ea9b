/// The lines of a month's chargeback: what each local day's calls of one attribution, model and feature used of one kind at one price.
/// An open month's are made from the roll-ups and the entries that are not in them yet; a closed month's were frozen when it closed.
/// Every export and every sum is made of these lines, so all of them agree (law 5).
public import Budgets
import Postgres

/// One line. Its `number` is its place in every export.
public struct StatementLine: Sendable {
    /// 1, 2, 3 … without gaps.
    public let number: Int64
    /// When the local day of the calls began. Before the month: the line corrects a closed one.
    public let consumedAt: Instant
    /// Empty: none was set.
    public let costCenter: String
    public let team: TeamID
    public let teamName: String
    public let project: ProjectID
    public let projectName: String
    public let tierName: String
    public let apiKey: APIKeyID
    public let apiKeyName: String
    public let environment: String
    public let provider: String
    public let model: String
    /// Empty: the calls named none.
    public let feature: String
    /// Empty: calls that reported no usage.
    public let usageKind: UsageKind
    /// The price that was charged; nil where none was known.
    public let price: PriceID?
    public let serviceTier: String?
    public let contextFrom: Int64?
    /// Per million units, of the price charged; nil where none was known.
    public let unitPrice: Amount?
    /// The platform's price, where the organization's own was charged and there is one; otherwise the price charged.
    public let listPrice: Amount?
    /// Calls of the day, attribution, model and feature; on the first of their lines only, so that lines add up to calls.
    public private(set) var calls: Int64
    /// Units of the kind, whole; negative where a correction takes some back.
    public private(set) var quantity: Amount
    public private(set) var cost: Money
    /// The rule for shared costs that moved this cost; nil: it was spent where it stands.
    public let split: CostSplitID?
    /// Which part of the shared cost the project takes on; nil where it is taken away.
    public let splitRatio: Amount?
    /// What commitments pay of it. It costs the same either way.
    public internal(set) var commitments = LineCommitments.none

    /// The model of lines that move shared costs, as `BookingKind`s are of what people booked. Their provider is `bursar`.
    public static let splitModel = "split"

    init(_ row: Row) throws(PostgresError) {
        let own: PriceID
        (
            number, consumedAt, costCenter, team, teamName, project, projectName, tierName, apiKey, apiKeyName, environment, provider,
            model, feature, usageKind, own, serviceTier, contextFrom, unitPrice, listPrice, calls, quantity, cost, split, splitRatio
        ) = try row.decode(
            as: (
                Int64, Instant, String, TeamID, String, ProjectID, String, String, APIKeyID, String, String, String, String, String,
                String, PriceID, String?, Int64?, Amount?, Amount?, Int64, Amount, Money, CostSplitID?, Amount?
            ).self)
        price = own == .first ? nil : own
    }

    /// Part of it: so many of its units, at what they cost. Its calls stay with the rest unless they are wanted here.
    public func part(units: Int64, cost: Money, hasCalls: Bool) -> StatementLine {
        var part = self
        (part.quantity, part.cost, part.commitments) = (Amount(whole: units), cost, .none)
        if !hasCalls { part.calls = 0 }
        return part
    }

    /// What is left without parts that were taken out.
    public func without(units: Int64, cost: Money, hasCalls: Bool) -> StatementLine {
        part(units: Int64(clamping: quantity.pico / Amount.picoPerWhole) - units, cost: self.cost - cost, hasCalls: hasCalls)
    }
}

/// Which lines: those of a span as the books stand, or those frozen when a month was closed.
public struct StatementSource: Sendable {
    public let organization: OrganizationID
    public let span: StatementSpan
    /// The organization's: lines are of its days.
    public let zone: Zone
    /// The statement and its edition; nil where the span is open.
    public let frozen: (statement: StatementID, edition: Int64)?

    public init(
        organization: OrganizationID, span: StatementSpan, zone: Zone, frozen: (statement: StatementID, edition: Int64)? = nil
    ) {
        self.organization = organization
        self.span = span
        self.zone = zone
        self.frozen = frozen
    }

    /// The roll-ups that sum to the span.
    var pieces: [SpendPiece] { span.pieces(in: zone) }
}

enum StatementLines {
    /// A cursor over a source's lines.
    static func cursor(_ source: StatementSource, position: Int64, _ shared: SharedCosts) -> Query {
        if let (statement, edition) = source.frozen {
            return "DECLARE statement_page NO SCROLL CURSOR FOR \(list: [frozen(source.organization, statement, edition: edition)])"
        }
        return """
            DECLARE statement_page NO SCROLL CURSOR FOR
            SELECT line, consumed_at, cost_center, team_id, team_name, project_id, project_name, tier_name, api_key_id, api_key_name,
                   environment, provider, model, feature, usage_kind, price_id, service_tier, context_from, unit_price, list_price, calls,
                   quantity, cost, split_id, split_ratio
            FROM (\(list: [open(source, position: position, shared)])) AS lines ORDER BY line
            """
    }

    /// The frozen lines of a statement, in their order.
    static func frozen(_ organization: OrganizationID, _ statement: StatementID, edition: Int64) -> Query {
        """
        SELECT l.line, l.consumed_at, coalesce(a.cost_center, ''), a.team_id, a.team_name, a.project_id, a.project_name, a.tier_name,
               a.api_key_id, a.api_key_name, a.environment, l.provider, l.model, l.feature, l.usage_kind, l.price_id, l.service_tier,
               l.context_from, l.unit_price, l.list_price, l.calls, l.quantity, l.cost, l.split_id, l.split_ratio
        FROM statement_lines AS l JOIN attributions AS a ON a.organization_id = l.organization_id AND a.id = l.attribution_id
        WHERE l.organization_id = \(organization) AND l.statement_id = \(statement) AND l.edition = \(edition)
        ORDER BY l.line
        """
    }

    /// The lines of a span as the books stand, and the statement they are to be frozen for, if any. Sums are made by the narrow keys of the
    /// roll-ups; names come last. A correction lies in the roll-ups of the day it was booked on, and is moved here to the day of its call.
    static func open(_ source: StatementSource, position: Int64, _ shared: SharedCosts) -> Query {
        let (organization, span) = (source.organization, source.span)
        let days = source.span.days(in: source.zone).flatMap { day in day.pieces(in: source.zone).map { (day, $0) } }
        return """
            WITH days AS (
                SELECT * FROM unnest(\(days.map(\.0.start)), \(days.map(\.0.end)), \(days.map(\.1.kind.rawValue))) AS d (starts_at, ends_at, span)
            ), tail AS MATERIALIZED (
                SELECT * FROM (SELECT * FROM ledger_entries WHERE organization_id = \(organization) AND version > \(position)
                               ORDER BY version OFFSET 0) AS t
                WHERE occurred_at >= \(span.start) AND occurred_at < \(span.end)
            ), corrections AS MATERIALIZED (
                SELECT e.*, m.consumed_at, m.sign FROM ledger_entries AS e
                JOIN days AS d ON e.occurred_at >= d.starts_at AND e.occurred_at < d.ends_at
                CROSS JOIN LATERAL (VALUES (d.starts_at, -1), (date_trunc('day', e.corrects_at, \(source.zone.identifier)::text), 1))
                     AS m (consumed_at, sign)
                WHERE e.organization_id = \(organization) AND e.corrects_at IS NOT NULL
                  AND e.occurred_at >= \(span.start) AND e.occurred_at < \(span.end)
            ), calls AS (
                SELECT consumed_at, attribution_id, provider, model, feature, sum(calls)::bigint AS calls, sum(cost) AS cost FROM (
                    SELECT d.starts_at AS consumed_at, s.attribution_id, s.provider, s.model, s.feature, s.calls, s.cost
                    FROM days AS d CROSS JOIN LATERAL (
                        SELECT * FROM spend_rollups AS r WHERE r.organization_id = \(organization) AND r.span = d.span
                               AND r.starts_at >= d.starts_at AND r.starts_at < d.ends_at OFFSET 0) AS s
                    UNION ALL
                    SELECT d.starts_at, t.attribution_id, t.provider, t.model, coalesce(t.feature, ''), (t.kind = 'usage')::int, t.cost
                    FROM tail AS t JOIN days AS d ON t.occurred_at >= d.starts_at AND t.occurred_at < d.ends_at
                    UNION ALL
                    SELECT consumed_at, attribution_id, provider, model, coalesce(feature, ''), sign * (kind = 'usage')::int, sign * cost
                    FROM corrections
                ) AS parts GROUP BY 1, 2, 3, 4, 5
            ), kinds AS (
                SELECT consumed_at, attribution_id, provider, model, feature, usage_kind, price_id, sum(quantity) AS quantity,
                       sum(cost) AS cost
                FROM (
                    SELECT d.starts_at AS consumed_at, u.attribution_id, u.provider, u.model, u.feature, u.usage_kind, u.price_id, u.quantity,
                           u.cost
                    FROM days AS d CROSS JOIN LATERAL (
                        SELECT * FROM usage_rollups AS r WHERE r.organization_id = \(organization) AND r.span = d.span
                               AND r.starts_at >= d.starts_at AND r.starts_at < d.ends_at OFFSET 0) AS u
                    UNION ALL
                    SELECT d.starts_at, t.attribution_id, t.provider, t.model, coalesce(t.feature, ''), line.key,
                           coalesce((line.value ->> 'price')::uuid, '00000000-0000-0000-0000-000000000000'),
                           (line.value ->> 'quantity')::numeric, (line.value ->> 'cost')::numeric
                    FROM tail AS t JOIN days AS d ON t.occurred_at >= d.starts_at AND t.occurred_at < d.ends_at
                    CROSS JOIN LATERAL jsonb_each(t.lines) AS line
                    UNION ALL
                    SELECT c.consumed_at, c.attribution_id, c.provider, c.model, coalesce(c.feature, ''), line.key,
                           coalesce((line.value ->> 'price')::uuid, '00000000-0000-0000-0000-000000000000'),
                           c.sign * (line.value ->> 'quantity')::numeric, c.sign * (line.value ->> 'cost')::numeric
                    FROM corrections AS c CROSS JOIN LATERAL jsonb_each(c.lines) AS line
                ) AS parts GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(quantity) <> 0 OR sum(cost) <> 0
            ), lines AS (
                SELECT consumed_at, attribution_id, provider, model, feature, coalesce(k.usage_kind, '') AS usage_kind,
                       coalesce(k.price_id, '00000000-0000-0000-0000-000000000000') AS price_id,
                       CASE WHEN row_number() OVER (
                           PARTITION BY consumed_at, attribution_id, provider, model, feature ORDER BY k.usage_kind COLLATE "C", k.price_id
                       ) = 1 THEN coalesce(c.calls, 0) ELSE 0 END AS calls,
                       coalesce(k.quantity, 0) AS quantity, coalesce(k.cost, 0) AS cost
                FROM calls AS c FULL JOIN kinds AS k USING (consumed_at, attribution_id, provider, model, feature)
            ), named AS (
                SELECT l.consumed_at, a.cost_center, a.team_id, a.team_name, a.project_id, a.project_name, a.tier_name, a.api_key_id,
                       a.api_key_name, a.environment, l.provider, l.model, l.feature, l.usage_kind, l.price_id, p.service_tier,
                       p.context_from, p.amount_per_million AS unit_price,
                       CASE WHEN p.organization_id = \(OrganizationID.platform) THEN p.amount_per_million
                            ELSE coalesce(listed.amount_per_million, p.amount_per_million) END AS list_price,
                       l.calls, l.quantity, l.cost, a.id AS attribution_id, NULL::uuid AS split_id, NULL::numeric AS split_ratio
                FROM lines AS l
                JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = l.attribution_id
                LEFT JOIN prices AS p ON p.organization_id IN (\(organization), \(OrganizationID.platform)) AND p.id = l.price_id
                LEFT JOIN LATERAL (
                    SELECT amount_per_million FROM prices AS o
                    WHERE p.organization_id <> \(OrganizationID.platform) AND o.organization_id = \(OrganizationID.platform)
                          AND o.model = p.model AND o.usage_kind = p.usage_kind AND o.service_tier = p.service_tier
                          AND o.context_from = p.context_from AND o.valid_from <= l.consumed_at AND o.replaced_by IS NULL
                    ORDER BY o.valid_from DESC LIMIT 1) AS listed ON true
                WHERE l.calls <> 0 OR l.quantity <> 0 OR l.cost <> 0
                UNION ALL
                SELECT \(span.start), a.cost_center, a.team_id, a.team_name, a.project_id, a.project_name, a.tier_name, a.api_key_id,
                       a.api_key_name, a.environment, \(BookingKind.ownProvider), \(StatementLine.splitModel), m.name, 'split_' || m.method,
                       \(PriceID.first), NULL, NULL, NULL, NULL, 0, 0, m.cost, m.attribution_id, m.split_id, NULL
                FROM \(list: [shared.takenRows]) AS m (split_id, name, method, attribution_id, cost)
                JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = m.attribution_id
                UNION ALL
                SELECT \(span.start), cost_center, team_id, team_name, project_id, project_name, tier_name, api_key_id, api_key_name,
                       environment, \(BookingKind.ownProvider), \(StatementLine.splitModel), name, 'split_' || method, \(PriceID.first),
                       NULL, NULL, NULL, NULL, 0, 0, cost, attribution_id, split_id, ratio
                FROM (\(list: [shared.givenRows])) AS m
            )
            SELECT row_number() OVER (
                       ORDER BY cost_center COLLATE "C" NULLS FIRST, team_name COLLATE "C", team_id, project_name COLLATE "C", project_id,
                                model COLLATE "C", feature COLLATE "C", environment COLLATE "C", provider COLLATE "C", consumed_at,
                                attribution_id, usage_kind COLLATE "C", price_id, split_id) AS line,
                   consumed_at, coalesce(cost_center, '') AS cost_center, team_id, team_name, project_id, project_name, tier_name,
                   api_key_id, api_key_name, environment, provider, model, feature, usage_kind, price_id, service_tier, context_from,
                   unit_price, list_price, calls, quantity, cost, split_id, split_ratio, attribution_id,
                   \(organization) AS organization_id, \(source.frozen?.statement) AS statement_id, \(source.frozen?.edition) AS edition
            FROM named
            """
    }
}
