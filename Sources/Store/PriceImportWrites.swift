/// Writes an import into a catalogue, the platform's or an organization's contracted prices: effective-dated, in one Postgres transaction, seen
/// by every next decision that it concerns (law 10).
public import Budgets
public import Postgres

extension PostgresConnection {
    /// Compares `list` with the platform's prices and, unless it is a dry run, writes the difference and puts what is implausible into
    /// quarantine. A second import of the same list finds nothing to do and raises no fence.
    ///
    /// The platform's fence is locked first, so that imports and other changes of the catalogue follow each other; the organizations'
    /// are raised last, in the order of their ids, so that decisions wait as shortly as possible and nothing deadlocks.
    /// - Parameter at: when changed rates end and new ones begin.
    /// - Throws: `PostgresError`, or `AdminRefusal.tooMany`; then nothing was written.
    public func importPrices(
        _ list: PriceList, at instant: Instant, accepting accepted: Set<String> = [], dryRun: Bool = false
    ) throws -> PriceChanges {
        try transaction { connection in
            if !dryRun { try connection.query(Fences.lock([.platform])) }
            let current = try PriceImports.decode(try connection.pipeline(PriceImports.inForce(.platform)))
            let changes = PriceChanges(from: current, to: list, at: instant, accepting: accepted)
            if dryRun { return changes }
            try connection.pipeline(PriceProposals.propose(changes.heldBack, of: .platform, at: instant, from: instant))
            if changes.isEmpty { return changes }
            try Bound.models.requireRoom(for: changes.newModels.count, in: .platform, connection)
            try Bound.prices.requireRoom(for: changes.newRates.count, in: .platform, connection)
            try connection.pipeline(PriceImports.write(changes, to: .platform, at: instant) + PriceImports.raiseAllConfigurations)
            return changes
        }
    }
}

extension Store {
    /// Writes what an organization agreed with providers as its contracted prices, and puts what is implausible beside the list prices into
    /// quarantine.
    /// - Parameters:
    ///   - instant: when the prices come into force; may be past.
    ///   - dryRun: only says what would change.
    /// - Throws: `ContractFault` for a line that names nothing; `AdminRefusal.tooMany`.
    public func importContract(
        _ lines: [ContractLine], of organization: OrganizationID, source: String, validFrom instant: Instant, at now: Instant,
        accepting accepted: Set<String> = [], dryRun: Bool = false
    ) async throws -> PriceChanges {
        let work: @Sendable (isolated PostgresConnection) throws -> PriceChanges = { connection in
            let listed = try PriceImports.decode(try connection.pipeline(PriceImports.inForce(.platform)))
            let agreed = try PriceImports.decode(try connection.pipeline(PriceImports.inForce(organization)))
            let amounts = listed.rates.mapValues { $0.mapValues(\.amountPerMillion) }
            // A model of one's own hides the platform's: there is nothing to be agreed about it.
            let models = listed.models.filter { agreed.models[$0.key] == nil }
            let list = try PriceList(
                contract: lines,
                over: ListInForce(providers: models.mapValues(\.provider), rates: amounts), source: source)
            let current = PricesInForce(models: models, rates: agreed.rates, list: amounts)
            let changes = PriceChanges(from: current, to: list, at: instant, accepting: accepted)
            if dryRun { return changes }
            try Bound.prices.requireRoom(for: changes.newRates.count, in: organization, connection)
            try connection.pipeline(PriceProposals.propose(changes.heldBack, of: organization, at: now, from: instant))
            try connection.pipeline(PriceImports.write(changes, to: organization, at: instant))
            return changes
        }
        return dryRun ? try await read(work) : try await configure(organization, work)
    }
}

enum PriceImports {
    static func inForce(_ organization: OrganizationID) -> [Query] {
        [
            """
            SELECT name, provider, max_input_tokens, max_output_tokens, deprecated_at FROM models
            WHERE organization_id = \(organization) AND archived_at IS NULL
            """,
            """
            SELECT DISTINCT ON (model, usage_kind, service_tier, context_from)
                model, usage_kind, service_tier, context_from, id, amount_per_million, valid_from
            FROM prices WHERE organization_id = \(organization) AND valid_to IS NULL AND replaced_by IS NULL
            ORDER BY model, usage_kind, service_tier, context_from, valid_from DESC
            """,
        ]
    }

