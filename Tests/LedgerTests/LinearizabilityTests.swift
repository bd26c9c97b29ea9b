/// The judge is judged: it accepts what a ledger can have answered and notices what it cannot. Negative controls for every test that
/// records a history.
import Budgets
import TestSupport
import Testing

@Suite struct LinearizabilityTests {
    /// One budget of 10, calls that hold 6 and cost 1.
    private func history(_ operations: [Operation], calls: Int = 3) -> History {
        History(
            amounts: [Amount(whole: 10)], start: [Balance()],
            calls: Array(repeating: .init(holds: [Amount(whole: 6)], costs: [Amount(whole: 1)]), count: calls), operations: operations)
    }

    private func balance(_ settled: Int64, _ held: Int64) -> Balance { Balance(settled: Amount(whole: settled), held: Amount(whole: held)) }
    private func held(_ settled: Int64, _ held: Int64) -> Operation.Answer { .held([balance(settled, held)]) }
    private func refused(_ settled: Int64, _ held: Int64) -> Operation.Answer { .refused(budget: 0, balance(settled, held)) }

    @Test("accepted: a refusal during another's hold, also when the hold had no answer yet; a hold that took the place of one released")
    func possible() {
        let cases: [[Operation]] = [
            [
                Operation(.reserve(call: 0), held(0, 6), begin: 1, end: 6), Operation(.reserve(call: 1), refused(0, 6), begin: 2, end: 3),
                Operation(.release(call: 0), .released, begin: 7, end: 10), Operation(.reserve(call: 2), held(0, 6), begin: 8, end: 9),
            ],
            // The lost one held, and was found by its id.
            [
                Operation(.reserve(call: 0), .unknown, begin: 1, end: 2), Operation(.reserve(call: 1), refused(0, 6), begin: 3, end: 4),
                Operation(.reserve(call: 0), held(0, 6), begin: 5, end: 6), Operation(.settle(call: 0), .unknown, begin: 7, end: 8),
                Operation(.settle(call: 0), .settled([balance(1, 0)]), begin: 9, end: 10),
                Operation(.reserve(call: 1), held(1, 6), begin: 11, end: 12),
            ],
            // The lost one never happened; or only after the last answer.
            [
                Operation(.reserve(call: 0), .unknown, begin: 1, end: 2), Operation(.reserve(call: 1), held(0, 6), begin: 3, end: 4),
                Operation(.read, .balances([balance(0, 6)]), begin: 5, end: 6),
            ],
        ]
        for operations in cases {
            #expect(history(operations).linearize() == .linearizable)
            #expect(history(operations).phantomRefusals().isEmpty)
            #expect(history(operations).wrongBalances().isEmpty)
        }
    }

    @Test(
        "noticed: two holds where one has room, refusals with room, lost and doubled effects, answers of the past",
        arguments: [
            "over", "phantom", "phantom after a release", "lost hold", "booked twice", "settled and released", "stale answer",
            "lost in the end",
        ])
    func impossible(fault: String) {
        let first = Operation(.reserve(call: 0), held(0, 6), begin: 1, end: 4)
        let operations: [Operation] =
            switch fault {
            case "over": [first, Operation(.reserve(call: 1), held(0, 6), begin: 2, end: 3)]
            case "phantom": [Operation(.reserve(call: 0), refused(0, 6), begin: 1, end: 2)]
            case "phantom after a release":
                [
                    first, Operation(.release(call: 0), .released, begin: 5, end: 6),
                    Operation(.reserve(call: 1), refused(0, 6), begin: 7, end: 8),
                ]
            case "lost hold": [first, Operation(.reserve(call: 1), held(0, 6), begin: 5, end: 6)]
            case "booked twice":
                [
                    first, Operation(.settle(call: 0), .settled([balance(1, 0)]), begin: 5, end: 6),
                    Operation(.settle(call: 0), .settled([balance(2, 0)]), begin: 7, end: 8),
                ]
            case "settled and released":
                [
                    first, Operation(.settle(call: 0), .settled([balance(1, 0)]), begin: 5, end: 8),
                    Operation(.release(call: 0), .released, begin: 6, end: 7),
                ]
            case "stale answer": [first, Operation(.read, .balances([balance(0, 0)]), begin: 5, end: 6)]
            default:
                [
                    first, Operation(.settle(call: 0), .settled([balance(1, 0)]), begin: 5, end: 6),
                    Operation(.read, .balances([balance(0, 6)]), begin: 7, end: 8),
                ]
            }
        guard case .impossible = history(operations).linearize() else {
            Issue.record("\(fault) went unnoticed")
            return
        }
        #expect(!history(operations).phantomRefusals().isEmpty == fault.hasPrefix("phantom"))
    }

