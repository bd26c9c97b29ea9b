/// `bursar price-proposals`: what imports held back, to be looked at and decided.
import ArgumentParser
import Budgets
import Postgres
import Store

struct PriceProposals: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List, approve and reject what price imports held back.",
        discussion: """
            A price that became more than three times dearer or cheaper, that changed from or to free, or that does not fit the model's other \
            prices waits until somebody decides. An approved price begins now; a rejected one is not proposed again. What is proposed to an \
            organization comes from its own contract (--organization); all else is the platform's list.
            """)

    @Option(
        name: .long, help: ArgumentHelp("The organization whose contract it is. (default: the platform's list)", valueName: "org_…"),
        transform: { try PriceProposals.read($0) { OrganizationID($0) } })
    var organization: OrganizationID?

    @Option(
        name: .long, help: ArgumentHelp("Approve this one; may be given again.", valueName: "prp_…"),
        transform: { try PriceProposals.read($0) { PriceProposalID($0) } })
    var approve: [PriceProposalID] = []

    @Option(
        name: .long, help: ArgumentHelp("Reject this one; may be given again.", valueName: "prp_…"),
        transform: { try PriceProposals.read($0) { PriceProposalID($0) } })
    var reject: [PriceProposalID] = []

    @OptionGroup(title: "Database") var database: DatabaseOptions

    private static func read<Value>(_ text: String, _ make: (String) -> Value?) throws -> Value {
        guard let value = make(text) else { throw ValidationError("'\(text)' cannot be read.") }
        return value
    }

    func run() async throws {
        let (owner, approve, reject) = (organization ?? .platform, approve, reject)
        try await database.withStore { store in
            for (ids, isApproved) in [(approve, true), (reject, false)] {
                for id in ids {
                    do {
                        let decided = try await store.decide(isApproved, on: id, of: owner, by: "bursar", at: .now())
                        Terminal.say("\(decided.state.rawValue)  \(decided.line)")
                    } catch let refusal as AdminRefusal {
                        throw CommandError("\(id) stays as it is: \(refusal)")
                    }
                }
            }
            guard approve.isEmpty, reject.isEmpty else { return }
            var place: ListPlace<PriceProposalID>?
            var count = 0
            repeat {
                let listing = Listing<PriceProposal, PriceProposalID>(
                    PriceProposal.orders[0], isDescending: true, after: place, limit: 200)
                let page = try await store.priceProposals(of: owner, state: .proposed, listing)
                for proposal in page.items { Terminal.say(proposal.line) }
                count += page.items.count
                place = page.next
            } while place != nil
            if count == 0 { Terminal.say("Nothing waits.") }
        }
    }
}

extension PriceProposal {
    fileprivate var line: String {
        let band = slot.contextFrom > 0 ? " from \(slot.contextFrom) input tokens" : ""
        let tier = slot.serviceTier == Rate.standardTier ? "" : " (\(slot.serviceTier))"
        return "\(id)  \(model) \(slot.kind)\(tier)\(band): \(current?.plain ?? "unknown") → \(amountPerMillion.plain)  \(reason.rawValue)"
    }
}

extension DatabaseOptions {
    /// Runs `body` with a store on a migrated database, on one connection.
    func withStore<Value: Sendable>(_ body: @Sendable (Store) async throws -> Value) async throws -> Value {
        let logger = commandLogger()
        return try await withDatabase(logger: logger) { configuration in
            _ = try await Migrator(configuration, logger: logger).migrate()
            let pool = PostgresPool(configuration, size: 1, logger: logger)
            let result: Result<Value, any Error>
            do { result = .success(try await body(Store(pool: pool))) } catch { result = .failure(error) }
            await pool.shutdown()
            return try result.get()
        }
    }
}
