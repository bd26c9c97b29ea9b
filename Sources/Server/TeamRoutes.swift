/// `/v1/teams`.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func createTeam(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let costCenter = fields.optional("cost_center", .text(1...100))
        try fields.finish()
        let team = try await store.createTeam(TeamID(at: exchange.now), of: exchange.organization, name: name, costCenter: costCenter)
        return .json(.created, revision: team.revision) { team.write(&$0, at: exchange.now) }
    }

    @Sendable func listTeams(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let (filter, listing) = (PageQuery.filter(&query), PageQuery.listing(&query, TeamRecord.orders) as Listing<_, TeamID>)
        try query.finish()
        return try await exchange.page(
            store.teams(of: exchange.organization, teams: exchange.reach.teams, filter, listing)
        ) { $0.write(&$1, at: exchange.now) }
    }

    @Sendable func readTeam(_ exchange: Exchange) async throws -> Response {
        let team = try await store.team(exchange.id(TeamKind.self), of: exchange.organization)
        return .json(revision: team.revision) { team.write(&$0, at: exchange.now) }
    }

    @Sendable func changeTeam(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.change("name", .text(1...200))
        let costCenter = CostCenterChange(&fields, at: exchange.now)
        try fields.finish()
        let team = try await store.changeTeam(
            exchange.id(TeamKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision()
        ) {
            if let name { $0.name = name }
            costCenter?.apply(to: &$0.costCenter)
        }
        return .json(revision: team.revision) { team.write(&$0, at: exchange.now) }
    }

    @Sendable func archiveTeam(_ exchange: Exchange) async throws -> Response {
        try await store.archiveTeam(
            exchange.id(TeamKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision())
        return Response(status: .noContent)
    }

    @Sendable func restoreTeam(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let team = try await store.restoreTeam(exchange.id(TeamKind.self), of: exchange.organization)
        return .json(revision: team.revision) { team.write(&$0, at: exchange.now) }
    }
}

extension TeamRecord {
    func write(_ writer: inout JSONWriter, at now: Instant) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", name)
            costCenter.writeFields(&writer, at: now)
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            writer.field("archived_at", archivedAt)
        }
    }
}
