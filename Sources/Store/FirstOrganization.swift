/// The step from an empty database to the first API call, in one Postgres transaction: all of it or nothing.
public import Budgets
public import Postgres

/// An organization that `bursar bootstrap` makes, with the two keys that everything else starts from.
public struct FirstOrganization: Sendable {
    public let id: OrganizationID
    public let name: String
    /// An IANA zone that `Zone` knows.
    public let timeZone: String
    public let operatorSecret: APIKeySecret
    public let ownerSecret: APIKeySecret
    private let operatorKey: APIKeyID
    private let ownerKey: APIKeyID

    /// With new ids and secrets.
    public init(name: String, timeZone: String, at now: Instant) {
        id = OrganizationID(at: now)
        self.name = name
        self.timeZone = timeZone
        operatorSecret = APIKeySecret()
        ownerSecret = APIKeySecret()
        operatorKey = APIKeyID(at: now)
        ownerKey = APIKeyID(at: now)
    }

    /// What became of it.
    public enum Outcome: Hashable, Sendable {
        case created
        /// A living organization has this name; nothing was changed.
        case exists(OrganizationID)
    }

    /// Writes it, unless an organization of that name exists. Several at once happen one after another.
    public func create(on connection: isolated PostgresConnection) throws -> Outcome {
        try connection.transaction { connection in
            // The platform gets a key, so its fence is raised first, as for every change; that also makes others wait.
            try connection.query(Fences.raiseConfiguration(.platform))
            let found = try connection.query(
                """
                SELECT organization_id FROM organizations
                WHERE name = \(name) AND archived_at IS NULL AND organization_id <> \(OrganizationID.platform)
                ORDER BY organization_id LIMIT 1
                """)
            if let row = found.rows.first { return .exists(try row.decode(as: OrganizationID.self)) }
            try connection.query("INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(id), \(name), \(timeZone))")
            try connection.query("INSERT INTO fences (organization_id) VALUES (\(id))")
            let owner = NewAPIKey(id: ownerKey, name: "bootstrap owner", holder: .role(.owner), secret: ownerSecret)
            try connection.query(Store.insert(owner, into: id))
            let operatorOfAll = NewAPIKey(id: operatorKey, name: "bootstrap operator", holder: .role(.operator), secret: operatorSecret)
            try connection.query(Store.insert(operatorOfAll, into: .platform))
            return .created
        }
    }

    /// How many living organizations there are, the platform not counted.
    public static func count(on connection: isolated PostgresConnection) throws -> Int {
        let result = try connection.query(
            "SELECT count(*) FROM organizations WHERE archived_at IS NULL AND organization_id <> \(OrganizationID.platform)")
        return try result.rows[0].decode(as: Int.self)
    }
}
