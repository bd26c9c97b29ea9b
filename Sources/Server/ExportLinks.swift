/// Links to finished exports: whoever has one may fetch the file until it expires, with no API key, as a browser or a spreadsheet does.
import Budgets
import Crypto
import Foundation
import Store

/// Signs links with a key of its own, which is made of the installation's master key and opens nothing else.
struct ExportLinks: Sendable {
    /// How long a link holds: time to hand it on, and no more.
    static let lifetime: Int64 = 3600

    /// The first signs; all are believed, so that the master key can be changed.
    private let keys: [SymmetricKey]

    init(masterKeys: [[UInt8]]) {
        keys = masterKeys.map {
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: $0), info: Array("bursar export links".utf8), outputByteCount: 32)
        }
    }

    func path(to export: ExportID, of organization: OrganizationID, until expires: Instant) -> String {
        let seconds = expires.microseconds / 1_000_000
        let signature = keys.first.map { Array(HMAC<SHA256>.authenticationCode(for: content(export, organization, seconds), using: $0)) } ?? []
        return "/v1/exports/\(export)/file?organization=\(organization)&expires=\(seconds)&signature=\(Base64URL.encode(signature))"
    }

    /// Whether the signature is one of ours; compared in constant time.
    func isGenuine(_ signature: String, _ export: ExportID, _ organization: OrganizationID, _ expires: Int64) -> Bool {
        guard let code = Base64URL.decode(signature) else { return false }
        let content = content(export, organization, expires)
        return keys.contains { HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: content, using: $0) }
    }

    private func content(_ export: ExportID, _ organization: OrganizationID, _ expires: Int64) -> [UInt8] {
        Array("\(organization)\n\(export)\n\(expires)".utf8)
    }
}
