/// Secrets at rest (design §10): AES-GCM, with the place they belong to as associated data, so that a sealed value copied to another
/// row, organization or table opens nowhere.
public import Budgets
import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Where a sealed value belongs. All of it is authenticated with the value.
public struct SealedPlace: Hashable, Sendable {
    public let table: String
    public let organization: OrganizationID
    /// The row's id in its text form.
    public let row: String

    public init(table: String, organization: OrganizationID, row: String) {
        self.table = table
        self.organization = organization
        self.row = row
    }

    fileprivate var authenticated: [UInt8] { Array("\(table)|\(organization)|\(row)".utf8) }
}

/// Why a sealed value does not open, or a master key is none. Says nothing about the value.
public enum SealingError: Error, Hashable, Sendable {
    /// A master key has 32 bytes.
    case masterKeyLength(Int)
    /// Not a sealed value, or of a later version.
    case unknownFormat
    /// Sealed with another master key.
    case otherMasterKey
    /// Changed, or moved from another place.
    case notAuthentic
}

/// Seals and opens secrets with the installation's master keys. Never shown: it has no description.
///
/// The first key seals; all of them open, so that a key can be changed while everything is at work (`Store.sealAnew`).
/// A sealed value is a version byte (1), four bytes that tell master keys apart, a random 96-bit nonce, the ciphertext and a 128-bit tag.
/// NIST SP 800-38D allows 2³² random nonces per master key: more endpoints than will ever be saved.
public struct Sealer: Sendable, CustomStringConvertible {
    public static let masterKeyBytes = 32
    private static let version: UInt8 = 1
    private static let headBytes = 5

    private struct MasterKey: Sendable {
        let key: SymmetricKey
        let fingerprint: [UInt8]

        init(_ bytes: [UInt8]) throws(SealingError) {
            guard bytes.count == Sealer.masterKeyBytes else { throw .masterKeyLength(bytes.count) }
            key = SymmetricKey(data: bytes)
            fingerprint = Array(SHA256.hash(data: Array("bursar master key".utf8) + bytes).prefix(4))
        }
    }

    private let current: MasterKey
    private let old: [MasterKey]

    /// - Parameter oldKeys: What may still be sealed with.
    /// - Throws: `SealingError.masterKeyLength`.
    public init(masterKey: [UInt8], oldKeys: [[UInt8]] = []) throws(SealingError) {
        current = try MasterKey(masterKey)
        var old: [MasterKey] = []
        for key in oldKeys { old.append(try MasterKey(key)) }
        self.old = old
    }

    public func seal(_ secret: [UInt8], at place: SealedPlace) throws -> [UInt8] {
        let box = try AES.GCM.seal(secret, using: current.key, authenticating: place.authenticated)
        return [Sealer.version] + current.fingerprint + Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
    }

    public func open(_ sealed: [UInt8], at place: SealedPlace) throws(SealingError) -> [UInt8] {
        guard sealed.first == Sealer.version, sealed.count >= Sealer.headBytes + 12 + 16 else { throw .unknownFormat }
        let fingerprint = Array(sealed[1..<Sealer.headBytes])
        guard let key = ([current] + old).first(where: { $0.fingerprint == fingerprint }) else { throw .otherMasterKey }
        do {
            let box = try AES.GCM.SealedBox(combined: sealed[Sealer.headBytes...])
            return Array(try AES.GCM.open(box, using: key.key, authenticating: place.authenticated))
        } catch {
            throw .notAuthentic
        }
    }

    /// Whether the value was sealed with the key that seals now.
    func isCurrent(_ sealed: [UInt8]) -> Bool { sealed.dropFirst().prefix(4).elementsEqual(current.fingerprint) }

    public var description: String { "Sealer" }
}
