/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): how many more requests a caller has, before one is refused.
/// Only budgets that count requests are told: the draft has no unit for money, and clients pace themselves by these fields.
import Budgets
import HTTPTypes
import Hummingbird

extension Standing {
    /// Nil unless the budget refuses calls by their number and in a period that ends.
    fileprivate var requestLimit: (quota: Int64, left: Int64, end: Instant)? {
        guard budget.unit == .requests, budget.enforcement == .block, let end = span.end else { return nil }
        // A structured field's integer has 15 digits (RFC 9651 §3.3.1).
        func integer(_ amount: Amount) -> Int64 { Int64(min(amount.pico / Amount.picoPerWhole, 999_999_999_999_999)) }
        return (integer(amount + burst), integer(remaining), end)
    }
}

extension [Standing] {
    /// The two fields, with an item for each budget under its id; empty when none counts requests. `t` and `w` are whole seconds.
    func rateLimitFields(now: Instant) -> [(name: String, value: String)] {
        var policies: [String] = []
        var limits: [String] = []
        for standing in self {
            guard let (quota, left, end) = standing.requestLimit else { continue }
            let name = "\"\(standing.budget.id)\""
            policies.append("\(name);q=\(quota);w=\((end.microseconds - standing.span.start.microseconds) / 1_000_000)")
            let seconds = Swift.max(1, (end.microseconds - now.microseconds + 999_999) / 1_000_000)
            limits.append("\(name);r=\(left);t=\(seconds)")
        }
        guard !policies.isEmpty else { return [] }
        return [("ratelimit-policy", policies.joined(separator: ", ")), ("ratelimit", limits.joined(separator: ", "))]
    }
}

extension Response {
    /// With the fields that tell of the budgets on the way.
    func limited(by standings: [Standing], now: Instant) -> Response {
        var response = self
        for field in standings.rateLimitFields(now: now) {
            if let name = HTTPField.Name(field.name) { response.headers[name] = field.value }
        }
        return response
    }
}
