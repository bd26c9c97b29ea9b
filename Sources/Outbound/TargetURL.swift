/// A URL as curl itself reads it. The object that was checked is the one that is connected to: two parsers would be two opinions.

import CCurl

/// Owns a parsed URL; belongs to the thread that made it.
@safe final class TargetURL {
    let handle: OpaquePointer
    let isEncrypted: Bool

    /// Longer URLs are refused; servers commonly refuse them too.
    static let longest = 2048

    /// Parses and checks all that can be known without a name lookup.
    init(_ text: String, policy: TargetPolicy) throws(OutboundError) {
        guard text.utf8.count <= TargetURL.longest else { throw .invalid("URL is longer than \(TargetURL.longest) bytes") }
        // Compatibility digits such as ① would become an address only after the check, and a space or a control never belongs.
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .invalid("URL has a space, a control character or a letter outside ASCII")
        }
        guard let handle = unsafe curl_url() else { throw .other(Int(CURLE_OUT_OF_MEMORY.rawValue)) }
        let code = unsafe curl_url_set(handle, CURLUPART_URL, text, UInt32(CURLU_DISALLOW_USER))
        do throws(OutboundError) {
            guard code != CURLUE_USER_NOT_ALLOWED else { throw .invalid("URL must not have a user name or a password") }
            guard code == CURLUE_OK else { throw .invalid("URL is malformed") }
            isEncrypted = try unsafe TargetURL.check(handle, policy: policy)
        } catch {
            unsafe curl_url_cleanup(handle)
            throw error
        }
        unsafe self.handle = unsafe handle
    }

    deinit { unsafe curl_url_cleanup(handle) }

    /// The host as curl has it, and the port, given or the scheme's.
    var place: (host: String, port: String) {
        let port = unsafe TargetURL.part(CURLUPART_PORT, of: handle, UInt32(CURLU_DEFAULT_PORT))
        return (unsafe TargetURL.part(CURLUPART_HOST, of: handle) ?? "", port ?? "")
    }

    /// Returns whether the scheme is https.
    private static func check(_ handle: OpaquePointer, policy: TargetPolicy) throws(OutboundError) -> Bool {
        let scheme = unsafe part(CURLUPART_SCHEME, of: handle)
        guard scheme == "https" || scheme == "http" && !policy.allowTargets.isEmpty else { throw .invalid("URL must begin with https://") }
        guard let host = unsafe part(CURLUPART_HOST, of: handle), unsafe part(CURLUPART_ZONEID, of: handle) == nil else {
            throw .invalid("URL has no proper host")
        }
        // curl has by now rewritten every numeric spelling of IPv4 to dotted decimal. Public services have names.
        let literal = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        if let address = IPAddress(literal) {
            guard policy.isInAllowList(address) else { throw .notAllowed }
        } else if host.hasPrefix("[") {
            throw .invalid("URL has no proper host")
        }
        return scheme == "https"
    }

    private static func part(_ part: CURLUPart, of handle: OpaquePointer, _ flags: UInt32 = 0) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard unsafe curl_url_get(handle, part, &text, flags) == CURLUE_OK, let text = unsafe text else { return nil }
        defer { unsafe curl_free(text) }
        return unsafe String(cString: text)
    }
}
