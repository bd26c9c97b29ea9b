/// What one lane remembers of the organizations it serves, and how it comes to remember (design §5).
import Budgets
import Crypto
import Postgres
import Store
import Synchronization

/// The platform's models and prices, shared by all lanes: thousands of models, the same for every organization.
final class PlatformCatalogue: Sendable {
    private let state = Mutex<(version: Int64, catalogue: Catalogue)>((0, [:]))

    /// The catalogue as of that configuration version of the platform, if that is what is at hand.
    func at(_ version: Int64) -> Catalogue? {
        state.withLock { $0.version == version ? $0.catalogue : nil }
    }

    func set(_ catalogue: Catalogue, version: Int64) {
        state.withLock { if $0.version < version { $0 = (version, catalogue) } }
    }
}

/// One lane's memory; confined to the lane.
struct Memory {
    /// Counters, reservations and the like of one organization; beyond it, all of that organization is forgotten and read again.
    static let maximumSize = 200_000
    /// Organizations at once; beyond it, all are forgotten.
    static let maximumOrganizations = 1_000

    struct Remembered {
        var state: OrganizationState
        /// Whether the state is as of its version. Not so after a flight that failed: then the ledger part must be read anew.
        var isCurrent: Bool
        var writtenAttributions: Set<AttributionID> = []
        /// Rises when another replica was first, falls while nobody is: above the bound the lane locks before it reads.
        var contention = 0
    }

    static let lockingContention = 4
    var organizations: [OrganizationID: Remembered] = [:]
    let platform: PlatformCatalogue

    init(platform: PlatformCatalogue) { self.platform = platform }

    mutating func doubt(_ ids: some Sequence<OrganizationID>) {
        for id in ids { organizations[id]?.isCurrent = false }
    }

    /// Forgets what has outgrown its bound; `touched` are the organizations that may have grown.
    mutating func prune(_ touched: [OrganizationID]) {
        if organizations.count > Memory.maximumOrganizations { organizations.removeAll() }
        for id in touched where (organizations[id]?.state.size ?? 0) > Memory.maximumSize { organizations[id] = nil }
    }

    /// Makes what is remembered of these organizations exact as of the fences given, which were read before.
    mutating func refresh(
        _ ids: [OrganizationID], _ fences: [OrganizationID: Fence], on connection: isolated PostgresConnection
    ) throws(PostgresError) {
        for id in ids {
            guard let fence = fences[id] else {
                organizations[id] = nil
                continue
            }
            if let remembered = organizations[id], remembered.state.configuration.version == fence.configurationVersion {
                guard !remembered.isCurrent || remembered.state.version != fence.version else { continue }
                organizations[id]?.state.forgetLedger(version: fence.version)
                organizations[id]?.isCurrent = true
            } else {
                let former = organizations[id]
                let platformVersion = fences[.platform]?.configurationVersion ?? 0
                organizations[id] = try read(
                    id, fence, since: former?.state.configuration, platformVersion: platformVersion, on: connection)
                organizations[id]?.contention = former?.contention ?? 0
            }
        }
    }

    private func read(
        _ id: OrganizationID, _ fence: Fence, since known: Configuration?, platformVersion: Int64,
        on connection: isolated PostgresConnection
    ) throws(PostgresError) -> Remembered? {
        let listed: Catalogue
        if let known = platform.at(platformVersion) {
            listed = known
        } else {
            listed = try ConfigurationReads.decodeCatalogue(
                try connection.pipeline(ConfigurationReads.catalogueQueries(.platform), seeing: .only([]))
            ).catalogue()
            platform.set(listed, version: platformVersion)
        }
        let queries = ConfigurationReads.queries(id, since: known)
        let results = try connection.pipeline(queries + ConfigurationReads.catalogueQueries(id), seeing: .only([id]))
        let own = try ConfigurationReads.decodeCatalogue(results.dropFirst(queries.count))
        guard
            let configuration = try ConfigurationReads.decode(
                id, version: fence.configurationVersion, results, own: own, platform: listed, since: known)
        else { return nil }
        return Remembered(state: OrganizationState(configuration: configuration, version: fence.version), isCurrent: true)
    }
}

extension PostgresConnection {
    /// Reads on one organization's side of the wall, whoever else is in the batch; the batch's own is stated again afterwards.
    fileprivate func pipeline(_ reads: [Query], seeing tenants: Tenants) throws(PostgresError) -> [PostgresResult] {
        let results = try pipeline([tenants.statement] + reads + [preamble].compactMap { $0 })
        return Array(results[1...reads.count])
    }
}

extension Attribution {
    /// A name made of the content (SHA-256, cut to 128 bits): replicas that never met give the same row the same id.
    func identity() -> AttributionID {
        var hash = SHA256()
        for field in [
            team.hexadecimal, teamName, project.hexadecimal, projectName, costCenter ?? "\u{0}", tier.hexadecimal, tierName,
            apiKey.hexadecimal, apiKeyName, environment,
        ] + (lacksTags ? ["lacks tags"] : []) {
            // Length first, so that no two contents run together to the same bytes.
            withUnsafeBytes(of: UInt64(field.utf8.count).bigEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: Array(field.utf8))
        }
        let words = hash.finalize().withUnsafeBytes { digest in
            (digest.loadUnaligned(as: UInt64.self), digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
        return AttributionID(high: UInt64(bigEndian: words.0), low: UInt64(bigEndian: words.1))
    }
}
