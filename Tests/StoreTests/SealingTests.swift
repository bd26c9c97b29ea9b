/// Secrets at rest: what is sealed opens in its own place with its own master key, and nowhere else.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@Suite struct SealingTests {
    let place = SealedPlace(table: "endpoints", organization: OrganizationID(high: 1, low: 2), row: "ep_1")
    let secret = Array("https://hooks.example.com/secret".utf8)
    let sealer: Sealer

    init() throws { sealer = try Sealer(masterKey: Array(repeating: 7, count: 32)) }

    @Test("a secret comes back, and is never sealed alike twice", arguments: [0, 1, 32, 4096])
    func roundTrip(count: Int) throws {
        let secret = [UInt8](repeating: 9, count: count)
        let sealed = try (0..<20).map { _ in try sealer.seal(secret, at: place) }
        #expect(Set(sealed).count == 20)
        for each in sealed { #expect(try sealer.open(each, at: place) == secret) }
    }

    @Test("moved to another table, organization or row it does not open")
    func moved() throws {
        let sealed = try sealer.seal(secret, at: place)
        for other in [
            SealedPlace(table: "users", organization: place.organization, row: place.row),
            SealedPlace(table: place.table, organization: OrganizationID(high: 1, low: 3), row: place.row),
            SealedPlace(table: place.table, organization: place.organization, row: "ep_2"),
        ] {
            #expect(throws: SealingError.notAuthentic) { try sealer.open(sealed, at: other) }
        }
    }

    @Test("no byte of it can be changed, and no part of it left out")
    func changed() throws {
        let sealed = try sealer.seal(secret, at: place)
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(throws: SealingError.self) { try sealer.open(changed, at: place) }
            #expect(throws: SealingError.self) { try sealer.open(Array(sealed.prefix(index)), at: place) }
        }
    }

    @Test("another master key is told apart from a changed value, and one of the wrong length is refused")
    func masterKeys() throws {
        let other = try Sealer(masterKey: Array(repeating: 8, count: 32))
        #expect(throws: SealingError.otherMasterKey) { try other.open(try sealer.seal(secret, at: place), at: place) }
        for count in [0, 16, 31, 33] {
            #expect(throws: SealingError.masterKeyLength(count)) { try Sealer(masterKey: Array(repeating: 0, count: count)) }
        }
    }

    @Test("credentials and secrets do not print themselves")
    func silence() throws {
        var generator = SeededGenerator(seed: 1)
        let secret = WebhookSecret(.hmac, using: &generator)
        for value in [
            EndpointCredentials.webhook(url: "https://a.example/private", secrets: [secret]),
            .pagerduty(url: "https://b.example/private", routingKey: "R-private"),
        ] {
            for text in ["\(value)", String(reflecting: value)] {
                #expect(!text.contains("private") && !text.contains(secret.revealed.dropFirst(6)))
            }
        }
        #expect(!String(reflecting: sealer).contains("7, 7"))
    }

    @Test("a changed master key: what the old one sealed opens meanwhile, is sealed anew, half of it now and the rest later")
    func rotation() async throws {
        let (old, new) = ([UInt8](repeating: 7, count: 32), [UInt8](repeating: 8, count: 32))
        let (before, during, after) = (sealer, try Sealer(masterKey: new, oldKeys: [old]), try Sealer(masterKey: new))
        try await withDatabase { database in
            for key in [old, new] { TestLog.current?.secrets.add(bytes: key) }
            let pool = PostgresPool(database, size: 1, logger: testLogger)
            let store = Store(pool: pool)
            let organization = OrganizationID(at: .now())
            let owner = NewAPIKey(id: APIKeyID(at: .now()), name: "o", holder: .role(.owner), secret: APIKeySecret.ofTest())
            _ = try await store.createOrganization(organization, name: "A", timeZone: "UTC", ownerKey: owner)
            for number in 0..<3 {
                _ = try await store.createEndpoint(
                    EndpointID(at: .now()), of: organization, EndpointSettings(name: "\(number)"),
                    credentials: .slack(url: "https://example.com/\(number)"), sealer: before)
            }
            let author = Author(organization: organization, actor: "usr_1", apiKey: APIKeyID(at: .now()), requestID: "r")
            let place = SealedPlace(table: "idempotent_requests", organization: organization, row: "usr_1 k")
            _ = try await store.write(by: author, RepeatableRequest(key: "k", content: [1])) { _ in
                1
            } seal: { _ in
                try before.seal([1], at: place)
            }
            // Broken off: one endpoint is sealed anew, the others are not.
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            let row = try await connection.query("SELECT id, sealed FROM endpoints ORDER BY id LIMIT 1").rows[0]
            let (id, sealed) = try row.decode(as: (EndpointID, Bytea).self)
            let at = SealedPlace(table: "endpoints", organization: organization, row: id.description)
            let again = Bytea(try during.seal(try during.open(sealed.bytes, at: at), at: at))
            try await connection.query("UPDATE endpoints SET sealed = \(again) WHERE organization_id = \(organization) AND id = \(id)")

            // Without the old key nothing is touched.
            for (sealer, sealedAnew, unopened) in [(after, 0, 3), (during, 3, 0), (during, 0, 0)] {
                let outcome = try await store.sealAnew(with: sealer)
                #expect(outcome.sealedAnew == sealedAnew && outcome.unopened == unopened, "\(outcome)")
            }
            let rows = try await connection.query("SELECT id, sealed FROM endpoints ORDER BY id").rows
            for (number, row) in rows.enumerated() {
                let (id, sealed) = try row.decode(as: (EndpointID, Bytea).self)
                let at = SealedPlace(table: "endpoints", organization: organization, row: id.description)
                #expect(String(decoding: try after.open(sealed.bytes, at: at), as: UTF8.self).contains("example.com/\(number)"))
            }
            let answer = try await connection.query("SELECT sealed_answer FROM idempotent_requests").rows[0].decode(as: Bytea.self)
            #expect(try after.open(answer.bytes, at: place) == [1])
            #expect(try await connection.query("SELECT 1 FROM audit_events WHERE action = 'endpoint.changed'").rows.isEmpty)
            await connection.close()
            await pool.shutdown()
        }
    }
}
