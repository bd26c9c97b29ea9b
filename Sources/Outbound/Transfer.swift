/// One request inside curl: everything that curl points to while it runs, and what its callbacks gather. Lives on the owner thread.

import CCurl

@safe final class Transfer {
    let submission: Submission
    let easy: UnsafeMutableRawPointer
    let policy: TargetPolicy
    /// Nil for mail: its server is the operator's, and may be anywhere.
    private let url: TargetURL?
    /// Header lines, or recipients. curl copies neither these nor the body; all stay here until the handle is gone.
    private var lines: UnsafeMutablePointer<curl_slist>?
    private let body: UnsafeMutableBufferPointer<UInt8>
    private var names: UnsafeMutablePointer<curl_slist>?
    var mailReader: MailReader

    private var response: ResponseCollector
    private var wasRefused = false
    private var hasOpened = false

    /// Prepares a handle; the caller adds it to its multi handle and keeps the transfer until after it has removed it there.
    init(_ submission: Submission, remaining: Duration, policy: TargetPolicy) throws(OutboundError) {
        self.submission = submission
        self.policy = policy
        switch submission.outgoing {
        case .request(let request, let sink):
            try Transfer.check(request.headers)
            response = ResponseCollector(sink: sink)
            url = try TargetURL(request.url, policy: policy)
            unsafe body = .allocate(capacity: request.body.count)
            _ = unsafe body.initialize(fromContentsOf: request.body)
            mailReader = MailReader([])
        case .mail(let mail):
            response = ResponseCollector(sink: nil)
            url = nil
            unsafe body = .allocate(capacity: 0)
            mailReader = MailReader(mail.message)
        }
        guard let easy = unsafe curl_easy_init() else { throw .other(Int(CURLE_OUT_OF_MEMORY.rawValue)) }
        unsafe self.easy = unsafe easy
        switch submission.outgoing {
        case .request(let request, _): try configure(request, remaining: remaining)
        case .mail(let mail): try configure(mail, remaining: remaining)
        }
    }

    deinit {
        unsafe curl_easy_cleanup(easy)
        unsafe curl_slist_free_all(lines)
        unsafe curl_slist_free_all(names)
        unsafe body.deallocate()
    }

