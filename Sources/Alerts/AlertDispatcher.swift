/// Takes deliveries out of the outbox and sees them to their receivers (design §8). Several replicas may do so at once: Postgres says
/// whose each one is. No database transaction is open while a receiver is spoken to.
import Budgets
public import Logging
public import Outbound
public import ServiceLifecycle
public import Store
import Synchronization

/// Delivers alerts until graceful shutdown, then finishes what is under way.
public final class AlertDispatcher: Service {
    // Bounds (law 11), each per process.
    /// Deliveries under way in all; below what `OutboundClient` carries, so that none waits there.
    static let mostInFlight = 32
    /// To one endpoint: a receiver that hangs holds this many places and no more.
    static let mostPerEndpoint = 2
    static let mostPerOrganization = 8
    /// How long a claim lasts: three times the longest attempt, so that only a sender that died loses it.
    static let lease: Duration = .seconds(45)
    /// How often to look without being woken: for retries that have come due, and for deliveries of other replicas.
    static let pollInterval: Duration = .seconds(1)

    private let store: Store
    private let sealer: Sealer
    private let outbound: OutboundClient
    private let logger: Logger
    private let owner = ID<SenderKind>(at: .now())
    private let load = Mutex(DeliveryLoad())
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    public init(store: Store, sealer: Sealer, outbound: OutboundClient, logger: Logger) {
        self.store = store
        self.sealer = sealer
        self.outbound = outbound
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
                for await _ in wakes { await startDue(in: &group) }
            }
        } onGracefulShutdown: {
            self.waker.finish()
        }
    }

    /// A clock, not a wait for something that could signal: nothing tells this process of time passed or of other replicas' commits.
    private func tick() async {
        repeat { wake() } while (try? await Task.sleep(for: AlertDispatcher.pollInterval * Double.random(in: 0.75...1.25))) != nil
    }

    private func startDue(in group: inout DiscardingTaskGroup) async {
        let load = load.withLock { $0 }
        let room = AlertDispatcher.mostInFlight - load.organizations.values.reduce(0, +)
        guard room > 0 else { return }
        do {
            let claimed = try await store.claimDeliveries(
                owner: owner, atMost: room, lease: AlertDispatcher.lease, load: load, perEndpoint: AlertDispatcher.mostPerEndpoint,
                perOrganization: AlertDispatcher.mostPerOrganization)
            for delivery in claimed {
                self.load.withLock { $0.add(delivery) }
                group.addTask {
                    await self.deliver(delivery)
                    self.load.withLock { $0.remove(delivery) }
                    // A place is free, and something may be waiting for it.
                    self.wake()
                }
            }
        } catch {
            logger.warning("deliveries cannot be claimed; trying again", metadata: ["error": "\(error)"])
        }
    }

    private func deliver(_ delivery: ClaimedDelivery) async {
        let attempt = await DeliveryAttempt.make(delivery, sealer: sealer, outbound: outbound)
        guard let attempt else { return }
        logger.debug(
            "delivery attempted",
            metadata: [
                "delivery": "\(delivery.id)", "endpoint": "\(delivery.endpoint)", "attempt": "\(delivery.attempt)",
                "fate": "\(attempt.fate)",
            ])
        await finish(delivery, attempt)
    }

    /// Says so until Postgres has heard it: a receiver that has taken the message should not get it again because we could not write
    /// that down. Ends when the process does; then the lease runs out and the delivery is made again.
    private func finish(_ delivery: ClaimedDelivery, _ attempt: DeliveryAttempt) async {
        while !Task.isCancelled {
            do {
                let isOurs = try await store.finishDelivery(
                    delivery, owner: owner, fate: attempt.fate, attempt: attempt.record, reason: attempt.reason)
                if !isOurs { logger.notice("lease lost before the attempt ended", metadata: ["delivery": "\(delivery.id)"]) }
                return
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
