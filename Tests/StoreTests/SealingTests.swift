/// Secrets at rest: what is sealed opens in its own place with its own master key, and nowhere else.
import Budgets
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
}
