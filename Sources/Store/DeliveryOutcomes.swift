/// What became of attempts: the log, the delivery's fate, and the health of its endpoint, in one transaction.
public import Budgets
import Postgres

/// What one attempt came to, for the log.
public struct AttemptRecord: Sendable {
    public let duration: Duration
    /// HTTP; nil without an answer.
    public let status: Int?
    /// `delivered`, or why not, in words fit for the tenant.
    public let outcome: String
    /// The beginning of the answer, scrubbed.
    public let response: String?
    /// Whether the endpoint is well: it took the message, or only that message is at fault, or it asked for a pause.
    public let isWell: Bool

    public init(duration: Duration, status: Int?, outcome: String, response: String?, isWell: Bool) {
        self.isWell = isWell
        self.duration = duration
        self.status = status
        self.outcome = outcome
        self.response = response
    }
}

/// What becomes of a delivery after an attempt.
public enum DeliveryFate: Sendable, Equatable {
    case delivered
    case retry(after: Duration)
    case failed
    case cancelled

    fileprivate var state: String {
        switch self {
        case .delivered: "delivered"
        case .retry: "pending"
        case .failed: "failed"
        case .cancelled: "cancelled"
        }
    }

    fileprivate var retryMicroseconds: Int64? {
        if case .retry(let delay) = self { delay.microseconds } else { nil }
    }
}

/// How an endpoint fared, after an attempt was recorded.
public struct EndpointHealth: Sendable {
    /// Attempts that failed since the last that did not.
    public let failures: Int64
    /// For how long; zero while it does not fail.
    public let failingFor: Duration

    public init(failures: Int64, failingFor: Duration) {
        self.failures = failures
        self.failingFor = failingFor
    }
}

extension Store {
    /// Logs an attempt (nil: none was made) and decides the delivery, in one transaction. Returns how the endpoint fares, or nil when
    /// the claim had been lost and the delivery is another sender's to decide; the attempt is logged all the same.
    @discardableResult
    public func finishDelivery(
        _ delivery: ClaimedDelivery, owner: ID<SenderKind>, fate: DeliveryFate, attempt: AttemptRecord?, reason: String?,
        now: Instant? = nil
    ) async throws -> EndpointHealth? {
        var queries: [Query] = [
            """
            UPDATE deliveries SET state = \(fate.state), lease_owner = NULL, lease_until = NULL, last_error = \(reason),
                next_attempt_at = CASE WHEN \(fate.retryMicroseconds) IS NULL THEN next_attempt_at
                                       ELSE coalesce(\(now), now()) + \(fate.retryMicroseconds) * interval '1 microsecond' END,
                finished_at = CASE WHEN \(fate.retryMicroseconds) IS NULL THEN coalesce(\(now), now()) END
            WHERE organization_id = \(delivery.organization) AND id = \(delivery.id) AND state = 'sending'
                  AND lease_owner = \(owner) AND attempts = \(delivery.attempt)
            """
        ]
        if let attempt {
            queries.append(
                """
                INSERT INTO delivery_attempts (organization_id, delivery_id, attempt, started_at, duration_ms, status, outcome, response)
                VALUES (\(delivery.organization), \(delivery.id), \(delivery.attempt),
                        coalesce(\(now), now()) - \(attempt.duration.microseconds) * interval '1 microsecond',
                        \(attempt.duration.microseconds / 1000), \(attempt.status.map(Int64.init)), \(attempt.outcome),
                        \(attempt.response))
                ON CONFLICT DO NOTHING
                """)
            // A receiver that asks for a pause is well; what is wrong with one message is no fault of the endpoint either.
            queries.append(Store.health(of: delivery, fate, isWell: attempt.isWell, now))
        }
        let all = queries
        return try await pool.withConnection { connection in
            let results = try connection.flight(all)
            guard results[0].affected == 1 else { return nil }
            guard results.count > 2, let row = results[2].rows.first else { return EndpointHealth(failures: 0, failingFor: .zero) }
            let (failures, seconds) = try row.decode(as: (Int64, Int64).self)
            return EndpointHealth(failures: failures, failingFor: .seconds(seconds))
        }
    }

    /// Notes success or failure at the endpoint. After n failures in a row it is left alone for n − 1 seconds, 30 at most: no less than
    /// the schedule asks of one delivery, and much less than a queue of thousands would do to a receiver that is down.
    private static func health(of delivery: ClaimedDelivery, _ fate: DeliveryFate, isWell: Bool, _ now: Instant?) -> Query {
        """
        UPDATE endpoints SET
            failures = CASE WHEN \(isWell) THEN 0 ELSE failures + 1 END,
            failing_since = CASE WHEN \(isWell) THEN NULL ELSE coalesce(failing_since, \(now), now()) END,
            last_success_at = CASE WHEN \(isWell) THEN coalesce(\(now), now()) ELSE last_success_at END,
            last_failure_at = CASE WHEN \(isWell) THEN last_failure_at ELSE coalesce(\(now), now()) END,
            next_slot_at = CASE WHEN \(isWell) THEN next_slot_at
                ELSE greatest(next_slot_at, coalesce(\(now), now()) + least(failures, 30) * interval '1 second') END
        WHERE organization_id = \(delivery.organization) AND id = \(delivery.endpoint)
        RETURNING failures, coalesce(extract(epoch FROM coalesce(\(now), now()) - failing_since), 0)::bigint
        """
    }
}
