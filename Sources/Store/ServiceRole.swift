/// The Postgres role that `serve` works under (design §10): it can neither change the schema nor step around the walls between tenants.
public import Postgres

public enum ServiceRole {
    /// Made by `Migrations/…_walls.sql`, with everything granted that the service needs. Log in as it, or as a member of it.
    public static let name = "bursar_service"

    /// Why the session's role must not serve; nil when it may.
    public static func unfitness(on connection: isolated PostgresConnection) throws -> String? {
        let row = try connection.query(
            """
            SELECT current_user::text, r.rolsuper, r.rolbypassrls,
                   EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
                           AND pg_has_role(r.oid, c.relowner, 'MEMBER')),
                   to_regclass('organizations') IS NOT NULL AND has_table_privilege('organizations', 'SELECT, INSERT, UPDATE')
            FROM pg_roles AS r WHERE r.rolname = current_user
            """
        ).rows[0]
        let (role, isSuperuser, bypasses, isOwner, isGranted) = try row.decode(as: (String, Bool, Bool, Bool, Bool).self)
        let cure = "Serve as a role of its own: CREATE ROLE … LOGIN IN ROLE \(name), and keep the owner for bursar migrate."
        if isSuperuser { return "The Postgres role \(role) is a superuser, before whom no wall between tenants stands. \(cure)" }
        if bypasses { return "The Postgres role \(role) has BYPASSRLS: no wall between tenants stands before it. \(cure)" }
        if isOwner { return "The Postgres role \(role) owns the tables, and could take the walls between tenants down. \(cure)" }
        if !isGranted { return "The Postgres role \(role) has no rights on the tables: GRANT \(name) TO \(role), after bursar migrate." }
        return nil
    }

    /// - Throws: `MigrationError.serviceRoleMissing` when there is no such role, and the session's may not make one.
    static func requireToBeMakeable(on connection: isolated PostgresConnection) throws {
        let row = try connection.query(
            """
            SELECT rolname::text, rolsuper OR rolcreaterole OR EXISTS (SELECT FROM pg_roles WHERE rolname = \(name))
            FROM pg_roles WHERE rolname = current_user
            """
        ).rows[0]
        let (owner, isMakeable) = try row.decode(as: (String, Bool).self)
        guard isMakeable else { throw MigrationError.serviceRoleMissing(owner: owner) }
    }

    /// Lets the role log in by itself: on a private Postgres, which nobody else can reach.
    public static func allowLogin(on connection: isolated PostgresConnection) throws {
        let canLogIn = try connection.query("SELECT rolcanlogin FROM pg_roles WHERE rolname = \(name)").rows.first?.decode(as: Bool.self)
        if canLogIn == false { try connection.script("ALTER ROLE bursar_service LOGIN") }
    }
}

extension PostgresConfiguration {
    /// The same database as the service's role, where that needs no password: on a private Postgres.
    public var asService: PostgresConfiguration {
        var service = self
        service.user = ServiceRole.name
        service.password = nil
        return service
    }
}