    /// Names and values go out as given: a line break in one would be another header.
    private static func check(_ headers: [Header]) throws(OutboundError) {
        for header in headers {
            let isName = !header.name.isEmpty && header.name.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ":") }
            guard isName, header.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { throw .invalid("malformed header") }
        }
    }

    /// A list that curl may read for as long as the handle lives.
    func list(_ texts: [String]) throws(OutboundError) -> UnsafeMutablePointer<curl_slist>? {
        for text in texts {
            guard let list = unsafe curl_slist_append(lines, text) else { throw .other(Int(CURLE_OUT_OF_MEMORY.rawValue)) }
            unsafe lines = unsafe list
        }
        return unsafe lines
    }

    static func check(_ codes: [CURLcode]) throws(OutboundError) {
        guard let failed = codes.first(where: { $0 != CURLE_OK }) else { return }
        throw .other(Int(failed.rawValue))
    }

    private func configure(_ request: OutboundRequest, remaining: Duration) throws(OutboundError) {
        guard let url else { return }
        var codes: [CURLcode] = []
        codes.append(unsafe bursar_curl_set_url(easy, url.handle))
        // An empty proxy also overrides the environment's, behind which no address could be checked.
        codes.append(unsafe bursar_curl_set_string(easy, CURLOPT_PROXY, ""))
        codes.append(unsafe bursar_curl_set_string(easy, CURLOPT_PROTOCOLS_STR, url.isEncrypted ? "https" : "http"))
        codes.append(unsafe bursar_curl_set_string(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https"))
        let longs: [(CURLoption, Int)] = [
            (CURLOPT_FOLLOWLOCATION, 0), (CURLOPT_NOSIGNAL, 1), (CURLOPT_SSL_VERIFYPEER, 1), (CURLOPT_SSL_VERIFYHOST, 2),
            // Without it, giving up on a name lookup would block the thread, and with it every other transfer.
            (CURLOPT_QUICK_EXIT, 1),
            (CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)), (request.method == .get ? CURLOPT_HTTPGET : CURLOPT_POST, 1),
            (CURLOPT_MAXLIFETIME_CONN, TransferLoop.longestConnectionLife), (CURLOPT_MAXAGE_CONN, TransferLoop.longestConnectionIdleness),
            (CURLOPT_TIMEOUT_MS, remaining.wholeMilliseconds),
            (CURLOPT_CONNECTTIMEOUT_MS, min(remaining, OutboundRequest.longestConnect).wholeMilliseconds),
        ]
        for (option, value) in longs { codes.append(unsafe bursar_curl_set_long(easy, option, value)) }
        // `Expect` would cost a round trip, and some receivers a second of silence.
        codes.append(try unsafe bursar_curl_set_headers(easy, list(request.headers.map { "\($0.name): \($0.value)" } + ["Expect:"])))
        if let authorities = policy.authorities {
            codes.append(unsafe bursar_curl_set_string(easy, CURLOPT_CAINFO, authorities))
        }
        if let resolve = policy.names {
            let (host, port) = url.place
            unsafe names = unsafe curl_slist_append(nil, "\(host):\(port):\(resolve(host).joined(separator: ","))")
            codes.append(unsafe bursar_curl_set_names(easy, names))
        }
        // Only the word changes: a GET has no body here, and all others are sent as a POST is.
        codes.append(unsafe bursar_curl_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method.rawValue))
        codes += setCallbacks()
        guard request.method != .get else { return try Transfer.check(codes) }
        codes.append(unsafe bursar_curl_set_size(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count)))
        // An empty body still needs a pointer: without one curl would read it from a callback.
        let start = unsafe body.baseAddress.map { UnsafeMutableRawPointer($0) } ?? easy
        codes.append(unsafe bursar_curl_set_pointer(easy, CURLOPT_POSTFIELDS, start))
        try Transfer.check(codes)
    }

    /// The context is not retained: the loop keeps the transfer for as long as curl may call.
    func setCallbacks() -> [CURLcode] {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        let pointers = [CURLOPT_PRIVATE, CURLOPT_WRITEDATA, CURLOPT_HEADERDATA, CURLOPT_OPENSOCKETDATA, CURLOPT_PREREQDATA]
        return pointers.map { unsafe bursar_curl_set_pointer(easy, $0, context) } + [
            unsafe bursar_curl_set_write(easy) { bytes, size, count, context in
                unsafe Transfer.from(context).response.appendBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
            },
            unsafe bursar_curl_set_header(easy) { bytes, size, count, context in
                unsafe Transfer.from(context).response.appendHead(UnsafeRawBufferPointer(start: bytes, count: size * count))
            },
            unsafe bursar_curl_set_open_socket(easy) { context, purpose, address in
                unsafe Transfer.from(context).openSocket(purpose, address)
            },
            unsafe bursar_curl_set_prerequest(easy) { context, peer, _, port, _ in
                unsafe Transfer.from(context).permitsRequest(to: peer, port: port) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
            },
        ]
    }

    /// The transfer behind a context that curl hands back.
    static func from(_ context: UnsafeMutableRawPointer?) -> Transfer {
        guard let context = unsafe context else { preconditionFailure("curl lost its context") }
        return unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    }

    /// Each address that a name resolved to passes here before anything is connected.
    private func openSocket(_ purpose: curlsocktype, _ address: UnsafeMutablePointer<curl_sockaddr>?) -> curl_socket_t {
        var bytes = [UInt8](repeating: 0, count: 16)
        var port: UInt16 = 0
        let family = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            unsafe bursar_curl_address(address, buffer.baseAddress, &port)
        }
        guard purpose == CURLSOCKTYPE_IPCXN, let peer = IPAddress(family: family, bytes: bytes),
            permits(peer, port: port)
        else {
            wasRefused = true
            return CURL_SOCKET_BAD
        }
        hasOpened = true
        return unsafe bursar_curl_open_socket(address)
    }

    private func permits(_ peer: IPAddress, port: UInt16) -> Bool {
        guard let url else { return true }
        return policy.permits(peer, port: port, isEncrypted: url.isEncrypted)
    }

    /// Called before each request, also on a connection that is used again and opened no socket.
    private func permitsRequest(to peer: UnsafeMutablePointer<CChar>?, port: Int32) -> Bool {
        let text = unsafe peer.map { unsafe String(cString: $0) } ?? ""
        guard let address = IPAddress(text), let port = UInt16(exactly: port),
            permits(address, port: port)
        else {
            wasRefused = true
            hasOpened = false
            return false
        }
        return true
    }

    /// What came of it, given what curl says. A final status counts even when the rest of the answer was cut: the peer has decided.
    func outcome(_ code: CURLcode) -> Outcome {
        if let answer = response.answer(isComplete: code == CURLE_OK) { return .success(answer) }
        // SMTP has no head: its last reply is what counts, and a refused recipient is an answer.
        let reply = unsafe bursar_curl_response_code(easy)
        if url == nil, code == CURLE_OK || reply >= 400 {
            return .success(OutboundResponse(status: reply, headers: [], body: response.replies, isComplete: true))
        }
        if wasRefused && !hasOpened { return .failure(.notAllowed) }
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST: return .failure(.unresolved)
        case CURLE_COULDNT_CONNECT: return .failure(.unreachable)
        case CURLE_OPERATION_TIMEDOUT: return .failure(.timedOut)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE, CURLE_USE_SSL_FAILED:
            return .failure(.untrusted)
        case CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE: return .failure(.interrupted)
        default: return .failure(.other(Int(code.rawValue)))
        }
    }
}

extension Duration {
    /// At least one: curl reads zero as "no limit".
    var wholeMilliseconds: Int {
        max(1, Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000))
    }
}
