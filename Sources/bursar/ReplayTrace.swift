/// The calls of a replay: when each was made, with how much in and out. Read from a trace file, or drawn from a seed so that a bare
/// clone has a trace of the same character.
import Budgets
import Foundation

/// One call of a trace.
struct TraceCall: Hashable, Sendable {
    /// Microseconds since the first call.
    let offset: Int64
    let inputTokens: Int64
    let outputTokens: Int64
}

/// Why a file is no trace.
struct TraceError: Error, CustomStringConvertible {
    let description: String
}

enum Trace {
    /// The columns of a trace file (Azure Public Dataset, LLM inference traces).
    static let header = "TIMESTAMP,ContextTokens,GeneratedTokens"

    /// Reads `2023-11-16 18:15:46.6805900,374,44` lines, in any order, below the header.
    static func parse(_ text: String) throws(TraceError) -> [TraceCall] {
        var lines = text.split(whereSeparator: \.isNewline)[...]
        guard lines.popFirst()?.filter({ $0 != "\u{FEFF}" }) == header else {
            throw TraceError(description: "the trace does not begin with '\(header)'")
        }
        var calls: [(at: Int64, input: Int64, output: Int64)] = []
        calls.reserveCapacity(lines.count)
        for (index, line) in lines.enumerated() {
            let cells = line.split(separator: ",", omittingEmptySubsequences: false)
            guard cells.count == 3, let at = microseconds(cells[0]), let input = Int64(cells[1]), let output = Int64(cells[2]), input >= 0,
                output >= 0
            else { throw TraceError(description: "line \(index + 2) of the trace is not 'time,tokens,tokens'") }
            calls.append((at, input, output))
        }
        calls.sort { $0.at < $1.at }
        let first = calls.first?.at ?? 0
        return calls.map { TraceCall(offset: $0.at - first, inputTokens: $0.input, outputTokens: $0.output) }
    }

    /// `2023-11-16 18:15:46.6805900` as microseconds since 1970; digits beyond the sixth are dropped.
    private static func microseconds(_ text: Substring) -> Int64? {
        let parts = text.split { $0 == " " || $0 == "T" }
        guard parts.count == 2 else { return nil }
        let date = parts[0].split(separator: "-").compactMap { Int($0) }
        let time = parts[1].split { $0 == ":" || $0 == "." || $0 == "Z" }
        guard date.count == 3, (3...4).contains(time.count), let day = CivilDate(year: date[0], month: date[1], day: date[2]) else {
            return nil
        }
        let fraction = time.count == 4 ? (time[3] + "000000").prefix(6) : "0"
        guard let hour = Int64(time[0]), let minute = Int64(time[1]), let second = Int64(time[2]), let micro = Int64(fraction) else {
            return nil
        }
        return (((day.daysSinceEpoch * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micro
    }

    /// A trace of the real one's character, the same for the same seed: arrivals come and go in bursts (a Poisson process whose rate
    /// follows a two-state Markov chain), token counts are lognormal and heavy-tailed.
    static func synthetic(_ count: Int, seed: UInt64) -> [TraceCall] {
        var random = SplitMix64(seed: seed)
        var calls: [TraceCall] = []
        calls.reserveCapacity(count)
        var now = 0.0
        var isBurst = false
        var changeAt = random.exponential(mean: calmSeconds)
        while calls.count < count {
            let gap = random.exponential(mean: 1 / (isBurst ? burstRate : calmRate))
            if now + gap > changeAt {
                // The exponential has no memory, so the next gap may be drawn anew at the change.
                now = changeAt
                isBurst.toggle()
                changeAt = now + random.exponential(mean: isBurst ? burstSeconds : calmSeconds)
                continue
            }
            now += gap
            calls.append(
                TraceCall(
                    offset: Int64(now * 1e6), inputTokens: random.lognormal(median: 900, sigma: 0.9, maximum: 32_000),
                    outputTokens: random.lognormal(median: 140, sigma: 0.9, maximum: 2000)))
        }
        let first = calls.first?.offset ?? 0
        return calls.map { TraceCall(offset: $0.offset - first, inputTokens: $0.inputTokens, outputTokens: $0.outputTokens) }
    }

    private static let (calmRate, burstRate) = (3.5, 16.0)
    private static let (calmSeconds, burstSeconds) = (60.0, 12.0)
}

/// A generator that a seed fixes for good (Steele, Lea, Flood 2014), so that a replay can be repeated call by call.
struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    /// In (0, 1]: its logarithm is finite.
    private mutating func unit() -> Double { (Double(next() >> 11) + 1) * 0x1p-53 }

    mutating func exponential(mean: Double) -> Double { -mean * log(unit()) }

    /// 1 … `maximum`, by way of a normal variate (Box, Muller 1958).
    mutating func lognormal(median: Double, sigma: Double, maximum: Int64) -> Int64 {
        let normal = (-2 * log(unit())).squareRoot() * cos(2 * .pi * unit())
        return min(max(Int64(median * exp(sigma * normal)), 1), maximum)
    }
}
