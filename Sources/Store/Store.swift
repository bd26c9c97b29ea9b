/// Administration in Postgres: every change of what organizations own. Each topic has a file with its SQL beside its decode.
///
/// The engine does not pass through here; it reads and writes with the queries of `Fences`, `Ledger…` and `Alert…`.
public import Budgets
public import Postgres
public import Tracing

/// Reads and changes the configuration of organizations.
public struct Store: Sendable {
    public let pool: TenantPool
    /// The connection of the transaction that this store works in; nil: each change is a transaction of its own.
    let bound: PostgresConnection?
    let tracer: (any Tracer)?

    /// A store for everyone; `store(of:)` narrows it down.
    /// - Parameter tracer: Nil unless operations are to be traced: then nothing is spent on it.
    public init(pool: PostgresPool, tracer: (any Tracer)? = nil) {
        self.init(pool: TenantPool(pool: pool, tenants: .everyone), bound: nil, tracer: tracer)
    }

    /// The same, on the organization's side of the wall: for all that a request does.
    public func store(of organization: OrganizationID) -> Store {
        Store(pool: TenantPool(pool: pool.pool, tenants: .only([organization])), bound: bound, tracer: tracer)
    }

    init(pool: TenantPool, bound: PostgresConnection?, tracer: (any Tracer)?) {
        self.pool = pool
        self.bound = bound
        self.tracer = tracer
    }

    /// Runs an operation inside a span with its name.
    func traced<Value>(_ operation: String, _ body: () async throws -> Value) async throws -> Value {
        guard let tracer else { return try await body() }
        return try await tracer.withSpan("store \(operation)", ofKind: .client) { _ in try await body() }
    }

    /// Runs a change of an organization's configuration: its fence is raised first, in the same Postgres transaction, so the next
    /// decision on every replica sees the change (law 10) and all changes of one organization happen one after another.
    func configure<Value: Sendable>(
        _ organization: OrganizationID, operation: String = #function,
        _ change: @Sendable (isolated PostgresConnection) throws -> Value
    ) async throws -> Value {
        try await transaction(operation: operation) { connection in
            try connection.query(Fences.raiseConfiguration(organization))
            return try change(connection)
        }
    }

    /// Like `configure`, for what the platform offers to all: raises every fence, in the order of ids so that nothing deadlocks.
    func configureEveryone<Value: Sendable>(
        operation: String = #function, _ change: @Sendable (isolated PostgresConnection) throws -> Value
    ) async throws -> Value {
        try await transaction(operation: operation) { connection in
            try connection.query(Tenants.everyone.statement)
            try connection.query("SELECT organization_id FROM fences ORDER BY organization_id FOR UPDATE")
            try connection.query("UPDATE fences SET version = version + 1, configuration_version = configuration_version + 1")
            return try change(connection)
        }
    }

    /// Runs a change of what no decision rests on: all of it or nothing.
    func transaction<Value: Sendable>(
        operation: String = #function, _ change: @Sendable (isolated PostgresConnection) throws -> Value
    ) async throws -> Value {
        try await traced(operation) {
            try await refusing {
                if let bound { return try await bound.run(change) }
                return try await pool.withConnection { connection in try connection.transaction(change) }
            }
        }
    }

    /// A catalogue belongs to one organization, or is the platform's and then everyone's.
    func configureCatalogue<Value: Sendable>(
        of organization: OrganizationID, operation: String = #function,
        _ change: @Sendable (isolated PostgresConnection) throws -> Value
    ) async throws -> Value {
        if organization == .platform { return try await configureEveryone(operation: operation, change) }
        return try await configure(organization, operation: operation, change)
    }

    /// Reads outside of any change.
    func read<Value: Sendable>(
        operation: String = #function, _ body: @Sendable (isolated PostgresConnection) throws -> Value
    ) async throws -> Value {
        try await traced(operation) {
            if let bound { return try await bound.run(body) }
            return try await pool.withConnection { connection in try body(connection) }
        }
    }

    /// Tells violated constraints that mean something to the caller as what they mean.
    func refusing<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as PostgresError {
            throw AdminRefusal(error) ?? error
        }
    }
}

extension PostgresConnection {
    fileprivate func run<Value: Sendable>(_ body: @Sendable (isolated PostgresConnection) throws -> Value) throws -> Value {
        try body(self)
    }
}

/// Why a change is not made: expected, and told to the caller. Thrown, because it must also undo the Postgres transaction.
public enum AdminRefusal: Error, Hashable, Sendable {
    case notFound
    case archived
    case revisionMismatch(current: Int64)
    case nameTaken
    case rankTaken
    /// The body's field at this pointer names something the organization does not have.
    case unknownReference(pointer: String)
    /// Something else still uses it.
    case inUse(String)
    /// Prices are appended in the order of their beginnings.
    case laterPriceExists
    case roleNotYours
    /// The same idempotency key is being served at this moment.
    case requestInFlight
    /// The idempotency key was used for another request.
    case keyReused
    /// A guard rail of burst requests, or the state that a burst is in.
    case burst(BurstRefusal, unit: BudgetUnit)
    /// A project needs a tier, and the organization has no default.
    case tierMissing
    /// The project may have what is asked for already.
    case alreadyAllowed
    /// Somebody was first: `approved`, `denied`, `withdrawn` or `expired`.
    case alreadyDecided(String)
    /// A bound on how many there may be (law 11), and what makes room.
    case tooMany(String, Int, cure: String)
    /// The body's field at this pointer names something that cannot be taken for this; the text says what could.
    case unfit(pointer: String, String)
    /// So much is neither spent nor held, and less than what was to be taken.
    case committed(free: Amount, unit: BudgetUnit)
    /// Another user has this address.
    case emailTaken
    /// A month that cannot be proposed, closed or opened again as it is.
    case statement(StatementRefusal)

    /// What a violated constraint means to a caller; nil when it means a fault of ours.
    init?(_ error: PostgresError) {
        switch error.constraint {
        case "teams_name", "models_name", "tiers_name", "projects_name": self = .nameTaken
        case "tiers_rank": self = .rankTaken
        case "users_email": self = .emailTaken
        case "prices_begin": self = .laterPriceExists
        case "adjustments_reversal": self = .inUse("It was taken back already, or somebody has asked for that.")
        default: return nil
        }
    }
}

/// One page of a list. `next` is the last id of the page when more follow.
public struct Page<Item: Sendable, Cursor: Sendable>: Sendable {
    public let items: [Item]
    public let next: Cursor?

    /// Takes one row more than asked for as the sign that more follow.
    init(_ items: [Item], limit: Int, cursor: (Item) -> Cursor) {
        self.items = Array(items.prefix(limit))
        next = items.count > limit ? self.items.last.map(cursor) : nil
    }
}

extension ID {
    /// Before all others: where a list begins.
    public static var first: Self { Self(high: 0, low: 0) }
    /// After all others: where a list of the newest first begins.
    public static var last: Self { Self(high: .max, low: .max) }
}
