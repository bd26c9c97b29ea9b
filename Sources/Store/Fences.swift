/// The fence of an organization (design §5): one row whose `version` every transaction raises that changes anything decisions rest
/// on. While the version a lane last saw is still there, all it remembers is exact.
public import Budgets
public import Postgres

/// A fence as it was read.
public struct Fence: Hashable, Sendable {
    public let version: Int64
    public let configurationVersion: Int64
}

public enum Fences {
    /// The fences as they stand.
    public static func read(_ organizations: [OrganizationID]) -> Query {
        """
        SELECT organization_id, version, configuration_version FROM fences
        WHERE organization_id = ANY (\(organizations))
        """
    }

    /// The fences, locked until the end of the Postgres transaction, in the order of their ids so that nothing deadlocks.
    public static func lock(_ organizations: [OrganizationID]) -> Query {
        """
        SELECT organization_id, version, configuration_version FROM fences
        WHERE organization_id = ANY (\(organizations)) ORDER BY organization_id FOR UPDATE
        """
    }

    /// Raises one organization's fence because its configuration changes: the first statement of every such transaction.
    public static func raiseConfiguration(_ organization: OrganizationID) -> Query {
        """
        UPDATE fences SET version = version + 1, configuration_version = configuration_version + 1
        WHERE organization_id = \(organization)
        """
    }

    /// The SQLSTATE of `LedgerWrites.commit` when another transaction was first: a division by zero, which nothing else there does.
    public static let staleState = "22012"

    public static func decode(_ result: PostgresResult) throws(PostgresError) -> [OrganizationID: Fence] {
        var fences: [OrganizationID: Fence] = [:]
        for row in result.rows {
            let (organization, version, configuration) = try row.decode(as: (OrganizationID, Int64, Int64).self)
            fences[organization] = Fence(version: version, configurationVersion: configuration)
        }
        return fences
    }
}