    static func decode(_ results: [PostgresResult]) throws(PostgresError) -> PricesInForce {
        var models: [String: PricesInForce.Model] = [:]
        for row in results[0].rows {
            let (name, provider, maxInput, maxOutput, deprecatedAt) = try row.decode(
                as: (String, String, Int64?, Int64?, Instant?).self)
            models[name] = .init(
                provider: provider, maxInputTokens: maxInput, maxOutputTokens: maxOutput, deprecatedAt: deprecatedAt)
        }
        var rates: [String: [ListedRate.Slot: PricesInForce.Open]] = [:]
        for row in results[1].rows {
            let (model, kind, tier, from, id, amount, validFrom) = try row.decode(
                as: (String, String, String, Int64, PriceID, Amount, Instant).self)
            rates[model, default: [:]][.init(kind: kind, serviceTier: tier, contextFrom: from)] =
                .init(id: id, amountPerMillion: amount, validFrom: validFrom)
        }
        return PricesInForce(models: models, rates: rates)
    }

    static func write(_ changes: PriceChanges, to organization: OrganizationID, at instant: Instant) -> [Query] {
        let rates = changes.newRates + changes.changedRates
        let prices = [
            end(changes.changedRates.compactMap(\.old?.id), of: organization, at: instant), insert(rates, of: organization, at: instant),
        ]
        // Contracts are about the platform's models, and do not change them.
        guard organization == .platform else { return prices }
        return [insert(changes.newModels, at: instant), update(changes.changedModels)] + prices
    }

    private static func insert(_ models: [ListedModel], at instant: Instant) -> Query {
        """
        INSERT INTO models (organization_id, id, name, provider, max_input_tokens, max_output_tokens, deprecated_at)
        SELECT \(OrganizationID.platform), * FROM unnest(
            \(models.map { _ in ModelID(at: instant) }), \(models.map(\.name)), \(models.map(\.provider)),
            \(models.map(\.maxInputTokens)), \(models.map(\.maxOutputTokens)), \(models.map(\.deprecatedAt)))
        """
    }

    private static func update(_ models: [ListedModel]) -> Query {
        """
        UPDATE models AS m SET provider = listed.provider,
            max_input_tokens = coalesce(listed.max_input_tokens, m.max_input_tokens),
            max_output_tokens = coalesce(listed.max_output_tokens, m.max_output_tokens),
            deprecated_at = coalesce(listed.deprecated_at, m.deprecated_at), revision = m.revision + 1
        FROM unnest(\(models.map(\.name)), \(models.map(\.provider)), \(models.map(\.maxInputTokens)), \(models.map(\.maxOutputTokens)),
                    \(models.map(\.deprecatedAt)))
            AS listed (name, provider, max_input_tokens, max_output_tokens, deprecated_at)
        WHERE m.organization_id = \(OrganizationID.platform) AND m.archived_at IS NULL AND m.name = listed.name
        """
    }

    private static func end(_ rates: [PriceID], of organization: OrganizationID, at instant: Instant) -> Query {
        """
        UPDATE prices SET valid_to = \(instant)
        WHERE organization_id = \(organization) AND id = ANY (\(rates)) AND valid_to IS NULL
        """
    }

    private static func insert(_ rates: [PriceChanges.RateChange], of organization: OrganizationID, at instant: Instant) -> Query {
        """
        INSERT INTO prices
            (organization_id, id, model, usage_kind, service_tier, context_from, amount_per_million, valid_from, source)
        SELECT \(organization), id, model, usage_kind, service_tier, context_from, amount, \(instant), source FROM unnest(
            \(rates.map { _ in PriceID(at: instant) }), \(rates.map(\.model)), \(rates.map(\.slot.kind)),
            \(rates.map(\.slot.serviceTier)), \(rates.map(\.slot.contextFrom)), \(rates.map(\.amountPerMillion)), \(rates.map(\.source)))
            AS listed (id, model, usage_kind, service_tier, context_from, amount, source)
        """
    }

    /// Every organization decides with the platform's catalogue, so every fence rises.
    static let raiseAllConfigurations: [Query] = [
        "SELECT organization_id FROM fences ORDER BY organization_id FOR UPDATE",
        "UPDATE fences SET version = version + 1, configuration_version = configuration_version + 1",
    ]
}
