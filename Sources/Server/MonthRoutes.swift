/// `/v1/statements/{month}/propose`, `close` and `reopen`: a month on its way out of the books, and the checklist before it.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    /// What stands between the month and its closing. Changes nothing.
    @Sendable func checkStatement(_ exchange: Exchange) async throws -> Response {
        let checklist = try await statements.checklist(of: exchange.month(), in: exchange.organization, at: exchange.now)
        return .json { writer in
            writer.object { writer in
                writer.field("month", exchange.parameters.get("month"))
                writer.field("starts_at", checklist.span.start)
                writer.field("ends_at", checklist.span.end)
                writer.object("total") { checklist.total.writeMembers(&$0) }
                writer.object("control") { checklist.control.writeMembers(&$0) }
                writer.field("agrees", checklist.total == checklist.control)
                writer.array("points") { writer in for point in checklist.points { point.write(&writer) } }
            }
        }
    }

    @Sendable func proposeStatement(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let record = try await store.propose(
            exchange.month(), of: exchange.organization, by: exchange.credential.actor, at: exchange.now)
        return .json { record.write(&$0) }
    }

    /// Ends the booking on the month. Its lines are frozen right after; `statement.closed` tells when that is done.
    @Sendable func closeStatement(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let accepted = fields.optional("accept", .list(.word(StatementPoint.Name.self), 0...10)) ?? []
        try fields.finish()
        let record = try await store.close(
            exchange.month(), of: exchange.organization, accepting: Set(accepted), by: exchange.credential.actor, at: exchange.now)
        return .json(.accepted) { record.write(&$0) }
    }

    /// The first to ask is told that somebody else has to; the second opens the month.
    @Sendable func reopenStatement(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let reason = fields.require("reason", .text(1...2000))
        try fields.finish()
        let credential = exchange.credential
        let record = try await store.reopen(
            exchange.month(), of: exchange.organization, by: credential.actor, reason: reason, at: exchange.now
        ) { credential.isSame(as: $0) }
        return .json(record.state == .closed ? .accepted : .ok) { record.write(&$0) }
    }
}

extension StatementTotal {
    func writeMembers(_ writer: inout JSONWriter) {
        writer.field("calls", requests)
        writer.field("cost", cost)
    }
}

extension StatementPoint {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name.rawValue)
            writer.name("count")
            writer.number(text: count.plain)
            writer.name("amount")
            if let amount { writer.amount(amount, in: .usd) } else { writer.null() }
            writer.field("acceptable", name.isAcceptable)
        }
    }
}

extension StatementRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("month", month.description)
            writer.field("state", state.rawValue)
            writer.field("number", number)
            writer.field("edition", edition)
            writer.field("starts_at", span.start)
            writer.field("ends_at", span.end)
            writer.field("proposed_at", proposedAt)
            writer.field("proposed_by", proposedBy)
            if let proposed { writer.object("proposed") { proposed.writeMembers(&$0) } } else { writer.field("proposed", JSON.null) }
            writer.array("accepted", accepted)
            writer.field("closing_at", closingAt)
            writer.field("closing_by", closingBy)
            writer.field("closed_at", closedAt)
            if let total { writer.object("total") { total.writeMembers(&$0) } } else { writer.field("total", JSON.null) }
            writer.field("lines", lineCount)
            writer.field("content_sha256", contentHash)
            writer.field("reopen_asked_at", reopenAskedAt)
            writer.field("reopen_asked_by", reopenAskedBy)
            writer.field("reopen_reason", reopenReason)
            writer.field("reopened_at", reopenedAt)
            writer.field("reopened_by", reopenedBy)
        }
    }
}

extension Problem {
    init(refused refusal: StatementRefusal) {
        switch refusal {
        case .notReady(let points):
            let names = points.map(\.name.rawValue).joined(separator: ", ")
            let cure =
                points.allSatisfy(\.name.isAcceptable) ? "See to them, or name them in `accept`." : "They have to be seen to first."
            self.init(.monthNotReady, "In the way: \(names). \(cure)")
            var writer = JSONWriter()
            writer.array { writer in for point in points { point.write(&writer) } }
            members.append(("points", writer.bytes))
        case .changedSinceProposed: self.init(.monthChanged, "It sums to something else by now: look at it and propose it again.")
        case .notInState(let state): self.init(.monthNotInState, "It is \(state.rawValue).")
        case .laterMonthClosed: self.init(.monthNotInState, "A later month is closed: only the last one can be opened again.")
        case .sameAdmin: self.init(.forbidden, "You have asked for it yourself: somebody else has to open the month.")
        }
    }
}
