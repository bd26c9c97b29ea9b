/// Takes deliveries out of the outbox and sees them to their receivers (design §8). Several replicas may do so at once: Postgres says
/// whose each one is. No database transaction is open while a receiver is spoken to.
public import Budgets
public import Logging
public import ServiceLifecycle
import Store
import Synchronization

/// Delivers alerts until graceful shutdown, then finishes what is under way.
public final class AlertDispatcher: Service {
    // Bounds (law 11), each per process.
    /// Deliveries under way in all; below what `OutboundClient` carries, so that none waits there.
    static let mostInFlight = 32
    /// Of these in the retry lane, so that receivers which are down never take the places of those that are not.
    static let mostRetries = 16
    /// To one endpoint: a receiver that hangs holds this many places and no more.
    static let mostPerEndpoint = 2
    static let mostPerOrganization = 8
    /// How long a claim lasts: three times the longest attempt, so that only a sender that died loses it.
    static let lease: Duration = .seconds(45)
    /// How often to look without being woken: for retries that have come due, and for deliveries of other replicas.
    static let pollInterval: Duration = .seconds(1)
    /// How often to look for what has waited too long at paused endpoints: that is a matter of days.
    static let pauseInterval: Duration = .seconds(60)
    /// An endpoint that has only failed for so long, and so often, is disabled.
    static let longestFailing: Duration = .hours(5 * 24)
    static let mostFailures = 10

