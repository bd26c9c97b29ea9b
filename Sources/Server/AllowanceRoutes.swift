/// `/v1/allowance`: would a call be admitted now? `/v1/usage`: calls that were made without asking.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func allowance(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let project = CallFields.project(&query, exchange.credential)
        let call = Call(
            project: project, apiKey: exchange.credential.apiKey, model: query.require("model", .text(1...200)),
            serviceTier: query.optional("service_tier", .word(1...50)) ?? "standard", endUser: query.optional("end_user", .text(1...200)),
            feature: query.optional("feature", .text(1...200)))
        let inputTokens = query.optional("input_tokens", .digits(0...Usage.maximumQuantity)) ?? 0
        let maxOutputTokens = query.optional("max_output_tokens", .digits(0...Usage.maximumQuantity))
        try query.finish()
        let ask = Ask(call: call, inputTokens: inputTokens, maxOutputTokens: maxOutputTokens, at: exchange.now)
        switch await engine.submit(.ask(ask), exchange.organization) {
        case .allowance(let allowance):
            // A credential that is no longer good gets no answer but that.
            if case .unauthenticated? = allowance.refusal { throw Problem(.unauthenticated) }
            return .json { allowance.write(&$0, now: exchange.now) }
        case let outcome: throw Problem(unexpected: outcome, now: exchange.now)
        }
    }

    /// Each event is booked or refused by itself: the answer has one result an event, in their order.
    @Sendable func bookUsage(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let events = fields.require("events", .list(.any, 1...1000))
        try fields.finish()
        var results: [UsageResult?] = Array(repeating: nil, count: events.count)
        // All are submitted at once, so that the lane can take them as one batch.
        try await withThrowingTaskGroup(of: (Int, UsageResult).self) { group in
            for (index, event) in events.enumerated() {
                group.addTask { (index, try await book(event, exchange)) }
            }
            for try await (index, result) in group { results[index] = result }
        }
        return .json { writer in
            writer.object { writer in
                writer.array("results") { writer in
                    for result in results { result?.write(&writer) }
                }
            }
        }
    }

    private func book(_ event: JSON, _ exchange: Exchange) async throws -> UsageResult {
        guard case .object(let object) = event else {
            return .invalid(nil, .invalid("An event must be an object, not \(event.kindName)."))
        }
        var fields = FieldReader(object)
        let project = CallFields.project(&fields, exchange.credential)
        let requestID = fields.require("request_id", .requestID)
        let call = CallFields.call(&fields, project: project, apiKey: exchange.credential.apiKey)
        let occurredAt = fields.optional("occurred_at", .instant) ?? exchange.now
        // Prices are kept at hand so long (design §5), and clocks of callers may run ahead a little.
        if occurredAt > exchange.now.adding(seconds: 300) { fields.fault("occurred_at", .outOfRange, "must not be in the future") }
        if occurredAt < exchange.now.adding(seconds: -35 * 86_400) {
            fields.fault("occurred_at", .outOfRange, "must not be more than 35 days ago")
        }
        let report = CallFields.report(&fields)
        do {
            try fields.finish()
        } catch {
            return .invalid(object["request_id"]?.string, error)
        }
        let content = CallFields.hash { writer in
            call.writeContent(&writer)
            report.writeContent(&writer)
            writer.string(object["occurred_at"]?.string ?? "")
        }
        let book = Book(
            id: ReservationID(at: exchange.now), request: RequestID(project: project, text: requestID), content: content, call: call,
            report: report, occurredAt: occurredAt, at: exchange.now)
        switch await engine.submit(.book(book), exchange.organization) {
        case .settled(let reservation, _, let isReplay):
            return .booked(requestID, reservation, isDuplicate: isReplay)
        case .refused(.unauthenticated): throw Problem(.unauthenticated)
        case .refused(let refusal): return .invalid(requestID, Problem(refused: refusal, now: exchange.now))
        case let outcome: throw Problem(unexpected: outcome, now: exchange.now)
        }
    }
}

/// What became of one usage event.
private enum UsageResult: Sendable {
    case booked(String, Reservation, isDuplicate: Bool)
    case invalid(String?, Problem)

    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            switch self {
            case .booked(let requestID, let reservation, let isDuplicate):
                writer.field("request_id", requestID)
                writer.field("status", isDuplicate ? "duplicate" : "booked")
                writer.field("id", reservation.id)
                if let entry = reservation.entry {
                    writer.field("cost", entry.cost)
                    writer.field("overage", entry.overage)
                }
            case .invalid(let requestID, let problem):
                writer.field("request_id", requestID)
                writer.field("status", "invalid")
                writer.field("code", problem.code.rawValue)
                writer.field("detail", problem.detail)
                problem.writeFaults(&writer)
            }
        }
    }
}

extension Allowance {
    func write(_ writer: inout JSONWriter, now: Instant) {
        writer.object { writer in
            writer.field("allowed", refusal == nil)
            if let refusal {
                let problem = Problem(refused: refusal, now: now)
                writer.field("code", problem.code.rawValue)
                writer.field("detail", problem.detail)
            }
            writer.field("model", model)
            substitutions.write(&writer)
            writer.name("binding_budget")
            if let binding { binding.write(&writer) } else { writer.null() }
            if let binding {
                writer.field("remaining", binding.remaining, in: binding.budget.unit)
                writer.field("resets_at", binding.span.end)
            } else {
                writer.field("remaining", JSON.null)
                writer.field("resets_at", JSON.null)
            }
            standings.write(&writer)
            writer.array("models", models)
        }
    }
}

extension FieldRule where Value == JSON {
    /// Anything: who reads it says what is wrong with it.
    static var any: FieldRule { FieldRule(placeholder: .null) { .success($0) } }
}
