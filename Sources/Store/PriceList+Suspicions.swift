/// Relations that real prices keep, and that copying errors in lists break: one stood in LiteLLM's file for a year, twelve times too high.
import Budgets

extension ListedModel {
    /// Slots whose amount does not fit the model's others: what is read from a cache costs no more than fresh input, writing to it costs up
    /// to one and a half times as much for minutes and two and a half times for an hour, output costs at least what input does unless
    /// it is free, batches and flexible processing cost no more than the standard tier, and priority no less.
    var suspiciousSlots: Set<ListedRate.Slot> {
        Set(rates.filter { isSuspicious($0.slot, $0.amountPerMillion) }.map(\.slot))
    }

    private func isSuspicious(_ slot: ListedRate.Slot, _ amount: Money) -> Bool {
        func other(_ kind: UsageKind, _ tier: String? = nil) -> Money? {
            self.amount(.init(kind: kind, serviceTier: tier ?? slot.serviceTier, contextFrom: slot.contextFrom))
        }
        if slot.serviceTier != Rate.standardTier, let standard = other(slot.kind, Rate.standardTier) {
            switch slot.serviceTier {
            case "batch", "flex": if amount > standard { return true }
            case "priority": if amount < standard { return true }
            default: break
            }
        }
        guard let input = other("input"), input > .zero, amount > .zero else { return false }
        // Times two, so that halves stay whole.
        let double = amount.pico * 2
        return switch slot.kind {
        case "cached_input": amount > input
        case "cache_write_5m": amount < input || double > input.pico * 3
        case "cache_write_1h": double < input.pico * 2 || double > input.pico * 5
        case "output": amount < input
        default: false
        }
    }

    /// The same for people, slot by slot.
    var suspicions: [PriceNote] {
        suspiciousSlots.sorted().map {
            PriceNote(model: name, field: "\($0.kind) \($0.serviceTier) from \($0.contextFrom)", reason: .suspicious)
        }
    }
}
