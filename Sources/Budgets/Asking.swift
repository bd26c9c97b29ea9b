/// Answering whether a call would be admitted now. Books nothing.

extension OrganizationState {
    mutating func answer(_ ask: Ask, _ planning: Planning?) -> Outcome {
        let models = allowedModels(ask.call, at: ask.at)
        guard case .go(let asked) = planning else {
            guard case .no(let refusal) = planning else { preconditionFailure("decide before prepare") }
            return .allowance(
                Allowance(refusal: refusal, model: ask.call.model, substitutions: [], standings: [], binding: nil, models: models))
        }
        var service = service(asked)
        var refusal = refusal(service.plan)
        if refusal != nil, let final = finalCall(inPlaceOf: service, asked.alternatives) { (service, refusal) = (final, nil) }
        let plan = service.plan
        let standings = plan.draws.map(standing)
        let binding = zip(plan.draws, standings).filter { $0.0.budget.enforcement == .block }
            .min { ($0.1.remaining - $0.0.need) < ($1.1.remaining - $1.0.need) }?.1
        return .allowance(
            Allowance(
                refusal: refusal, model: plan.model.name, substitutions: service.substitutions, standings: standings, binding: binding,
                models: models))
    }

    /// The models of the catalogue that may be called, in order: those of the project's tier and grants, within what the key is for.
    private mutating func allowedModels(_ call: Call, at now: Instant) -> [String] {
        let models = allowedModels(call.project, at: now)
        guard let key = configuration.apiKeys[call.apiKey], key.models != nil else { return models }
        return models.filter(key.allows)
    }

    private mutating func allowedModels(_ project: ProjectID, at now: Instant) -> [String] {
        guard let project = configuration.projects[project], let tier = configuration.tiers[project.tier] else { return [] }
        let own = allowedModels(tier)
        let grants = configuration.accessGrants(of: project.id).filter { now < $0.endsAt }
        guard !grants.isEmpty else { return own }
        var names = Set(own)
        for grant in grants {
            switch grant.subject {
            case .model(let granted): names.formUnion(configuration.modelNames.filter { granted.matches($0) })
            case .tier(let id): if let tier = configuration.tiers[id] { names.formUnion(allowedModels(tier)) }
            }
        }
        return names.sorted()
    }

    /// Worked out once for each tier, because matching thousands of names is no work for the thread that commits.
    private mutating func allowedModels(_ tier: Tier) -> [String] {
        if let known = modelsByTier[tier.id] { return known }
        let patterns = configuration.tiers(upTo: tier).flatMap(\.models)
        let names = configuration.modelNames.filter { name in patterns.contains { $0.matches(name) } }.sorted()
        modelsByTier[tier.id] = names
        return names
    }
}
