// A replay is the main job's proof, so its own counting and pacing must be beyond doubt.
import Budgets
import Histogram
import NIOCore
import Testing

@testable import bursar

@Suite struct ReplayTests {
    @Test("A trace file is read to the microsecond, in the order of time")
    func trace() throws {
        let calls = try Trace.parse(
            """
            TIMESTAMP,ContextTokens,GeneratedTokens
            2023-11-16 18:15:50.9951690,396,109
            2023-11-16 18:15:46.6805900,374,44
            2023-11-17 00:00:00,1,2
            """)
        #expect(calls.map(\.offset) == [0, 4_314_579, 20_653_319_410])
        #expect(calls.map(\.inputTokens) == [374, 396, 1])
        #expect(calls.map(\.outputTokens) == [44, 109, 2])
    }

    @Test(
        "What is no trace is refused with its line",
        arguments: [
            ("", "begin"), ("a,b,c\n", "begin"), ("TIMESTAMP,ContextTokens,GeneratedTokens\nx,1,2", "line 2"),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:50,1,2\n2023-02-30 18:15:50,1,2", "line 3"),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:50,-1,2", "line 2"),
        ])
    func malformed(text: String, says: String) {
        #expect { try Trace.parse(text) } throws: { "\($0)".contains(says) }
    }

    @Test("A synthetic trace is the same for the same seed, bursty and heavy-tailed")
    func synthetic() {
        let calls = Trace.synthetic(20_000, seed: 7)
        #expect(calls == Trace.synthetic(20_000, seed: 7))
        #expect(calls != Trace.synthetic(20_000, seed: 8))
        #expect(zip(calls, calls.dropFirst()).allSatisfy { $0.offset <= $1.offset })
        // Of a plain Poisson process the counts per second vary as much as their mean; bursts vary them several times as much.
        let seconds = Dictionary(grouping: calls) { $0.offset / 1_000_000 }.mapValues { Double($0.count) }
        let span = Double((calls.last?.offset ?? 0) / 1_000_000 + 1)
        let mean = Double(calls.count) / span
        let variance = seconds.values.reduce(0) { $0 + $1 * $1 } / span - mean * mean
        #expect(variance > 3 * mean)
        let inputs = calls.map(\.inputTokens).sorted()
        #expect((700...1100).contains(inputs[10_000]))
        #expect(inputs[19_800] > 5 * inputs[10_000])
    }

    private let plan = ReplayPlan(
        keys: [.init(value: "bur_a", weight: 3), .init(value: "bur_b", weight: 1)], models: [.init(value: "m", weight: 1)],
        features: [.init(value: "chat", weight: 1)], endUsers: 5)

    @Test("Calls are drawn by weight, and again the same from the same seed")
    func draw() {
        let trace = Trace.synthetic(4000, seed: 1)
        let calls = plan.calls(trace, run: "r", seed: 1)
        #expect((2800...3200).contains(calls.count { $0.key == 0 }))
        #expect(calls.map(\.reserveBody) == plan.calls(trace, run: "r", seed: 1).map(\.reserveBody))
        #expect(Set(calls.map(\.reserveBody)).count == 4000)
    }

    @Test("A plan is read, and a faulty one says where")
    func planFile() throws {
        let plan = try ReplayPlan(
            json: Array(#"{"keys":[{"api_key":"bur_a","weight":2.5}],"models":[{"name":"m"}],"end_users":3}"#.utf8))
        #expect(plan.keys.map(\.weight) == [2.5] && plan.models.map(\.weight) == [1] && plan.endUsers == 3)
        #expect { try ReplayPlan(json: Array(#"{"keys":[{"api_key":"bur_a","weight":0}],"models":[]}"#.utf8)) } throws: {
            "\($0)".contains("keys")
        }
    }

    /// Answers a driver without a socket: `answer` maps a request to status and body.
    private func drive(
        _ driver: inout ReplayDriver, from start: NIODeadline, _ answer: (String) -> (Int, String)
    ) -> (tally: ReplayTally, sentAt: [Int64]) {
        var now = start
        var sentAt: [Int64] = []
        while true {
            switch driver.next(now: now) {
            case .stop: return (driver.finish(), sentAt)
            case .wait(let until): now = until
            case .send(let request):
                sentAt.append((now - start).nanoseconds / 1000)
                let (status, body) = answer(String(buffer: request))
                let sent = now
                now = now + .milliseconds(1)
                driver.answered(status: status, body: ByteBuffer(string: body), sentAt: sent, now: now)
            }
        }
    }

    private func work(_ offsets: [Int64], speed: Double?, start: NIODeadline) -> ReplayWork {
        let trace = offsets.map { TraceCall(offset: $0, inputTokens: 10, outputTokens: 1) }
        let heads = plan.keys.map { RequestHead(host: "h", port: 1, apiKey: $0.value) }
        return ReplayWork(calls: plan.calls(trace, run: "r", seed: 1), heads: heads, speed: speed, start: start)
    }

    @Test("Costs are added exactly, refusals counted by code, and a 503 is asked again with the same request")
    func tally() {
        let start = NIODeadline.now()
        var driver = ReplayDriver(work: work([0, 0, 0], speed: nil, start: start))
        var requests: [String] = []
        let (tally, _) = drive(&driver, from: start) { request in
            requests.append(request)
            switch requests.count {
            case 1: return (201, #"{"id":"rsv_1"}"#)
            case 2: return (503, #"{"code":"store_unavailable"}"#)
            case 3: return (200, #"{"cost":{"amount":"0.100000000001","currency":"USD"}}"#)
            case 4: return (402, #"{"code":"budget_exceeded"}"#)
            case 5: return (201, #"{"id":"rsv_2"}"#)
            default: return (200, #"{"cost":{"amount":"0.200000000002","currency":"USD"}}"#)
            }
        }
        #expect(requests[1].hasPrefix("POST /v1/reservations/rsv_1/settle HTTP/1.1\r\n") && requests[1] == requests[2])
        #expect(tally.admitted == 2 && tally.settled == 2 && tally.repeated == 1)
        #expect(tally.refused == ["budget_exceeded": 1] && tally.unsettled.isEmpty)
        #expect(tally.cost.description == "0.300000000003")
        let report = ReplayReport(calls: 3, seconds: 1, tally: tally, booked: .init(calls: 2, cost: tally.cost))
        #expect(report.isTied)
        #expect(!ReplayReport(calls: 3, seconds: 1, tally: tally, booked: .init(calls: 2, cost: tally.cost + Amount(pico: 1))).isTied)
        #expect(!ReplayReport(calls: 4, seconds: 1, tally: tally, booked: nil).isTied)
    }

    @Test("A paced call is sent when it is due, and its latency counts from then")
    func paced() {
        let start = NIODeadline.now()
        var driver = ReplayDriver(work: work([0, 1000, 1_000_000], speed: 10, start: start))
        let (tally, sentAt) = drive(&driver, from: start) {
            $0.contains("settle") ? (200, #"{"cost":{"amount":"0"}}"#) : (201, #"{"id":"rsv_1"}"#)
        }
        // The second call was due at 100 µs, while the only connection was busy until 2 ms; the third at 100 ms.
        #expect(sentAt == [0, 1000, 2000, 3000, 100_000, 101_000])
        #expect(tally.reserve.max >= 2900)
    }
}
