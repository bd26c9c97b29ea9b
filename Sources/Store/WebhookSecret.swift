/// What a webhook's sender signs with and its receiver verifies (Standard Webhooks 1.0.0): a secret that both know, or a key pair of
/// which the receiver knows only the public half.
public import Budgets
import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

public struct WebhookSecret: Hashable, Sendable, CustomStringConvertible {
    /// How signatures are made; the raw value is what the API calls it.
    public enum Scheme: String, Hashable, Sendable, CaseIterable {
        case hmac = "hmac-sha256"
        case ed25519
    }

    /// New secrets have this many random bytes; the specification allows 24 to 64 for HMAC, and an ed25519 seed has as many.
    static let newBytes = 32

    public let scheme: Scheme
    let bytes: [UInt8]
    /// Set when it was rotated: from then on it signs no more.
    public let until: Instant?

    private init(scheme: Scheme, bytes: [UInt8], until: Instant?) {
        self.scheme = scheme
        self.bytes = bytes
        self.until = until
    }

    /// A new secret.
    public init(_ scheme: Scheme, using generator: inout some RandomNumberGenerator) {
        self.init(
            scheme: scheme, bytes: (0..<WebhookSecret.newBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }, until: nil)
    }

    /// Reads `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the base64 of an ed25519 seed; nil for anything else.
    public init?(_ text: String, until: Instant? = nil) {
        for (scheme, prefix, counts) in [(Scheme.hmac, "whsec_", 24...64), (.ed25519, "whsk_", 32...32)] where text.hasPrefix(prefix) {
            guard let data = Data(base64Encoded: String(text.dropFirst(prefix.count))), counts.contains(data.count) else { return nil }
            self.init(scheme: scheme, bytes: Array(data), until: until)
            return
        }
        return nil
    }

    /// The same, until then.
    public func expiring(at instant: Instant) -> WebhookSecret {
        WebhookSecret(scheme: scheme, bytes: bytes, until: min(until ?? instant, instant))
    }

    /// What is sealed.
    var kept: String { (scheme == .hmac ? "whsec_" : "whsk_") + Data(bytes).base64EncodedString() }

    /// What the receiver verifies with, for the one answer that shows it: the secret (`whsec_…`), or the public key (`whpk_…`).
    public var revealed: String {
        switch scheme {
        case .hmac: kept
        case .ed25519:
            // Any 32 bytes are a seed.
            "whpk_"
                + ((try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes))?.publicKey.rawRepresentation.base64EncodedString() ?? "")
        }
    }

    /// What a receiver might send back of it, for scrubbing.
    public var confidential: String { kept }

    /// One token of a `webhook-signature` header.
    public func signature(of message: [UInt8]) -> String {
        switch scheme {
        case .hmac: "v1," + Data(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: bytes))).base64EncodedString()
        case .ed25519:
            "v1a,"
                + ((try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes).signature(for: message))?.base64EncodedString() ?? "")
        }
    }

    public var description: String { scheme.rawValue }
}
