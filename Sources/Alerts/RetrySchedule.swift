/// When a delivery that failed is tried again (design §8): soon at first, then ever more rarely for about two days, so that a receiver's
/// bad day is outlasted and its recovery not stampeded.
public import Budgets

public enum RetrySchedule {
    /// What each attempt waits after the one before; the first is due at once.
    public static let delays: [Duration] = [
        .zero, .seconds(5), .seconds(30), .minutes(2), .minutes(10), .minutes(30), .hours(1), .hours(3), .hours(6), .hours(12), .hours(24),
    ]

    /// Each delay is varied by up to this share, so that what failed together does not return together.
    public static let jitter = 0.2

    /// How long to wait after so many attempts (from 1); nil when that was the last. A receiver's wish counts between the scheduled
    /// delay and twice that, or an hour if that is more: it may slow us down, but neither hurry us nor make us forget.
    public static func delay(
        afterAttempt attempt: Int, wish: Duration? = nil, using generator: inout some RandomNumberGenerator
    ) -> Duration? {
        guard attempt >= 1, attempt < delays.count else { return nil }
        let scheduled = delays[attempt]
        let varied = scheduled * Double.random(in: (1 - jitter)...(1 + jitter), using: &generator)
        guard let wish, wish > varied else { return varied }
        return max(varied, min(wish, max(scheduled * 2, .hours(1))))
    }

    /// Reads a `Retry-After` header: seconds, or a date (RFC 9110 §10.2.3, only the form that may be sent). Nil for anything else.
    public static func wish(retryAfter text: String, at now: Instant) -> Duration? {
        if let seconds = Int64(text), seconds >= 0 { return .seconds(min(seconds, longestWish)) }
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", words[1].count == 2, let month = months.firstIndex(of: String(words[2])),
            let date = Instant(rfc3339: "\(words[3])-\(month < 9 ? "0" : "")\(month + 1)-\(words[1])T\(words[4])Z")
        else { return nil }
        return .seconds(min(max(date.seconds - now.seconds, 0), longestWish))
    }

    static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    /// Ten years: beyond any bound above, and no arithmetic overflows.
    private static let longestWish: Int64 = 315_360_000
}

extension Duration {
    public static func minutes(_ count: Int) -> Duration { .seconds(count * 60) }
    public static func hours(_ count: Int) -> Duration { .seconds(count * 3600) }
}
