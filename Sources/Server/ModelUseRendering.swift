/// What `/v1/reports/models` shows of a model: exact sums, and ratios of them rounded down.
import Budgets
import JSON
import Store

extension ModelUse {
    private var input: Amount { usage.filter { Usage.isInput($0.key) }.reduce(.zero) { $0 + $1.value } }
    private var output: Amount { usage.filter { Usage.isOutput($0.key) }.reduce(.zero) { $0 + $1.value } }
    /// What was read from a provider's cache.
    private var cached: Amount { usage.filter { $0.key.hasPrefix("cached_") }.reduce(.zero) { $0 + $1.value } }

    func write(_ writer: inout JSONWriter, before: ModelUse?) {
        writer.object { writer in
            writer.field("model", model)
            writer.field("provider", provider)
            writer.field("calls", calls)
            writer.field("cost", cost)
            writer.units("input_tokens", input)
            writer.units("output_tokens", output)
            writer.field("cached_share_percent", ModelUse.ratio(cached, input, times: 100))
            writer.field("output_per_input_percent", ModelUse.ratio(output, input, times: 100))
            writer.field("tokens_per_call", ModelUse.ratio(input + output, Amount(whole: calls), times: 1))
            writer.field("cost_per_call", ModelUse.ratio(cost, Amount(whole: calls), times: 1, digits: 6))
            writer.field("cost_per_million_tokens", ModelUse.ratio(cost, input + output, times: 1_000_000, digits: 6))
            writer.field("cost_before", before?.cost ?? .zero)
            writer.field("cost_change_percent", before.flatMap { ModelUse.ratio(cost - $0.cost, $0.cost, times: 100) })
        }
    }

    /// A rounded-down decimal; nil where there is nothing to divide by.
    private static func ratio(_ part: Amount, _ whole: Amount, times factor: Int128, digits: Int = 2) -> String? {
        guard whole > .zero else { return nil }
        let unit = (digits..<Amount.fractionDigits).reduce(Int128(1)) { power, _ in power * 10 }
        let (scaled, overflow) = part.pico.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        let (whole128, rest) = scaled.quotientAndRemainder(dividingBy: whole.pico)
        // The fraction separately, so that no product passes 128 bits.
        let fraction = rest.multipliedReportingOverflow(by: Amount.picoPerWhole)
        guard !fraction.overflow else { return nil }
        let pico = whole128 * Amount.picoPerWhole + fraction.partialValue / whole.pico
        return Amount(pico: pico / unit * unit).plain
    }
}

extension JSONWriter {
    /// Units as a number.
    fileprivate mutating func units(_ name: StaticString, _ quantity: Amount) {
        self.name(name)
        number(text: quantity.plain)
    }
}
