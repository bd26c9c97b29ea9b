// Randomness that can be repeated: every property test prints the seed it ran with, and BURSAR_TEST_SEED sets it.

import Foundation

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast and the same everywhere.
struct Seeded: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    /// A new seed, or the one in the environment.
    init(_ purpose: String) {
        let given = ProcessInfo.processInfo.environment["BURSAR_TEST_SEED"].flatMap { UInt64($0) }
        self.init(seed: given ?? UInt64.random(in: 0 ... .max))
        print("\(purpose): seed \(seed)")
    }

    init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// An integer of a random number of bits: small and large ones alike.
    mutating func magnitude(upTo maximum: Int64) -> Int64 {
        let bits = Int.random(in: 0...(64 - maximum.leadingZeroBitCount), using: &self)
        return min(maximum, Int64.random(in: 0...(bits >= 63 ? Int64.max : (Int64(1) << Int64(bits)) - 1), using: &self))
    }

    mutating func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &self) < share }
}
