/// The Swift sample of `docs/webhooks.md`, letter for letter, so that it compiles and a test can run it.
import Crypto
import Foundation

func verify(_ headers: [String: String], _ body: Data, secret: String, now: Date = Date()) -> String? {
    guard let key = Data(base64Encoded: String(secret.dropFirst("whsec_".count))),
        let id = headers["webhook-id"], let timestamp = headers["webhook-timestamp"], let seconds = Double(timestamp),
        abs(now.timeIntervalSince1970 - seconds) <= 300
    else { return nil }
    let message = Data("\(id).\(timestamp).".utf8) + body
    for signature in (headers["webhook-signature"] ?? "").split(separator: " ") where signature.hasPrefix("v1,") {
        guard let code = Data(base64Encoded: String(signature.dropFirst(3))) else { continue }
        if HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: message, using: SymmetricKey(data: key)) { return id }
    }
    return nil
}
