/// Traffic that goes straight to engines: what callers ask as commands, and outcomes as answers.
import Budgets
import TestSupport
import Testing

@testable import Ledger

extension World {
    /// Sends to the engines what callers ask.
    func send(_ engines: [Ledger], budgets: [BudgetID]) -> Traffic.Send {
        { ask, call, reservation, replica in
            let command =
                switch ask {
                case .settle: settle(ReservationID(reservation ?? "")!, tokens: call.spent)
                case .release: release(ReservationID(reservation ?? "")!)
                case .reserve, .read: reserve("call-\(call.number)", tokens: call.tokens)
                }
            let outcome = await engines[replica].submit(command, for: organization)
            return (answer(outcome, budgets), outcome.reservation?.id.description)
        }
    }

    private func answer(_ outcome: Outcome, _ budgets: [BudgetID]) -> Operation.Answer {
        func balances(_ standings: [Standing]) -> [Balance] {
            budgets.map { budget in
                standings.first { $0.budget.id == budget }.map { Balance(settled: $0.settled, held: $0.held) } ?? Balance()
            }
        }
        switch outcome {
        case .reserved(_, let standings, _): return .held(balances(standings))
        case .settled(_, let standings, _): return .settled(balances(standings))
        case .released: return .released
        case .refused(.reservationResolved): return .resolved
        case .refused(.budgetExceeded(let standing, _)):
            return .refused(
                budget: budgets.firstIndex(of: standing.budget.id) ?? -1, Balance(settled: standing.settled, held: standing.held))
        case .storeUnavailable: return .unknown
        default:
            Issue.record("\(outcome.word) is not what such a call is answered")
            return .unknown
        }
    }

    /// The counters of budgets as they stand. Throws when they are not the sums of the ledger and of open holds.
    func balances(_ budgets: [BudgetID]) async throws -> [Balance] {
        var balances: [Balance] = []
        for budget in budgets {
            let totals = try await totals(budget)
            balances.append(Balance(settled: Amount(totals.settled)!, held: Amount(totals.held)!))
        }
        return balances
    }
}
