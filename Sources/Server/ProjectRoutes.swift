/// `/v1/projects`.
import Budgets
import Hummingbird
import JSON
import Postgres
import Store

extension API {
    private static let settings = FieldRule.keptObject(maximumBytes: 16_384)

    @Sendable func createProject(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let team = fields.require("team", .id(TeamKind.self))
        let tier = fields.optional("tier", .id(TierKind.self))
        let costCenter = fields.optional("cost_center", .text(1...100))
        let settings = fields.optional("settings", API.settings) ?? "{}"
        try fields.finish()
        try exchange.require(team)
        try await require(tier: tier, exchange)
        let project = try await store.createProject(
            ProjectID(at: exchange.now), of: exchange.organization, team: team, tier: tier, name: name, costCenter: costCenter,
            settings: JSONB(text: settings))
        return .json(.created, revision: project.revision) { project.write(&$0, at: exchange.now) }
    }

    /// A tier that only an administrator approves is only an administrator's to give. Others ask for access to it.
    private func require(tier: TierID?, _ exchange: Exchange) async throws {
        guard let tier, exchange.reach != .everything else { return }
        do {
            guard try await store.tier(tier, of: exchange.organization).approval != Approval.organizationAdmin.rawValue else {
                throw Problem(.forbidden, "An administrator gives this tier: ask for it with an access request.")
            }
        } catch AdminRefusal.notFound {
            throw AdminRefusal.unknownReference(pointer: "/tier")
        }
    }

    @Sendable func listProjects(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let (filter, listing) = (PageQuery.filter(&query), PageQuery.listing(&query, ProjectRecord.orders) as Listing<_, ProjectID>)
        let team = query.optional("team", .id(TeamKind.self))
        let tier = query.optional("tier", .id(TierKind.self))
        let isSuspended = query.optional("suspended", .flag)
        try query.finish()
        return try await exchange.page(
            store.projects(
                of: exchange.organization, teams: exchange.reach.teams(team), tier: tier, isSuspended: isSuspended, filter, listing)
        ) {
            $0.write(&$1, at: exchange.now)
        }
    }

    @Sendable func readProject(_ exchange: Exchange) async throws -> Response {
        let project = try await store.project(exchange.id(ProjectKind.self), of: exchange.organization)
        return .json(revision: project.revision) { project.write(&$0, at: exchange.now) }
    }

    @Sendable func changeProject(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.change("name", .text(1...200))
        let team = fields.change("team", .id(TeamKind.self))
        let tier = fields.change("tier", .id(TierKind.self))
        let costCenter = CostCenterChange(&fields, at: exchange.now)
        let isSuspended = fields.change("suspended", .bool)
        let settings = fields.change("settings", API.settings)
        try fields.finish()
        if let team { try exchange.require(team) }
        try await require(tier: tier, exchange)
        let project = try await store.changeProject(
            exchange.id(ProjectKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision()
        ) {
            if let name { $0.name = name }
            if let team { $0.team = team }
            if let tier { $0.tier = tier }
            costCenter?.apply(to: &$0.costCenter)
            if let isSuspended { $0.isSuspended = isSuspended }
            if let settings { $0.settings = JSONB(text: settings) }
        }
        return .json(revision: project.revision) { project.write(&$0, at: exchange.now) }
    }

    @Sendable func archiveProject(_ exchange: Exchange) async throws -> Response {
        try await store.archiveProject(
            exchange.id(ProjectKind.self), of: exchange.organization, ifRevision: exchange.expectedRevision())
        return Response(status: .noContent)
    }

    @Sendable func restoreProject(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        try fields.finish()
        let project = try await store.restoreProject(exchange.id(ProjectKind.self), of: exchange.organization)
        return .json(revision: project.revision) { project.write(&$0, at: exchange.now) }
    }
}

extension ProjectRecord {
    func write(_ writer: inout JSONWriter, at now: Instant) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", name)
            writer.field("team", team)
            writer.field("tier", tier)
            costCenter.writeFields(&writer, at: now)
            writer.field("suspended", isSuspended)
            writer.name("settings")
            writer.raw(bytes: settings.bytes)
            writer.field("revision", revision)
            writer.field("created_at", createdAt)
            writer.field("archived_at", archivedAt)
        }
    }
}
