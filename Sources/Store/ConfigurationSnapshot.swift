/// An organization's configuration for questions that rest on it and decide nothing: read afresh, outside of the engine.
public import Budgets
import Postgres

extension Store {
    /// The configuration as of one snapshot of Postgres, with the whole catalogue: some tens of milliseconds.
    /// - Throws: `AdminRefusal.notFound` when there is no such organization.
    public func configuration(of organization: OrganizationID) async throws -> Configuration {
        try await transaction { connection in
            try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            let platform = try ConfigurationReads.decodeCatalogue(
                try connection.pipeline(ConfigurationReads.catalogueQueries(.platform))
            ).catalogue()
            let own = try ConfigurationReads.decodeCatalogue(try connection.pipeline(ConfigurationReads.catalogueQueries(organization)))
            let results = try connection.pipeline(ConfigurationReads.queries(organization))
            guard let configuration = try ConfigurationReads.decode(organization, version: 0, results, own: own, platform: platform) else {
                throw AdminRefusal.notFound
            }
            return configuration
        }
    }
}
