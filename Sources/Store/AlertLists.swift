/// What people were told, and how it got to them: read by administrators, written by the engine and the dispatcher.
public import Budgets
import Postgres

public struct AlertRecord: Sendable {
    public let id: AlertID
    public let budget: BudgetID
    public let budgetName: String
    public let unit: BudgetUnit
    public let subject: String
    public let periodStart: Instant
    public let limitVersion: Int64
    /// A percentage, or 0 where the threshold is an amount.
    public let threshold: Int64
    public let thresholdAmount: Amount
    public let settled: Amount
    public let amount: Amount
    /// Nil: superseded by a higher threshold reached at the same time.
    public let event: EventID?
    public let createdAt: Instant
    public let recoveredAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let unitName: String
        (
            id, budget, budgetName, unitName, subject, periodStart, limitVersion, threshold, thresholdAmount, settled, amount, event,
            createdAt, recoveredAt
        ) = try row.decode(
            as: (
                AlertID, BudgetID, String, String, String, Instant, Int64, Int64, Amount, Amount, Amount, EventID?, Instant, Instant?
            ).self)
        guard let unit = BudgetUnit(rawValue: unitName) else { throw .decoding("a budget with an unknown unit") }
        self.unit = unit
    }
}

public struct DeliveryRecord: Sendable {
    public let id: DeliveryID
    public let event: EventID
    public let eventType: String
    public let endpoint: EndpointID
    public let state: String
    public let attempts: Int64
    public let nextAttemptAt: Instant
    public let lastError: String?
    public let createdAt: Instant
    public let finishedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        (id, event, eventType, endpoint, state, attempts, nextAttemptAt, lastError, createdAt, finishedAt) = try row.decode(
            as: (DeliveryID, EventID, String, EndpointID, String, Int64, Instant, String?, Instant, Instant?).self)
    }
}

extension Store {
    /// - Parameters:
    ///   - teams: only alerts of these teams' budgets and their projects'; nil for all.
    ///   - isRecovered: only those that are over, or only those that are not; nil for both.
    public func alerts(
        of organization: OrganizationID, teams: [TeamID]?, budget: BudgetID? = nil, isRecovered: Bool? = nil,
        _ listing: Listing<AlertRecord, AlertID>
    ) async throws -> Page<AlertRecord, ListPlace<AlertID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT a.id, a.budget_id, b.name, b.unit, a.subject, a.period_start, a.limit_version, a.threshold, a.threshold_amount,
                       a.settled, a.amount, a.event_id, a.created_at, a.recovered_at
                FROM alerts AS a JOIN budgets AS b ON b.organization_id = a.organization_id AND b.id = a.budget_id
                WHERE a.organization_id = \(organization) AND \(list: [listing.isAfter("a.id")])
                  AND (\(budget) IS NULL OR a.budget_id = \(budget))
                  AND (\(isRecovered) IS NULL OR (a.recovered_at IS NOT NULL) = \(isRecovered))
                  AND (\(teams) IS NULL OR b.team_id = ANY (\(teams)) OR b.project_id IN (
                           SELECT id FROM projects WHERE organization_id = \(organization) AND team_id = ANY (\(teams))))
                ORDER BY \(list: [listing.ordering("a.id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(AlertRecord.init)) { $0.id }
        }
    }

    /// Of one event there is one to each endpoint.
    public func deliveries(
        of organization: OrganizationID, _ filter: DeliveryFilter, _ listing: Listing<DeliveryRecord, EndpointID>
    ) async throws -> Page<DeliveryRecord, ListPlace<EndpointID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT d.id, d.event_id, e.type, d.endpoint_id, d.state, d.attempts, d.next_attempt_at, d.last_error, d.created_at,
                       d.finished_at
                FROM deliveries AS d JOIN events AS e ON e.organization_id = d.organization_id AND e.id = d.event_id
                WHERE d.organization_id = \(organization) AND \(list: [listing.isAfter("d.endpoint_id")])
                  AND (\(filter.state) IS NULL OR d.state = \(filter.state))
                  AND (\(filter.endpoint) IS NULL OR d.endpoint_id = \(filter.endpoint))
                  AND (\(filter.event) IS NULL OR d.event_id = \(filter.event))
                  AND (\(filter.eventType) IS NULL OR e.type = \(filter.eventType))
                ORDER BY \(list: [listing.ordering("d.endpoint_id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(DeliveryRecord.init)) { $0.endpoint }
        }
    }

    /// A delivery with its log, the first attempt first.
    public func delivery(
        _ id: DeliveryID, of organization: OrganizationID
    ) async throws -> (DeliveryRecord, [AttemptEntry]) {
        try await read { connection in
            let delivery = try Store.delivery(id, of: organization, connection)
            let result = try connection.query(
                """
                SELECT attempt, started_at, duration_ms, status, outcome, response FROM delivery_attempts
                WHERE organization_id = \(organization) AND delivery_id = \(id) ORDER BY attempt LIMIT 200
                """)
            return (delivery, try result.rows.map(AttemptEntry.init))
        }
    }

    static func delivery(
        _ id: DeliveryID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> DeliveryRecord {
        let result = try connection.query(
            """
            SELECT d.id, d.event_id, e.type, d.endpoint_id, d.state, d.attempts, d.next_attempt_at, d.last_error, d.created_at,
                   d.finished_at
            FROM deliveries AS d JOIN events AS e ON e.organization_id = d.organization_id AND e.id = d.event_id
            WHERE d.organization_id = \(organization) AND d.id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try DeliveryRecord(row)
    }
}

/// Which deliveries a list shows; nil: all.
public struct DeliveryFilter: Sendable {
    public var state: String?
    public var endpoint: EndpointID?
    public var event: EventID?
    public var eventType: String?

    public init(state: String? = nil, endpoint: EndpointID? = nil, event: EventID? = nil, eventType: String? = nil) {
        self.state = state
        self.endpoint = endpoint
        self.event = event
        self.eventType = eventType
    }
}

/// One attempt as it was logged.
public struct AttemptEntry: Sendable {
    public let attempt: Int64
    public let startedAt: Instant
    public let durationMilliseconds: Int64
    /// HTTP; nil without an answer.
    public let status: Int64?
    public let outcome: String
    /// The first 2 kB of the answer, scrubbed.
    public let response: String?

    init(_ row: Row) throws(PostgresError) {
        (attempt, startedAt, durationMilliseconds, status, outcome, response) = try row.decode(
            as: (Int64, Instant, Int64, Int64?, String, String?).self)
    }
}
