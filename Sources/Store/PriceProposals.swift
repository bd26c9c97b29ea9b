/// The quarantine of price imports: changes that are too large or do not fit the model's other prices wait here for a person.
public import Budgets
import Postgres

public struct PriceProposal: Sendable {
    public enum State: String, Sendable, CaseIterable { case proposed, approved, rejected, superseded }

    public let id: PriceProposalID
    public let model: String
    public let slot: ListedRate.Slot
    /// What is in force; nil: nothing is.
    public let current: Money?
    public let amountPerMillion: Money
    /// When it is to come into force; once approved later than that, then.
    public let validFrom: Instant
    public let reason: PriceChanges.HoldReason
    public let source: String
    public let proposedAt: Instant
    public let state: State
    public let decidedBy: String?
    public let decidedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let (kind, tier, from): (String, String, Int64)
        let (reasonName, stateName): (String, String)
        (
            id, model, kind, tier, from, current, amountPerMillion, validFrom, reasonName, source, proposedAt, stateName, decidedBy,
            decidedAt
        ) = try row.decode(
            as: (
                PriceProposalID, String, String, String, Int64, Money?, Money, Instant, String, String, Instant, String, String?, Instant?
            ).self)
        guard let reason = PriceChanges.HoldReason(rawValue: reasonName), let state = State(rawValue: stateName) else {
            throw .decoding("a price proposal with an unknown word")
        }
        slot = ListedRate.Slot(kind: kind, serviceTier: tier, contextFrom: from)
        self.reason = reason
        self.state = state
    }
}

extension Store {
    /// Those that wait, or all in a state.
    public func priceProposals(
        of organization: OrganizationID, state: PriceProposal.State, _ listing: Listing<PriceProposal, PriceProposalID>
    ) async throws -> Page<PriceProposal, ListPlace<PriceProposalID>> {
        try await read { connection in
            let rows = try connection.query(PriceProposals.select(organization, state: state, listing)).rows
            return listing.page(try rows.map(PriceProposal.init)) { $0.id }
        }
    }

    /// Writes the price, from now on if its time has come, or puts it away for good: the same one is not proposed again.
    /// - Throws: `AdminRefusal.inUse` when it was decided already, `.laterPriceExists` when another price overtook it.
    public func decide(
        _ isApproved: Bool, on id: PriceProposalID, of organization: OrganizationID, by actor: String, at now: Instant
    ) async throws -> PriceProposal {
        try await configureCatalogue(of: organization) { connection in
            let proposal = try PriceProposals.read(id, organization, connection)
            guard proposal.state == .proposed else { throw AdminRefusal.inUse("It is \(proposal.state.rawValue) already.") }
            if isApproved {
                let price = NewPrice(
                    id: PriceID(at: now), model: proposal.model, usageKind: proposal.slot.kind, serviceTier: proposal.slot.serviceTier,
                    contextFrom: proposal.slot.contextFrom, amountPerMillion: proposal.amountPerMillion,
                    validFrom: max(proposal.validFrom, now), source: proposal.source)
                _ = try Store.insertPrice(price, of: organization, connection)
            }
            try connection.query(
                """
                UPDATE price_proposals
                SET state = \(isApproved ? PriceProposal.State.approved.rawValue : PriceProposal.State.rejected.rawValue),
                    decided_by = \(actor), decided_at = \(now)
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try PriceProposals.read(id, organization, connection)
        }
    }
}

enum PriceProposals {
    static func select(
        _ organization: OrganizationID, state: PriceProposal.State, _ listing: Listing<PriceProposal, PriceProposalID>
    ) -> Query {
        """
        SELECT id, model, usage_kind, service_tier, context_from, current_amount, amount_per_million, valid_from, reason, source,
               proposed_at, state, decided_by, decided_at
        FROM price_proposals WHERE organization_id = \(organization) AND state = \(state.rawValue) AND \(list: [listing.isAfter("id")])
        ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
        """
    }

    static func read(
        _ id: PriceProposalID, _ organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> PriceProposal {
        let result = try connection.query(
            """
            SELECT id, model, usage_kind, service_tier, context_from, current_amount, amount_per_million, valid_from, reason, source,
                   proposed_at, state, decided_by, decided_at
            FROM price_proposals WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try PriceProposal(row)
    }

    /// Puts held changes into quarantine. One that waits already or was rejected stays as it is; another amount for the same rate takes
    /// the place of the one that waits.
    static func propose(_ held: [PriceChanges.HeldChange], of organization: OrganizationID, at now: Instant, from: Instant) -> [Query] {
        let changes = held.map(\.change)
        return [
            """
            UPDATE price_proposals AS p SET state = 'superseded', decided_by = 'bursar', decided_at = \(now)
            FROM unnest(
                \(changes.map(\.model)), \(changes.map(\.slot.kind)), \(changes.map(\.slot.serviceTier)), \(changes.map(\.slot.contextFrom)),
                \(changes.map(\.amountPerMillion))) AS l (model, usage_kind, service_tier, context_from, amount_per_million)
            WHERE p.organization_id = \(organization) AND p.state = 'proposed'
              AND (p.model, p.usage_kind, p.service_tier, p.context_from) = (l.model, l.usage_kind, l.service_tier, l.context_from)
              AND p.amount_per_million <> l.amount_per_million
            """,
            """
            INSERT INTO price_proposals
                (organization_id, id, model, usage_kind, service_tier, context_from, current_amount, amount_per_million, valid_from, reason,
                 source, proposed_at)
            SELECT \(organization), l.id, l.model, l.usage_kind, l.service_tier, l.context_from, l.current_amount, l.amount_per_million,
                   \(from), l.reason, l.source, \(now)
            FROM unnest(
                \(changes.map { _ in PriceProposalID(at: now) }), \(changes.map(\.model)), \(changes.map(\.slot.kind)),
                \(changes.map(\.slot.serviceTier)), \(changes.map(\.slot.contextFrom)), \(held.map(\.current)),
                \(changes.map(\.amountPerMillion)), \(held.map(\.reason.rawValue)), \(changes.map(\.source)))
                AS l (id, model, usage_kind, service_tier, context_from, current_amount, amount_per_million, reason, source)
            WHERE NOT EXISTS (
                SELECT FROM price_proposals AS p
                WHERE p.organization_id = \(organization) AND p.state IN ('proposed', 'rejected')
                  AND (p.model, p.usage_kind, p.service_tier, p.context_from) = (l.model, l.usage_kind, l.service_tier, l.context_from)
                  AND p.amount_per_million = l.amount_per_million)
            """,
        ]
    }
}
