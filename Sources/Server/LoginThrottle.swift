/// Slows down whoever tries API keys, and holds up nobody else. 178 random bits cannot be guessed; this keeps the attempt from costing
/// look-ups and log lines.
import Budgets
import Crypto

/// Counts failures of each key and of each address in windows of a minute. Pure: told the time.
struct LoginThrottle {
    static let windowSeconds: Int64 = 60
    /// Enough for a program that was not told of a rotation. After them the key is not even looked up.
    static let failuresPerKey = 10
    /// Of all keys together from one address. Many callers may stand behind it, so good keys are served from there all the same; bad
    /// ones are told to wait, and are no longer counted one by one.
    let failuresPerAddress: Int
    /// Keys remembered, and addresses (law 11): a megabyte each. Whoever has more addresses than this is not slowed down by them.
    static let bound = 10_000

    private struct Window {
        var failures = 0
        let end: Instant
    }

    /// By hash.
    private var keys: [SHA256Digest: Window] = [:]
    private var addresses: [String: Window] = [:]

    init(failuresPerAddress: Int) { self.failuresPerAddress = failuresPerAddress }

    /// Whole seconds until this key is looked up again, 1 to 60; nil when it is now.
    func wait(key: SHA256Digest, at now: Instant) -> Int64? { Self.wait(keys[key], Self.failuresPerKey, at: now) }

    /// Counts a key that was none.
    /// - Parameter key: Its hash; nil for what does not even look like one.
    /// - Returns: Whole seconds that its user is to wait, when there were too many from that address.
    mutating func failed(address: String, key: SHA256Digest?, at now: Instant) -> Int64? {
        let wait = Self.wait(addresses[address], failuresPerAddress, at: now)
        Self.count(address, in: &addresses, at: now)
        if wait == nil, let key { Self.count(key, in: &keys, at: now) }
        return wait
    }

    private static func wait(_ window: Window?, _ limit: Int, at now: Instant) -> Int64? {
        guard let window, window.failures >= limit, window.end > now else { return nil }
        return (window.end.microseconds - now.microseconds + 999_999) / 1_000_000
    }

    private static func count<Name>(_ name: Name, in windows: inout [Name: Window], at now: Instant) {
        if let window = windows[name], window.end > now {
            windows[name]?.failures += 1
            return
        }
        if windows.count >= bound { windows = windows.filter { $0.value.end > now } }
        if windows.count >= bound { windows.removeAll() }
        windows[name] = Window(failures: 1, end: now.adding(seconds: windowSeconds))
    }
}
