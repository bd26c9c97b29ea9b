/// The system's clock as an `Instant`. It lives outside `Budgets`, which knows no clock (design §5); whoever needs to hold time
/// still takes a `() -> Instant` and is given this one by default.
public import Budgets
import Glibc

extension Instant {
    /// Now, by the system's clock.
    public static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Instant(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}
