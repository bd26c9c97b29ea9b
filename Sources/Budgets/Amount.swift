/// Exact amounts (law 5, design §6): what budgets count and what calls cost, from the price list to the export.

/// What a budget counts, exact to twelve fractional digits: US dollars, input and output tokens, or requests.
///
/// Held as a whole number of pico-units in 128 bits. Arithmetic traps on overflow, which the bounds at the API's edge
/// (`Amount.maximum` for one value) put out of reach: a hundred billion maximal values still fit.
public struct Amount: Hashable, Sendable, Comparable, AdditiveArithmetic {
    /// 10⁻¹² of the unit.
    public let pico: Int128

    public init(pico: Int128) { self.pico = pico }
    public init(whole: Int64) { pico = Int128(whole) * Amount.picoPerWhole }

    /// Whether it has no fraction, as tokens and requests have none.
    public var isWhole: Bool { pico % Amount.picoPerWhole == 0 }

    public static let picoPerWhole: Int128 = 1_000_000_000_000
    public static let fractionDigits = 12
    public static let zero = Amount(pico: 0)
    /// The largest amount that may come in from outside: 10¹⁵ units.
    public static let maximum = Amount(pico: 1_000_000_000_000_000 * picoPerWhole)

    public static func + (left: Self, right: Self) -> Self { Amount(pico: left.pico + right.pico) }
    public static func - (left: Self, right: Self) -> Self { Amount(pico: left.pico - right.pico) }
    public static prefix func - (value: Self) -> Self { Amount(pico: -value.pico) }
    public static func < (left: Self, right: Self) -> Bool { left.pico < right.pico }
}

/// An `Amount` of US dollars.
public typealias Money = Amount
