/// Time in the hands of a test.
import Budgets
import Store
import Synchronization

/// A day held in the hand.
final class HeldClock: Sendable {
    private let instant: Mutex<Instant>
    init(_ start: Instant = .now()) { instant = Mutex(start) }
    var now: Instant { instant.withLock { $0 } }
    var read: @Sendable () -> Instant { { [self] in now } }
    func set(_ new: Instant) { instant.withLock { $0 = new } }
    func advance(seconds: Int64) { instant.withLock { $0 = $0.adding(seconds: seconds) } }
}
