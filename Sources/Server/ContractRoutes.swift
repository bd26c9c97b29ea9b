/// `/v1/contracted-prices`: what an organization agreed with providers. `/v1/price-proposals`: what an import held back for a person.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func importContract(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let lines = fields.require("lines", .list(.contractLine, 1...1000))
        let source = fields.require("source", .text(1...500))
        let validFrom = fields.optional("valid_from", .instant) ?? exchange.now
        let accept = fields.optional("accept", .list(.text(1...200), 0...200)) ?? []
        let dryRun = fields.optional("dry_run", .bool) ?? false
        try fields.finish()
        guard exchange.organization != .platform else { throw Problem(.forbidden, "A contract is an organization's.") }
        do {
            let changes = try await store.importContract(
                lines.compactMap(\.self), of: exchange.organization, source: source, validFrom: validFrom, at: exchange.now,
                accepting: Set(accept), dryRun: dryRun)
            return .json { changes.write(dryRun: dryRun, &$0) }
        } catch let fault as ContractFault {
            let named = FieldFault(pointer: "/lines/\(fault.line)", code: .unknownReference, detail: fault.description)
            throw Problem.invalid("Faulty: /lines/\(fault.line).", status: 422, faults: [named])
        }
    }

    @Sendable func listPriceProposals(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let listing: Listing<PriceProposal, PriceProposalID> = PageQuery.listing(&query, PriceProposal.orders, isNewestFirst: true)
        let state = query.optional("state", .word(PriceProposal.State.self)) ?? .proposed
        try query.finish()
        return try await exchange.page(store.priceProposals(of: exchange.organization, state: state, listing)) { $0.write(&$1) }
    }

    @Sendable func approvePriceProposal(_ exchange: Exchange) async throws -> Response { try await decide(true, exchange) }
    @Sendable func rejectPriceProposal(_ exchange: Exchange) async throws -> Response { try await decide(false, exchange) }

    private func decide(_ isApproved: Bool, _ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let proposal = try await store.decide(
            isApproved, on: exchange.id(PriceProposalKind.self), of: exchange.organization, by: exchange.credential.actor, at: exchange.now)
        return .json { proposal.write(&$0) }
    }

    /// A rate that was wrong from its beginning: the same time, another amount. What was booked keeps its price until it is re-priced.
    @Sendable func correctPrice(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let amount = fields.require("amount_per_million", .ratePerMillion)
        let source = fields.require("source", .text(1...500))
        try fields.finish()
        let correction = PriceCorrection(
            id: PriceID(at: exchange.now), replacing: try exchange.id(PriceKind.self), amountPerMillion: amount, source: source)
        let price = try await store.correctPrice(correction, of: exchange.organization)
        return .json(.created) { price.write(&$0) }
    }
}

extension FieldRule where Value == ContractLine? {
    /// `{"provider":"openai","percent_off":"12.5"}` or `{"model":"gpt-4o","usage_kind":"input","amount_per_million":"2.1"}`.
    fileprivate static var contractLine: FieldRule {
        FieldRule(placeholder: nil) { json in
            guard case .object(let object) = json else { return .wrongType(json, "an object") }
            var faults: [FieldFault] = []
            var cells: [String: String] = [:]
            for member in object where member.value != .null {
                let pointer = "/" + FieldReader.escaped(member.name)
                guard [ContractLine].columns.contains(member.name) else {
                    faults.append(FieldFault(pointer: pointer, code: .unknownField, detail: "is not a field of a line"))
                    continue
                }
                // Amounts are decimals as strings (law 5); a band is a whole number.
                let rule: FieldRule<String> =
                    member.name == "context_from" ? FieldRule<Int64>.integer(0...1_000_000_000).map { "\($0)" } : .text(1...200)
                switch rule.read(member.value) {
                case .success(let text): cells[member.name] = text
                case .failure(let found): faults += found.list.map { FieldFault(pointer: pointer, code: $0.code, detail: $0.detail) }
                }
            }
            guard faults.isEmpty else { return .failure(FieldFaults(list: faults)) }
            let line = ContractLine.read(
                provider: cells["provider"], model: cells["model"], kind: cells["usage_kind"], serviceTier: cells["service_tier"],
                contextFrom: cells["context_from"], amount: cells["amount_per_million"], percentOff: cells["percent_off"])
            switch line {
            case .success(let line): return .success(line)
            case .failure(let fault): return .fault(.invalidValue, fault.description)
            }
        }
    }
}

extension PriceChanges {
    /// Changes shown one by one; the counts are of all (law 11).
    private static let shown = 200

    fileprivate func write(dryRun: Bool, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("dry_run", dryRun)
            writer.field("new", Int64(newRates.count))
            writer.field("changed", Int64(changedRates.count))
            writer.field("unchanged", Int64(unchangedRates))
            writer.field("held_back", Int64(heldBack.count))
            writer.array("changes") { writer in
                for change in (newRates + changedRates).prefix(Self.shown) {
                    writer.object { writer in change.writeFields(change.old?.amountPerMillion, &writer) }
                }
            }
            writer.array("held") { writer in
                for held in heldBack.prefix(Self.shown) {
                    writer.object { writer in
                        held.change.writeFields(held.current, &writer)
                        writer.field("reason", held.reason.rawValue)
                    }
                }
            }
        }
    }
}

extension PriceChanges.RateChange {
    fileprivate func writeFields(_ current: Money?, _ writer: inout JSONWriter) {
        writer.field("model", model)
        slot.writeFields(&writer)
        writer.name("current_per_million")
        if let current { writer.amount(current, in: .usd) } else { writer.null() }
        writer.field("amount_per_million", amountPerMillion)
    }
}

extension ListedRate.Slot {
    fileprivate func writeFields(_ writer: inout JSONWriter) {
        writer.field("usage_kind", kind)
        writer.field("service_tier", serviceTier)
        writer.field("context_from", contextFrom)
    }
}

extension PriceProposal {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("state", state.rawValue)
            writer.field("model", model)
            slot.writeFields(&writer)
            writer.name("current_per_million")
            if let current { writer.amount(current, in: .usd) } else { writer.null() }
            writer.field("amount_per_million", amountPerMillion)
            writer.field("valid_from", validFrom)
            writer.field("reason", reason.rawValue)
            writer.field("source", source)
            writer.field("proposed_at", proposedAt)
            writer.field("decided_by", decidedBy)
            writer.field("decided_at", decidedAt)
        }
    }
}
