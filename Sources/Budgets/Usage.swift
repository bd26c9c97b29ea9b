/// What a call used: disjoint kinds of units, each priced exactly once (design §6).

/// A kind of unit that has a price of its own, such as `input`, `cached_input`, `cache_write_5m`, `output`, `request`. An open set:
/// what a kind counts towards follows from its name (`Usage.isInput(_:)`, `Usage.isOutput(_:)`).
public typealias UsageKind = String

/// The units a call used, by kind; no kind twice.
public struct Usage: Hashable, Sendable {
    /// The most units of one kind in one call: a million times a context of today, and far below any overflow.
    public static let maximumQuantity: Int64 = 1_000_000_000_000
    /// The most kinds in one call: about three times what any provider reports.
    public static let maximumKinds = 32
    /// The kind that counts calls, of which each is one.
    public static let request: UsageKind = "request"

    /// Sorted by kind; each quantity is 0 … `maximumQuantity`.
    public let quantities: [(kind: UsageKind, quantity: Int64)]
    /// What budgets in `tokens` count: every kind that is not known to be something else (`countsTokens(_:)`).
    public let totalTokens: Int64
    /// All input kinds together: decides the context band of the price.
    public let inputTokens: Int64

    /// Nil when a kind is not a name (`isKind`) or stands twice, a quantity is outside 0 … `maximumQuantity`, or there are more
    /// than `maximumKinds`.
    public init?(_ quantities: [(kind: UsageKind, quantity: Int64)]) {
        guard quantities.count <= Usage.maximumKinds else { return nil }
        let sorted = quantities.sorted { $0.kind < $1.kind }
        var tokens: Int64 = 0
        var input: Int64 = 0
        for (index, (kind, quantity)) in sorted.enumerated() {
            guard Usage.isKind(kind), (0...Usage.maximumQuantity).contains(quantity) else { return nil }
            guard index == 0 || sorted[index - 1].kind != kind else { return nil }
            if Usage.countsTokens(kind) { tokens += quantity }
            if Usage.isInput(kind) { input += quantity }
        }
        self.quantities = sorted
        totalTokens = tokens
        inputTokens = input
    }

    /// The units of one kind; nil when the usage does not state it, which is not the same as 0.
    public subscript(kind: UsageKind) -> Int64? { quantities.first { $0.kind == kind }?.quantity }

    public static func == (left: Self, right: Self) -> Bool { left.quantities.elementsEqual(right.quantities, by: ==) }

    public func hash(into hasher: inout Hasher) {
        for (kind, quantity) in quantities {
            hasher.combine(kind)
            hasher.combine(quantity)
        }
    }
}

extension Usage {
    /// Whether the text can name a kind: a lower-case letter, then up to 49 lower-case letters, digits and underscores.
    public static func isKind(_ text: String) -> Bool {
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let bytes = text.utf8
        guard let first = bytes.first, letters.contains(first), bytes.count <= 50 else { return false }
        return bytes.allSatisfy { letters.contains($0) || decimalDigit($0) != nil || $0 == UInt8(ascii: "_") }
    }

    /// Whether the kind is input of the model, fresh or by way of its cache: `input`, `…_input`, `input_…`, `cached_…`, `cache_write…`.
    public static func isInput(_ kind: UsageKind) -> Bool {
        kind == "input" || kind.hasSuffix("_input") || kind.hasPrefix("input_") || kind.hasPrefix("cached_")
            || kind.hasPrefix("cache_write")
    }

    /// Whether the kind is output of the model: `output`, `…_output`, `output_…`.
    public static func isOutput(_ kind: UsageKind) -> Bool {
        kind == "output" || kind.hasSuffix("_output") || kind.hasPrefix("output_")
    }

    /// Whether the kind's units are tokens: all input and output, and whatever else is not named after another unit, such as
    /// `request` or `image_made`. Unknown is never zero (law 9).
    public static func countsTokens(_ kind: UsageKind) -> Bool {
        isInput(kind) || isOutput(kind) || !kind.split(separator: "_").contains(where: otherUnits.contains)
    }

    /// The kind that a narrower one is a part of. Where a provider asks the same for both its lists have no rate for the part, so
    /// the whole's applies; a part that costs more has a rate of its own. Nil: without a rate the kind is unpriced (law 9), as is a
    /// cached input, which is neither free nor sure to cost what fresh input does.
    public static func whole(of kind: UsageKind) -> UsageKind? {
        switch kind {
        case "input_audio", "input_image_token", "input_video_token": "input"
        case "cached_input_audio", "cached_input_image_token", "cached_input_video_token": "cached_input"
        case "reasoning_output", "output_audio", "output_image_token", "output_video_token": "output"
        // Lists have one price for a short life in the cache, whatever its minutes.
        case "cache_write_30m": "cache_write_5m"
        default: nil
        }
    }

    private static let otherUnits: Set<Substring> = ["request", "query", "character", "image", "pixel", "second", "page", "session"]
}
