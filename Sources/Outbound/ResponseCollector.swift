/// Gathers a response from curl's callbacks within its bounds. Returning another count than was given makes curl end the transfer.

struct ResponseCollector {
    /// Where the body goes; nil: into the response, up to its bound.
    private let sink: BodySink?
    private var headBytes = 0
    private var status: Int?
    private var headers: [Header] = []
    private var isHeadComplete = false
    private var body: [UInt8] = []
    /// The last line of a server that does not speak HTTP.
    private(set) var replies: [UInt8] = []

    init(sink: BodySink?) { self.sink = sink }

    /// Takes one line of the head. A new status line begins anew: what came before was an interim answer (RFC 9110 §15.2).
    mutating func appendHead(_ bytes: UnsafeRawBufferPointer) -> Int {
        headBytes += bytes.count
        guard headBytes <= OutboundResponse.longestHead else { return 0 }
        let count = bytes.count
        let line = unsafe String(decoding: bytes, as: UTF8.self).trimmingLineEnd()
        if line.hasPrefix("HTTP/") {
            let words = line.split(separator: " ", maxSplits: 2)
            status = words.count > 1 ? Int(words[1]) : nil
            headers = []
            isHeadComplete = false
        } else if status == nil {
            // SMTP: replies of a few lines, of which the last says what went wrong.
            replies = Array(line.utf8.prefix(512))
        } else if line.isEmpty {
            isHeadComplete = status.map { $0 >= 200 } ?? false
        } else if !isHeadComplete, let colon = line.firstIndex(of: ":") {
            // After the head come trailers, which nobody here asked for.
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            headers.append(Header(line[..<colon].lowercased(), String(value)))
        }
        return count
    }

    /// Hands the bytes on, or keeps the first of them; then ends the transfer.
    mutating func appendBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        if let sink { return unsafe sink.take(Array(bytes)) ? bytes.count : 0 }
        let room = OutboundResponse.longestBody - body.count
        unsafe body.append(contentsOf: bytes.prefix(room))
        return min(room, bytes.count)
    }

    /// The response, if a final status came with its whole head.
    func answer(isComplete: Bool) -> OutboundResponse? {
        guard let status, isHeadComplete else { return nil }
        return OutboundResponse(status: status, headers: headers, body: body, isComplete: isComplete)
    }
}

extension String {
    fileprivate func trimmingLineEnd() -> String {
        var line = self[...]
        while line.last?.isNewline == true || line.last == " " || line.last == "\t" { line.removeLast() }
        return String(line)
    }
}
