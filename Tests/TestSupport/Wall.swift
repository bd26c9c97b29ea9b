/// Either of the two walls between tenants by itself (law 8): sessions from which the other one has been taken away.
import Foundation
public import Postgres
import Store

/// What keeps tenants apart.
public enum Wall: String, Sendable {
    case both
    /// The predicates in the statements: the server works as a superuser, for whom there is no row-level security.
    case predicates
    /// Row-level security: the predicates are taken out of every statement that is run for a request.
    case rowSecurity = "row_security"
    /// For controls: what is sought would be found.
    case neither

    /// Each of these is to keep tenants apart.
    public static let holding: [Wall] = [.both, .predicates, .rowSecurity]
    /// Which one all tests of this run are to do with: `make walls` names one, otherwise both stand.
    public static let ofThisRun = ProcessInfo.processInfo.environment["BURSAR_WALL"].flatMap(Wall.init) ?? .both

    /// Leaves a server's sessions no other wall than this.
    public func standsAlone(in database: inout PostgresConfiguration) {
        switch self {
        case .both: break
        case .predicates: database.user = "bursar"
        case .rowSecurity: database.alteringSQL = Wall.withoutPredicates
        case .neither:
            Wall.predicates.standsAlone(in: &database)
            Wall.rowSecurity.standsAlone(in: &database)
        }
    }

    /// The statement as one that forgot whose rows it is about, and only knows whether they are the platform's, which all may see. A
    /// bind stays, as its number does.
    public static let withoutPredicates: @Sendable (String) -> String = { sql in
        let platform = "'00000000-0000-0000-0000-000000000000'::uuid"
        return sql.replacing(/((?:\w+\.)?organization_id) (= (\$\d+)|= ANY \((\$\d+)\)|IN \((\$\d+), (\$\d+)\))/) { match in
            let names = [match.3, match.5, match.6].compactMap(\.self).map { "\($0)::uuid" }
            let asked = match.4.map { "\($0)::uuid[]" } ?? "ARRAY[\(names.joined(separator: ", "))]"
            return """
                (CASE WHEN \(match.1) = \(platform) THEN \(platform) = ANY (\(asked)) ELSE \(platform) <> ANY (\(asked)) END)
                """
        }
    }
}

extension PostgresConfiguration {
    /// The same database as a server has it: as the service's role, with the walls of this run.
    public var serving: PostgresConfiguration {
        var serving = asService
        serving.password = password
        Wall.ofThisRun.standsAlone(in: &serving)
        return serving
    }
}
