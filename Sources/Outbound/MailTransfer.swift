/// How a mail is set up in curl, whose SMTP does the talking: EHLO, STARTTLS or nothing, login, and the message.

import CCurl

/// Where curl has got to in reading the message.
struct MailReader {
    let message: [UInt8]
    private var place = 0

    init(_ message: [UInt8]) { self.message = message }

    /// Gives curl its next bytes; 0 at the end.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, message.count - place)
        guard count > 0 else { return 0 }
        unsafe buffer.copyBytes(from: message[place..<(place + count)])
        place += count
        return count
    }
}

extension Transfer {
    /// Options of a mail. STARTTLS is required where the connection does not begin with TLS: neither message nor password goes in the clear.
    func configure(_ mail: OutboundMail, remaining: Duration) throws(OutboundError) {
        let server = mail.server
        guard OutboundMail.isAddress(server.sender), !mail.recipients.isEmpty, mail.recipients.allSatisfy(OutboundMail.isAddress) else {
            throw .invalid("malformed address")
        }
        guard server.url.hasPrefix("smtp://") || server.url.hasPrefix("smtps://") else { throw .invalid("no mail server's URL") }
        var strings: [(CURLoption, String)] = [
            (CURLOPT_URL, server.url), (CURLOPT_PROXY, ""), (CURLOPT_PROTOCOLS_STR, "smtp,smtps"),
            (CURLOPT_MAIL_FROM, "<\(server.sender)>"),
        ]
        if let user = server.user { strings.append((CURLOPT_USERNAME, user)) }
        if let password = server.password { strings.append((CURLOPT_PASSWORD, password)) }
        if let authorities = policy.authorities { strings.append((CURLOPT_CAINFO, authorities)) }
        var codes = strings.map { unsafe bursar_curl_set_string(easy, $0.0, $0.1) }
        codes.append(try unsafe bursar_curl_set_recipients(easy, list(mail.recipients.map { "<\($0)>" })))
        let longs: [(CURLoption, Int)] = [
            (CURLOPT_NOSIGNAL, 1), (CURLOPT_SSL_VERIFYPEER, 1), (CURLOPT_SSL_VERIFYHOST, 2), (CURLOPT_QUICK_EXIT, 1), (CURLOPT_UPLOAD, 1),
            (CURLOPT_USE_SSL, Int(CURLUSESSL_ALL.rawValue)), (CURLOPT_MAXLIFETIME_CONN, TransferLoop.longestConnectionLife),
            (CURLOPT_MAXAGE_CONN, TransferLoop.longestConnectionIdleness), (CURLOPT_TIMEOUT_MS, remaining.wholeMilliseconds),
            (CURLOPT_CONNECTTIMEOUT_MS, min(remaining, OutboundRequest.longestConnect).wholeMilliseconds),
        ]
        for (option, value) in longs { codes.append(unsafe bursar_curl_set_long(easy, option, value)) }
        codes.append(unsafe bursar_curl_set_size(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(mail.message.count)))
        codes.append(
            unsafe bursar_curl_set_read(easy) { bytes, size, count, context in
                unsafe Transfer.from(context).mailReader.read(into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
            })
        codes.append(unsafe bursar_curl_set_pointer(easy, CURLOPT_READDATA, Unmanaged.passUnretained(self).toOpaque()))
        codes += setCallbacks()
        try Transfer.check(codes)
    }
}
