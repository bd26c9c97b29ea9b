// The two messages of `LoadClient`: requests rendered from a prepared head, and answers parsed with the least work that is still
// right. It exists apart from the client because both are pure and tested without a socket.
import NIOCore

/// Everything of a caller's requests that does not change: host, credential, media type. Rendering one is three copies.
struct RequestHead: Sendable {
    private let tail: [UInt8]

    init(host: String, port: Int, apiKey: String?, headers: [(String, String)] = []) {
        var text = " HTTP/1.1\r\nhost: \(host):\(port)\r\n"
        if let apiKey { text += "authorization: Bearer \(apiKey)\r\n" }
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        tail = Array(text.utf8)
    }

    /// One whole request. A body is sent as JSON.
    func request(_ method: String, _ path: String, body: [UInt8]? = nil) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(tail.count + path.utf8.count + (body?.count ?? 0) + 96)
        buffer.writeString(method)
        buffer.writeInteger(UInt8(ascii: " "))
        buffer.writeString(path)
        buffer.writeBytes(tail)
        if let body {
            buffer.writeStaticString("content-type: application/json\r\ncontent-length: ")
            buffer.writeString(String(body.count))
            buffer.writeStaticString("\r\n\r\n")
            buffer.writeBytes(body)
        } else {
            buffer.writeStaticString("\r\n")
        }
        return buffer
    }
}

/// Cuts the bytes of a connection into answers (RFC 9112): `content-length`, chunked, or none; nothing else.
struct AnswerParser {
    private var buffer = ByteBuffer()
    private var head: Head?
    private var chunks = ByteBuffer()

    private struct Head {
        var status = 0
        var length: Int? = 0
        var isLast = false
    }

    /// True once an answer said `connection: close`: the next request needs another connection.
    private(set) var isClosing = false

    mutating func append(_ bytes: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            var bytes = bytes
            buffer.writeBuffer(&bytes)
        }
    }

    /// The next whole answer; nil when more bytes are needed. Interim answers (1xx) are skipped.
    mutating func next() throws(LoadError) -> (status: Int, body: ByteBuffer)? {
        while true {
            if head == nil { head = try readHead() }
            guard let current = head else { return nil }
            isClosing = isClosing || current.isLast
            if current.status < 200 {
                head = nil
                continue
            }
            if let length = current.length {
                guard let body = buffer.readSlice(length: length) else { return nil }
                head = nil
                return (current.status, body)
            }
            guard try readChunks() else { return nil }
            head = nil
            defer { chunks = ByteBuffer() }
            return (current.status, chunks)
        }
    }

    private mutating func readHead() throws(LoadError) -> Head? {
        let (length, head) = try buffer.withUnsafeReadableBytes { bytes throws(LoadError) -> (Int, Head) in
            guard let end = Self.endOfHead(bytes) else { return (0, Head()) }
            return (end, try Self.parseHead(UnsafeRawBufferPointer(rebasing: bytes[..<end])))
        }
        if length == 0 { return nil }
        buffer.moveReaderIndex(forwardBy: length)
        return head
    }

    private static func endOfHead(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var index = 3
        while index < bytes.count {
            if bytes[index] == 10, bytes[index - 1] == 13, bytes[index - 2] == 10, bytes[index - 3] == 13 { return index + 1 }
            index += 1
        }
        return nil
    }

    private static func parseHead(_ bytes: UnsafeRawBufferPointer) throws(LoadError) -> Head {
        guard bytes.count >= 14, bytes.starts(with: "HTTP/1.1 ".utf8) else { throw .malformedAnswer("no status line") }
        var head = Head()
        for byte in bytes[9..<12] {
            guard let digit = Self.digit(byte) else { throw .malformedAnswer("no status") }
            head.status = head.status * 10 + digit
        }
        var start = 0
        for index in 0..<bytes.count where bytes[index] == 10 {
            let line = UnsafeRawBufferPointer(rebasing: bytes[start...index])
            if let value = Self.value(of: "content-length:", in: line) {
                head.length = try Self.decimal(value)
            } else if let value = Self.value(of: "transfer-encoding:", in: line) {
                guard value.elementsEqual("chunked".utf8) else { throw .malformedAnswer("an unknown transfer-encoding") }
                head.length = nil
            } else if let value = Self.value(of: "connection:", in: line) {
                head.isLast = value.elementsEqual("close".utf8)
            }
            start = index + 1
        }
        return head
    }

    /// What follows `name` (lower case, with its colon) in a header line, without white space around it.
    private static func value(of name: StaticString, in line: UnsafeRawBufferPointer) -> Slice<UnsafeRawBufferPointer>? {
        let count = name.utf8CodeUnitCount
        guard line.count > count else { return nil }
        for index in 0..<count {
            let byte = line[index]
            let lower = byte >= 65 && byte <= 90 ? byte + 32 : byte
            if lower != name.utf8Start[index] { return nil }
        }
        var value = line[count...]
        while let first = value.first, first == 32 || first == 9 { value.removeFirst() }
        while let last = value.last, last == 10 || last == 13 || last == 32 { value.removeLast() }
        return value
    }

    private static func digit(_ byte: UInt8) -> Int? { byte >= 48 && byte <= 57 ? Int(byte) - 48 : nil }

    private static func decimal(_ text: Slice<UnsafeRawBufferPointer>) throws(LoadError) -> Int {
        guard !text.isEmpty, text.count <= 12 else { throw .malformedAnswer("an impossible content-length") }
        var number = 0
        for byte in text {
            guard let digit = digit(byte) else { throw .malformedAnswer("an impossible content-length") }
            number = number * 10 + digit
        }
        return number
    }

    /// Moves whole chunks to `chunks`; true once the last one is there.
    private mutating func readChunks() throws(LoadError) -> Bool {
        while true {
            guard let newline = buffer.readableBytesView.firstIndex(of: 10) else { return false }
            let lineLength = newline - buffer.readerIndex + 1
            let line = String(buffer: buffer.getSlice(at: buffer.readerIndex, length: lineLength) ?? ByteBuffer())
            let digits = line.prefix { $0.isHexDigit }
            guard let size = Int(digits, radix: 16), size <= 1 << 30 else { throw .malformedAnswer("an impossible chunk size") }
            guard buffer.readableBytes >= lineLength + size + 2 else { return false }
            buffer.moveReaderIndex(forwardBy: lineLength)
            if var chunk = buffer.readSlice(length: size) { chunks.writeBuffer(&chunk) }
            buffer.moveReaderIndex(forwardBy: 2)
            if size == 0 { return true }
        }
    }
}
