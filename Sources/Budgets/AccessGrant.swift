/// Access beyond a project's own tier, approved and with an end.

/// Lets a project call a model, or what a tier has, until an instant.
public struct AccessGrant: Sendable {
    public enum Subject: Sendable {
        case tier(TierID)
        /// One model by its name.
        case model(Pattern)
    }

    public let project: ProjectID
    public let subject: Subject
    /// From this instant on it does not hold.
    public let endsAt: Instant

    public init(project: ProjectID, subject: Subject, endsAt: Instant) {
        self.project = project
        self.subject = subject
        self.endsAt = endsAt
    }
}

extension OrganizationState {
    /// The tier under whose cap the project may call the model now: its own, or a granted one; nil when it may not.
    mutating func admitting(_ model: String, for project: Project, _ own: Tier, at now: Instant) -> Tier? {
        if isAllowed(model, tier: own) { return own }
        for grant in configuration.accessGrants(of: project.id) where now < grant.endsAt {
            switch grant.subject {
            case .model(let granted): if granted.matches(model) { return own }
            case .tier(let id): if let tier = configuration.tiers[id], isAllowed(model, tier: tier) { return tier }
            }
        }
        return nil
    }
}
