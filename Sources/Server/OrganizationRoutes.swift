/// `/v1/organizations` for operators, `/v1/organization` for the tenant itself.
import Budgets
import Hummingbird
import JSON
import Store

extension API {
    @Sendable func createOrganization(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.require("name", .text(1...200))
        let timeZone = fields.optional("time_zone", .timeZone) ?? "UTC"
        try fields.finish()
        let owner = NewAPIKey(id: APIKeyID(at: exchange.now), name: "owner", holder: .role(.owner), secret: APIKeySecret())
        let organization = try await store.createOrganization(
            OrganizationID(at: exchange.now), name: name, timeZone: timeZone, ownerKey: owner)
        return .json(.created, revision: organization.revision) { writer in
            writer.object { writer in
                organization.writeFields(&writer)
                writer.object("owner_key") { writer in
                    writer.field("id", owner.id)
                    writer.field("secret", owner.secret.text)
                }
            }
        }
    }

    @Sendable func listOrganizations(_ exchange: Exchange) async throws -> Response {
        var query = try exchange.query()
        let filter = ListFilter(namePrefix: PageQuery.namePrefix(&query))
        let listing: Listing<OrganizationRecord, OrganizationID> = PageQuery.listing(&query, OrganizationRecord.orders)
        try query.finish()
        return try await exchange.page(store.organizations(filter, listing)) { $0.write(&$1) }
    }

    @Sendable func readOrganization(_ exchange: Exchange) async throws -> Response {
        let organization = try await store.organization(exchange.organization)
        return .json(revision: organization.revision) { organization.write(&$0) }
    }

    @Sendable func changeOrganization(_ exchange: Exchange) async throws -> Response {
        var fields = try exchange.fields()
        let name = fields.change("name", .text(1...200))
        let timeZone = fields.change("time_zone", .timeZone)
        let defaultTier = fields.changeOrEmpty("default_tier", .id(TierKind.self))
        try fields.finish()
        let organization = try await store.changeOrganization(exchange.organization, ifRevision: exchange.expectedRevision()) {
            if let name { $0.name = name }
            if let timeZone { $0.timeZone = timeZone }
            if let defaultTier { $0.defaultTier = defaultTier }
        }
        return .json(revision: organization.revision) { organization.write(&$0) }
    }
}

extension OrganizationRecord {
    func write(_ writer: inout JSONWriter) { writer.object { writeFields(&$0) } }

    func writeFields(_ writer: inout JSONWriter) {
        writer.field("id", id)
        writer.field("name", name)
        writer.field("time_zone", timeZone)
        writer.field("currency", currency)
        writer.field("default_tier", defaultTier)
        writer.field("revision", revision)
        writer.field("created_at", createdAt)
    }
}
