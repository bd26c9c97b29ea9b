/// `/v1/reservations`: a hold before a call, its settlement or release after it. The hot path.
import Budgets
import Crypto
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func reserve(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let project = CallFields.project(&fields, exchange.credential)
        let requestID = fields.require("request_id", .requestID)
        let call = CallFields.call(&fields, project: project, apiKey: exchange.credential.apiKey)
        let inputTokens = fields.require("input_tokens", .tokenCount)
        let maxOutputTokens = fields.optional("max_output_tokens", .tokenCount)
        let timeToLive = fields.optional("ttl_seconds", .integer(1...3600)) ?? 600
        try fields.finish()
        let content = CallFields.hash { writer in
            call.writeContent(&writer)
            writer.number(inputTokens)
            writer.number(maxOutputTokens ?? -1)
            writer.number(timeToLive)
        }
        let reserve = Reserve(
            id: ReservationID(at: exchange.now), request: RequestID(project: project, text: requestID), content: content, call: call,
            inputTokens: inputTokens, maxOutputTokens: maxOutputTokens, timeToLive: timeToLive, at: exchange.now)
        switch await engine.submit(.reserve(reserve), exchange.organization) {
        case .reserved(let reservation, let standings, let isReplay):
            return .json(.created) { reservation.writeHeld(standings, &$0) }.replayed(isReplay).limited(by: standings, now: exchange.now)
        case let outcome: throw Problem(unexpected: outcome, now: exchange.now)
        }
    }

    @Sendable func readReservation(_ exchange: Exchange) async throws -> Response {
        let reservation = try await store.reservation(exchange.id(ReservationKind.self), of: exchange.organization)
        // A project's key does not learn of other projects' calls.
        if let own = exchange.credential.project, own != reservation.request.project { throw Problem(.notFound) }
        return .json { reservation.write(&$0) }
    }

    @Sendable func settle(_ exchange: Exchange) async throws -> Response {
        let id = try exchange.id(ReservationKind.self)
        var fields = try exchange.fields()
        let report = CallFields.report(&fields)
        try fields.finish()
        let settle = Settle(
            reservation: id, project: exchange.credential.project, apiKey: exchange.credential.apiKey,
            content: CallFields.hash(report.writeContent), report: report, at: exchange.now)
        switch await engine.submit(.settle(settle), exchange.organization) {
        case .settled(let reservation, let standings, let isReplay):
            guard let entry = reservation.entry else { throw Problem(.internalError) }
            return .json { reservation.writeSettled(entry, standings, &$0) }.replayed(isReplay)
        case let outcome: throw Problem(unexpected: outcome, now: exchange.now)
        }
    }

    @Sendable func release(_ exchange: Exchange) async throws -> Response {
        let id = try exchange.id(ReservationKind.self)
        var fields = try exchange.fields()
        try fields.finish()
        let release = Release(
            reservation: id, project: exchange.credential.project, apiKey: exchange.credential.apiKey, at: exchange.now)
        switch await engine.submit(.release(release), exchange.organization) {
        case .released(let reservation, let isReplay):
            return .json { writer in
                writer.object { writer in
                    writer.field("id", reservation.id)
                    writer.field("state", reservation.state.rawValue)
                }
            }.replayed(isReplay)
        case let outcome: throw Problem(unexpected: outcome, now: exchange.now)
        }
    }
}

extension Response {
    /// Tells a caller that this is the first answer again (law 4).
    func replayed(_ isReplay: Bool) -> Response {
        guard isReplay else { return self }
        var response = self
        response.headers[.idempotencyReplayed] = "true"
        return response
    }
}
