/// Links to finished exports: whoever has one may fetch that file until it expires, with no API key, as a browser or a spreadsheet does.
import Budgets
import Crypto
import Foundation
import Store

/// Signs links with a key that is made of the installation's master key, and opens nothing else.
struct ExportLinks: Sendable {
    /// How long a link holds: time to hand it on, and no more.
    static let lifetime: Int64 = 3600

    /// The first signs; all are believed, so that the master key can be changed.
    private let keys: [SymmetricKey]
    private let publicURL: String?

    init(masterKeys: [[UInt8]], publicURL: String?) {
        keys = masterKeys.map {
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: $0), info: Array("bursar export links".utf8), outputByteCount: 32)
        }
        self.publicURL = publicURL
    }

    /// - Parameter expires: in seconds since 1970.
    func url(of export: ExportID, in organization: OrganizationID, until expires: Int64) -> String {
        let signature = keys.first.map { HMAC<SHA256>.authenticationCode(for: content(export, organization, expires), using: $0) }
        let query = "organization=\(organization)&expires=\(expires)&signature=\(Base64URL.encode(signature.map { Array($0) } ?? []))"
        return "\(publicURL ?? "")/v1/exports/\(export)/file?\(query)"
    }

    /// Whether the signature is one of ours for just this; compared in constant time.
    func isGenuine(_ signature: String, of export: ExportID, in organization: OrganizationID, until expires: Int64) -> Bool {
        guard let code = Base64URL.decode(signature) else { return false }
        let content = content(export, organization, expires)
        return keys.contains { HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: content, using: $0) }
    }

    private func content(_ export: ExportID, _ organization: OrganizationID, _ expires: Int64) -> [UInt8] {
        Array("\(organization)\n\(export)\n\(expires)".utf8)
    }
}
