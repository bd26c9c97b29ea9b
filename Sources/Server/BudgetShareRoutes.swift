/// `/v1/budgets/{id}/shares`: categories of a budget, whose amounts follow it.
import Budgets
import Hummingbird
import JSON
import Postgres
import Store

extension API {
    @Sendable func createShare(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let percent = fields.require("percent", .sharePercent)
        let match = fields.require("match", .match.that("must say which calls it counts") { $0 != "{}" })
        let thresholds = fields.optional("thresholds", .thresholds) ?? [100]
        // To be told when a category passes its share is what a share is for; refusing calls is the whole budget's business.
        let enforcement = fields.optional("enforcement", .word(Enforcement.self)) ?? .warn
        try fields.finish()
        try await requireOwnBudget(exchange)
        let share = NewShare(
            id: BudgetID(at: exchange.now), of: try exchange.id(BudgetKind.self), name: name, percent: percent,
            match: JSONB(text: match), thresholds: thresholds, enforcement: enforcement)
        do {
            let budget = try await store.createShare(share, in: exchange.organization, setBy: exchange.credential.apiKey)
            return try await answer(budget, exchange, .created)
        } catch let refusal as ShareRefusal {
            let fault =
                switch refusal {
                case .tooMuch(let left):
                    FieldFault(pointer: "/percent", code: .outOfRange, detail: "must be at most \(left.plain): that much is left")
                case .matchTwice(let kind):
                    FieldFault(
                        pointer: "/match/\(kind)", code: .invalidValue, detail: "is said by the whole budget already: leave it out")
                }
            throw Problem.invalid("Faulty: \(fault.pointer).", status: 422, faults: [fault])
        }
    }
}

extension FieldRule where Value == Amount {
    fileprivate static var sharePercent: FieldRule {
        amount(fractionDigits: 4).that("must be above 0 and at most 100") { $0 > .zero && $0 <= Amount(whole: 100) }
    }
}
