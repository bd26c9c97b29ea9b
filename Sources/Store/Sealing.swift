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

/// Seals and opens secrets with the installation's master key. Never shown: it has no description.
///
/// A sealed value is a version byte (1), four bytes that tell master keys apart, a random 96-bit nonce, the ciphertext and a 128-bit tag.
/// NIST SP 800-38D allows 2³² random nonces per master key: more endpoints than will ever be saved.
public struct Sealer: Sendable, CustomStringConvertible {
    public static let masterKeyBytes = 32
    private static let version: UInt8 = 1
    private static let headBytes = 5

    private let masterKey: SymmetricKey
    private let fingerprint: [UInt8]

    /// - Throws: `SealingError.masterKeyLength`.
    public init(masterKey: [UInt8]) throws(SealingError) {
        guard masterKey.count == Sealer.masterKeyBytes else { throw .masterKeyLength(masterKey.count) }
        self.masterKey = SymmetricKey(data: masterKey)
        fingerprint = Array(SHA256.hash(data: Array("bursar master key".utf8) + masterKey).prefix(4))
    }

    public func seal(_ secret: [UInt8], at place: SealedPlace) throws -> [UInt8] {
        let box = try AES.GCM.seal(secret, using: masterKey, authenticating: place.authenticated)
        return [Sealer.version] + fingerprint + Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
    }

    public func open(_ sealed: [UInt8], at place: SealedPlace) throws(SealingError) -> [UInt8] {
        guard sealed.first == Sealer.version, sealed.count >= Sealer.headBytes + 12 + 16 else { throw .unknownFormat }
        guard Array(sealed[1..<Sealer.headBytes]) == fingerprint else { throw .otherMasterKey }
        do {
            let box = try AES.GCM.SealedBox(combined: sealed[Sealer.headBytes...])
            return Array(try AES.GCM.open(box, using: masterKey, authenticating: place.authenticated))
        } catch {
            throw .notAuthentic
        }
    }

    public var description: String { "Sealer" }
}
