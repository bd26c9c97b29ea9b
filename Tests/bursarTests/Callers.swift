/// Callers over real HTTP who keep what they were told, whichever process told them, and hold the server to it.
import Budgets
import Foundation
import JSON
import NIOCore
import Store
import Synchronization
import TestSupport
import Testing

@testable import bursar

/// What callers and receivers hear, in its order.
enum News: Equatable {
    case settled, unavailable
    case alert(Int64)
}

extension AsyncStream<News>.Iterator {
    mutating func wait(for news: News, count: Int = 1) async {
        var left = count
        while left > 0, let next = await next() { if next == news { left -= 1 } }
    }
}

/// A call as its caller knows it.
struct Call: Sendable {
    let number: Int
    var held: JSON?
    var settled: JSON?

    /// Some callers die: their holds stay.
    var isLeftOpen: Bool { number % 10 == 0 }
    var reserve: JSON {
        [
            "request_id": .string("call-\(number)"), "model": "gpt-4o-mini", "input_tokens": 1000, "max_output_tokens": 500,
            "ttl_seconds": 3600,
        ]
    }
    var settle: JSON { ["usage": ["input": .number(number % 900 + 1), "output": .number(number * 7 % 500)]] }
}

/// Everything that was said to the callers of one organization, whichever process said it.
final class Book: Sendable {
    let events: AsyncStream<News>
    private let over = Atomic(false)
    private let tell: AsyncStream<News>.Continuation
    private let state = Mutex((calls: [Call](), unavailable: 0, webhooks: Set<String>()))

    init() { (events, tell) = AsyncStream.makeStream() }

    var calls: [Call] { state.withLock { $0.calls } }
    var unavailable: Int { state.withLock { $0.unavailable } }

    var isOver: Bool { over.load(ordering: .relaxed) }

    /// Callers are to make no more calls.
    func end() { over.store(true, ordering: .relaxed) }

    func nextCall() -> Call {
        state.withLock { state in
            state.calls.append(Call(number: state.calls.count))
            return state.calls[state.calls.count - 1]
        }
    }

    /// Keeps the first answer; a later one must say the same (law 4).
    func note(_ call: Call, _ answer: WritableKeyPath<Call, JSON?>, _ said: JSON) {
        let first = state.withLock { state in
            defer { state.calls[call.number][keyPath: answer] = state.calls[call.number][keyPath: answer] ?? said }
            return state.calls[call.number][keyPath: answer]
        }
        guard let first else {
            if answer == \.settled { tell.yield(.settled) }
            return
        }
        for field in ["id", "held", "expires_at", "cost", "released"] { #expect(first[field] == said[field], "\(call)") }
    }

    func noteUnavailable() {
        state.withLock { $0.unavailable += 1 }
        tell.yield(.unavailable)
    }

    /// The receiver of webhooks: takes what comes, and lets the sender of all but the last wait for the answer the first time.
    func receive(_ request: ReceivedRequest) -> Reply {
        let isFirst = state.withLock { $0.webhooks.insert(request.headers["webhook-id"] ?? "").inserted }
        let threshold = Book.threshold(request)
        tell.yield(.alert(threshold))
        return isFirst && threshold < 100 ? .hold(.ok) : .ok
    }

    static func threshold(_ request: ReceivedRequest) -> Int64 { DemoAlert(receiver: "webhook", body: request.body)?.threshold ?? 0 }
}

/// Those who call one process.
struct Callers: Sendable {
    /// The secrets of the owner's and the callers' API keys.
    let secrets: (owner: String, caller: String)
    let budgets: [String]
    let book: Book
    let client: LoadClient

    var owner: DemoAPI { DemoAPI(client: client, apiKey: secrets.owner) }

    /// Eight at a time, until it is over or the server does not answer.
    func load() async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { while !book.isOver, await finish(book.nextCall()) {} }
            }
        }
    }

    /// Repeats what was not answered. What is booked until then is what was acknowledged, and maybe some of this.
    func askAgain() async throws {
        let calls = book.calls
        let unanswered = calls.filter { $0.held == nil || $0.settled == nil && !$0.isLeftOpen }
        let acknowledged = calls.count { $0.settled != nil }
        let booked = try await statement()["calls"]?.int64 ?? -1
        #expect((Int64(acknowledged)...Int64(acknowledged + unanswered.count)).contains(booked))
        for call in unanswered { #expect(await finish(call), "\(call)") }
        try await checkSums()
    }

    /// Each call reads as it was acknowledged, and gets its first answers again.
    func checkEach() async throws {
        for call in book.calls {
            guard let id = call.held?["id"]?.string else { continue }
            let read = try JSON.parse(try await owner.read("/v1/reservations/\(id)"))
            if let settled = call.settled { #expect(read["state"] == "settled" && read["cost"] == settled["cost"], "\(call)") }
            if call.isLeftOpen { #expect(read["state"] == "held" && read["held"] == call.held?["held"], "\(call)") }
            #expect(await finish(call), "\(call)")
        }
    }

    /// The month and the budgets say what was acknowledged, to the last digit: no call twice, no hold of nobody.
    func checkSums() async throws {
        let calls = book.calls
        let cost = sum(calls.compactMap { $0.settled?["cost"] })
        let held = sum(calls.filter { $0.settled == nil }.compactMap { $0.held?["held"] })
        let month = try await statement()
        #expect(month["calls"]?.int64 == Int64(calls.count { $0.settled != nil }))
        #expect(sum([month["cost"] ?? .null]) == cost)
        for budget in budgets {
            let periods = try JSON.parse(try await owner.read("/v1/budgets/\(budget)/periods"))["data"]?.array ?? []
            #expect(sum(periods.compactMap { $0["settled"] }) == cost)
            #expect(sum(periods.compactMap { $0["held"] }) == held)
        }
    }

    private func statement() async throws -> JSON {
        try JSON.parse(try await owner.read("/v1/statements/\(Instant.now().rfc3339.prefix(7))"))
    }

    private func sum(_ money: [JSON]) -> Amount {
        money.reduce(.zero) { $0 + (Amount($1["amount"]?.string ?? "") ?? Amount(pico: -1)) }
    }

    /// Reserves and settles; false when the server does not answer.
    private func finish(_ call: Call) async -> Bool {
        guard let held = await answer("/v1/reservations", call.reserve) else { return false }
        book.note(call, \.held, held)
        if call.isLeftOpen { return true }
        guard let settled = await answer("/v1/reservations/\(held["id"]?.string ?? "")/settle", call.settle) else { return false }
        book.note(call, \.settled, settled)
        return true
    }

    /// Asks until the database is there; nil when the server does not answer.
    private func answer(_ path: String, _ body: JSON) async -> JSON? {
        let request = DemoAPI(client: client, apiKey: secrets.caller).head.request("POST", path, body: Array(body.text.utf8))
        while let answer = try? await client.send(request) {
            let said = try? JSON.parse(answer.body)
            if (200...201).contains(answer.status) { return said }
            guard answer.status == 503, said?["code"] == "store_unavailable" else {
                Issue.record("\(answer.status) \(String(decoding: answer.body, as: UTF8.self)) is not what a call with room is answered")
                return nil
            }
            book.noteUnavailable()
        }
        return nil
    }
}