    @Test(
        "random histories of sixteen callers: each is accepted, and noticed once a single answer is wrong",
        arguments: 0..<20 as Range<UInt64>)
    func random(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let made = RandomHistory.make(callers: 16, operations: 120, &random)
        #expect(made.linearize() == .linearizable, "seed \(seed)")
        #expect(made.phantomRefusals().isEmpty && made.wrongBalances().isEmpty, "seed \(seed)")
        #expect(made.leastHighest()[0] <= made.amounts[0], "seed \(seed)")
        var wrong = made
        let index = wrong.operations.indices.filter { wrong.operations[$0].answer.isHold }.randomElement(using: &random)!
        // By one pico-dollar.
        if case .held(var balances) = wrong.operations[index].answer {
            balances[0].held = balances[0].held - Amount(pico: 1)
            wrong.operations[index].answer = .held(balances)
        }
        #expect(wrong.linearize() != .linearizable, "seed \(seed)")
    }
}

extension Operation.Answer {
    fileprivate var isHold: Bool { if case .held = self { true } else { false } }
}

/// Histories that are right by construction: each operation takes effect at one moment between its begin and its end.
private enum RandomHistory {
    static func make(callers: Int, operations: Int, _ random: inout SeededGenerator) -> History {
        let amount = Amount(whole: 30)
        var calls: [History.Call] = []
        var (settled, held) = (Amount.zero, Amount.zero)
        var noted: [Operation] = []
        var openCalls: [Int?] = Array(repeating: nil, count: callers)
        // Each caller's last end; the moment of effect grows from operation to operation.
        var ends = Array(repeating: 0, count: callers)
        for number in 1...operations {
            let moment = number * 1000
            let caller = (0..<callers).filter { ends[$0] < moment }.randomElement(using: &random)!
            let begin = Int.random(in: ends[caller] + 1...moment, using: &random)
            let end = moment + Int.random(in: 1...6000, using: &random)
            ends[caller] = end + callers
            let answer: Operation.Answer
            let ask: Operation.Ask
            if let call = openCalls[caller] {
                openCalls[caller] = nil
                held = held - calls[call].holds[0]
                if Bool.random(using: &random) {
                    settled = settled + calls[call].costs[0]
                    (ask, answer) = (.settle(call: call), .settled([Balance(settled: settled, held: held)]))
                } else {
                    (ask, answer) = (.release(call: call), .released)
                }
            } else {
                let hold = Amount(whole: Int64.random(in: 1...9, using: &random))
                calls.append(.init(holds: [hold], costs: [Amount(pico: 1)]))
                ask = .reserve(call: calls.count - 1)
                if settled + held + hold > amount {
                    answer = .refused(budget: 0, Balance(settled: settled, held: held))
                } else {
                    held = held + hold
                    openCalls[caller] = calls.count - 1
                    answer = .held([Balance(settled: settled, held: held)])
                }
            }
            // Some answers are lost; what was done stays done.
            let isLost = Int.random(in: 0..<12, using: &random) == 0
            noted.append(Operation(ask, isLost ? .unknown : answer, begin: begin, end: end))
        }
        return History(amounts: [amount], start: [Balance()], calls: calls, operations: noted)
    }
}
