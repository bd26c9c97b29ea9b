/// Slows down whoever tries API keys. 178 random bits cannot be guessed; this keeps the attempt from costing look-ups and log lines.
import Budgets

/// Counts failures by address, and by address and the beginning of the key, in windows of a minute. Pure: told the time.
struct LoginThrottle {
    static let windowSeconds: Int64 = 60
    /// Enough for a person who mistypes, or a program that was not told of a rotation.
    static let failuresPerKey = 10
    /// Of all keys together from one address, behind which many callers may stand.
    static let failuresPerAddress = 100
    /// Windows remembered (law 11): some 2 MB. Whoever has more addresses than this is not slowed down by them.
    static let bound = 10_000

    private struct Window {
        var failures = 0
        let end: Instant
    }

    private var windows: [String: Window] = [:]

    /// Whole seconds until the next attempt is listened to, 1 to 60; nil when it may be made now.
    func wait(address: String, key: String, at now: Instant) -> Int64? {
        [(address, Self.failuresPerAddress), ("\(address) \(key)", Self.failuresPerKey)].compactMap { name, limit -> Int64? in
            guard let window = windows[name], window.failures >= limit, window.end > now else { return nil }
            return (window.end.microseconds - now.microseconds + 999_999) / 1_000_000
        }.max()
    }

    mutating func failed(address: String, key: String, at now: Instant) {
        if windows.count >= Self.bound {
            windows = windows.filter { $0.value.end > now }
            if windows.count >= Self.bound { windows.removeAll() }
        }
        for name in [address, "\(address) \(key)"] {
            if let window = windows[name], window.end > now {
                windows[name]?.failures += 1
            } else {
                windows[name] = Window(failures: 1, end: now.adding(seconds: Self.windowSeconds))
            }
        }
    }
}