    private let sending: Sending
    private let logger: Logger
    private let owner = ID<SenderKind>(at: .now())
    private let load = Mutex([DeliveryLane: DeliveryLoad]())
    /// Held by tests; nil: Postgres's clock says what is due, so that replicas with different clocks agree.
    private let heldClock: (@Sendable () -> Instant)?
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    public init(_ sending: Sending, heldClock: (@Sendable () -> Instant)? = nil, logger: Logger) {
        self.sending = sending
        self.heldClock = heldClock
        self.logger = logger
        // One wake in waiting says as much as many: look again.
        (wakes, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// There may be new deliveries: called after a commit that made some. Cheap, and never waits.
    public func wake() {
        waker.yield()
    }

    /// Runs until graceful shutdown. While Postgres is away nothing is claimed, and nothing is lost.
    public func run() async {
        await withGracefulShutdownHandler {
            // Cancelled by the compiler when this scope ends.
            async let _ = tick()
            await withDiscardingTaskGroup { group in
                for await _ in wakes {
                    for lane in DeliveryLane.allCases { await startDue(lane, in: &group) }
                }
            }
        } onGracefulShutdown: {
            self.waker.finish()
        }
    }

    /// A clock, not a wait for something that could signal: nothing tells this process of time passed or of other replicas' commits. Its
    /// period varies, so that replicas started together do not look together.
    private func tick() async {
        var nextGivingUp = ContinuousClock.now
        repeat {
            wake()
            await endAlerts()
            guard ContinuousClock.now >= nextGivingUp else { continue }
            nextGivingUp = .now + AlertDispatcher.pauseInterval
            await giveUpPaused()
        } while (try? await Task.sleep(for: AlertDispatcher.pollInterval * Double.random(in: 0.75...1.25))) != nil
    }

    private func giveUpPaused() async {
        do { try await sending.store.giveUpPaused() } catch {
            logger.warning("deliveries of paused endpoints cannot be given up; trying again", metadata: ["error": "\(error)"])
        }
    }

    /// Alerts whose period is over or whose limit was raised.
    private func endAlerts() async {
        do {
            var hasMore = true
            while hasMore, !Task.isCancelled {
                let count = try await sending.store.reviewAlerts(at: heldClock?() ?? .now())
                if count > 0 { wake() }
                hasMore = count == Store.mostReviewed
            }
        } catch {
            logger.warning("alerts cannot be reviewed; trying again", metadata: ["error": "\(error)"])
        }
    }

    private func startDue(_ lane: DeliveryLane, in group: inout DiscardingTaskGroup) async {
        let loads = load.withLock { $0 }
        let total = DeliveryLoad(loads.values)
        let room = AlertDispatcher.mostInFlight - total.count
        let laneRoom = lane == .fresh ? room : min(room, AlertDispatcher.mostRetries - (loads[.retry]?.count ?? 0))
        guard laneRoom > 0 else { return }
        do {
            let claimed = try await sending.store.claimDeliveries(
                lane, owner: owner, atMost: laneRoom, load: total,
                bounds: DeliveryBounds(
                    perEndpoint: AlertDispatcher.mostPerEndpoint, perOrganization: AlertDispatcher.mostPerOrganization,
                    lease: AlertDispatcher.lease), now: heldClock?())
            for delivery in claimed {
                self.load.withLock { $0[lane, default: DeliveryLoad()].add(delivery) }
                group.addTask {
                    await self.deliver(delivery)
                    self.load.withLock { $0[lane]?.remove(delivery) }
                    // A place is free, and something may be waiting for it.
                    self.wake()
                }
            }
        } catch {
            logger.warning("deliveries cannot be claimed; trying again", metadata: ["error": "\(error)"])
        }
    }

    private func deliver(_ delivery: ClaimedDelivery) async {
        let sending = sending.walled(for: delivery.organization)
        guard let attempt = await DeliveryAttempt.make(delivery, sending, at: heldClock?() ?? .now()) else { return }
        logger.debug(
            "delivery attempted",
            metadata: [
                "delivery": "\(delivery.id)", "endpoint": "\(delivery.endpoint)", "attempt": "\(delivery.attempt)",
                "fate": "\(attempt.fate)",
            ])
        await record(delivery) {
            let health = try await sending.store.finishDelivery(
                delivery, owner: self.owner, fate: attempt.fate, attempt: attempt.record, reason: attempt.reason, now: self.heldClock?())
            guard let health else {
                self.logger.notice("lease lost before the attempt ended", metadata: ["delivery": "\(delivery.id)"])
                return
            }
            guard let reason = attempt.disables ?? AlertDispatcher.disables(health) else { return }
            self.logger.notice("endpoint disabled", metadata: ["endpoint": "\(delivery.endpoint)", "reason": "\(reason)"])
            try await sending.store.disableEndpoint(
                delivery.endpoint, of: delivery.organization, reason: reason, at: self.heldClock?() ?? .now())
        }
    }

    /// Why an endpoint that has failed so is disabled; nil while it is not.
    static func disables(_ health: EndpointHealth) -> String? {
        guard health.failures >= mostFailures, health.failingFor >= longestFailing else { return nil }
        return "every attempt failed for \(health.failingFor.components.seconds / 86_400) days"
    }

    /// Says so until Postgres has heard it: a receiver that has taken the message should not get it again because we could not write
    /// that down. Ends when the process does; then the lease runs out and the delivery is made again.
    private func record(_ delivery: ClaimedDelivery, _ write: () async throws -> Void) async {
        while !Task.isCancelled {
            do {
                return try await write()
            } catch {
                logger.warning("attempt cannot be recorded; trying again", metadata: ["delivery": "\(delivery.id)", "error": "\(error)"])
                guard !Task.isShuttingDownGracefully else { return }
                // A pause between tries against a database that is away; nothing signals its return.
                try? await Task.sleep(for: AlertDispatcher.pollInterval)
            }
        }
    }
}

extension DeliveryLoad {
    /// All of them together.
    fileprivate init(_ loads: some Sequence<DeliveryLoad>) {
        self.init()
        for load in loads {
            endpoints.merge(load.endpoints, uniquingKeysWith: +)
            organizations.merge(load.organizations, uniquingKeysWith: +)
        }
    }

    fileprivate var count: Int { organizations.values.reduce(0, +) }

    fileprivate mutating func add(_ delivery: ClaimedDelivery) {
        endpoints[delivery.endpoint, default: 0] += 1
        organizations[delivery.organization, default: 0] += 1
    }

    /// Forgets what is idle, so that the tables stay as small as what is under way.
    fileprivate mutating func remove(_ delivery: ClaimedDelivery) {
        let ofEndpoint = (endpoints[delivery.endpoint] ?? 1) - 1
        endpoints[delivery.endpoint] = ofEndpoint > 0 ? ofEndpoint : nil
        let ofOrganization = (organizations[delivery.organization] ?? 1) - 1
        organizations[delivery.organization] = ofOrganization > 0 ? ofOrganization : nil
    }
}
