/// How much of each kind of thing an organization may have at a time (law 11): far more than one looks after by hand, and little
/// enough that its whole configuration fits in a lane's memory.
import Budgets
import Postgres

enum Bound: String, CaseIterable {
    case teams, projects, users, tiers, budgets, endpoints, models
    /// Neither revoked nor expired.
    case apiKeys = "API keys"
    /// In force, or to come.
    case costSplits = "cost splits"
    /// Of terms that are not over, and not taken back.
    case commitments
    /// In force, or to come.
    case prices = "prices in force"
    case accessGrants = "access grants in force"
    case adjustments = "undecided adjustments"
    case reallocations = "undecided reallocations"
    /// Not made yet, or with a file.
    case exports

    var most: Int {
        switch self {
        case .teams: 2000
        case .projects, .budgets, .users, .apiKeys: 20_000
        case .models, .accessGrants: 5000
        case .prices: 50_000
        case .tiers, .endpoints: 200
        case .costSplits, .commitments, .adjustments, .reallocations: 500
        case .exports: 20
        }
    }

    /// How one makes room.
    private var cure: String {
        switch self {
        case .teams, .projects, .users, .tiers, .budgets, .endpoints, .models: "Archive what is no longer needed."
        case .apiKeys, .accessGrants: "Revoke what is no longer needed."
        case .costSplits: "Let those end that no longer hold."
        case .commitments: "They end with their terms; cancel those that no closed month has."
        case .prices: "Prices end with their model: archive models that are no longer called."
        case .adjustments, .reallocations: "Approve or deny those that wait."
        case .exports: "Cancel what is no longer needed, or wait until files expire."
        }
    }

    /// Refuses more than there may be. Where the organization's fence is held, two cannot pass at once; elsewhere a few more do no harm.
    /// - Parameter more: how many are about to be made.
    func requireRoom(for more: Int = 1, in organization: OrganizationID, _ connection: isolated PostgresConnection) throws {
        let count = try connection.query(count(organization, upTo: most)).rows[0].decode(as: Int.self)
        guard count + more <= most else { throw AdminRefusal.tooMany(rawValue, most, cure: cure) }
    }

    private func count(_ id: OrganizationID, upTo most: Int) -> Query {
        switch self {
        case .teams:
            "SELECT count(*) FROM (SELECT FROM teams WHERE organization_id = \(id) AND archived_at IS NULL LIMIT \(most)) AS counted"
        case .projects:
            "SELECT count(*) FROM (SELECT FROM projects WHERE organization_id = \(id) AND archived_at IS NULL LIMIT \(most)) AS counted"
        case .users:
            "SELECT count(*) FROM (SELECT FROM users WHERE organization_id = \(id) AND archived_at IS NULL LIMIT \(most)) AS counted"
        case .tiers:
            "SELECT count(*) FROM (SELECT FROM tiers WHERE organization_id = \(id) AND archived_at IS NULL LIMIT \(most)) AS counted"
        case .budgets:
            "SELECT count(*) FROM (SELECT FROM budgets WHERE organization_id = \(id) AND archived_at IS NULL LIMIT \(most)) AS counted"
        case .endpoints:
            "SELECT count(*) FROM (SELECT FROM endpoints WHERE organization_id = \(id) AND archived_at IS NULL LIMIT \(most)) AS counted"
        case .models:
            "SELECT count(*) FROM (SELECT FROM models WHERE organization_id = \(id) AND archived_at IS NULL LIMIT \(most)) AS counted"
        case .costSplits:
            """
            SELECT count(*) FROM (SELECT FROM cost_splits WHERE organization_id = \(id)
                AND (until_month IS NULL OR until_month > to_char(now(), 'YYYY-MM')) LIMIT \(most)) AS counted
            """
        case .commitments:
            """
            SELECT count(*) FROM (SELECT FROM commitments WHERE organization_id = \(id) AND cancelled_at IS NULL AND until_date > now()
                LIMIT \(most)) AS counted
            """
        case .prices:
            """
            SELECT count(*) FROM (SELECT FROM prices WHERE organization_id = \(id) AND replaced_by IS NULL
                AND (valid_to IS NULL OR valid_to > now()) LIMIT \(most)) AS counted
            """
        case .accessGrants:
            """
            SELECT count(*) FROM (SELECT FROM access_grants WHERE organization_id = \(id) AND revoked_at IS NULL AND ends_at > now()
                LIMIT \(most)) AS counted
            """
        case .adjustments:
            """
            SELECT count(*) FROM (SELECT FROM adjustments WHERE organization_id = \(id) AND state = 'requested' LIMIT \(most)) AS counted
            """
        case .reallocations:
            """
            SELECT count(*) FROM (SELECT FROM reallocations WHERE organization_id = \(id) AND decision IS NULL AND lapses_at > now()
                LIMIT \(most)) AS counted
            """
        case .exports:
            """
            SELECT count(*) FROM (SELECT FROM exports WHERE organization_id = \(id) AND state IN ('queued', 'running', 'done')
                LIMIT \(most)) AS counted
            """
        case .apiKeys:
            """
            SELECT count(*) FROM (SELECT FROM api_keys WHERE organization_id = \(id) AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > now()) LIMIT \(most)) AS counted
            """
        }
    }
}
