/// Compression of what is streamed: zlib made safe.
import CZlib

/// Compresses one stream. The same bytes in the same pieces give the same bytes: no time is written anywhere.
@safe public final class DeflateStream {
    /// What stands around the compressed bytes.
    public enum Frame: Sendable {
        /// Nothing (RFC 1951), for those who frame it themselves.
        case none
        /// A head, and a check sum and the length at the end (RFC 1952).
        case gzip

        fileprivate var windowBits: Int32 {
            let largest: Int32 = 15
            return switch self {
            case .none: -largest
            case .gzip: largest + 16
            }
        }
    }

    private static let roomSize = 65_536
    /// zlib's usual level is 6; a statement's lines repeat so much that 4 saves half of the time for a few percent.
    private static let level: Int32 = 4

    /// Behind a pointer, because zlib keeps the address.
    private let stream: UnsafeMutablePointer<z_stream>
    private var room = [UInt8](repeating: 0, count: roomSize)

    public init(_ frame: Frame) {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe deflateInit2_(
            stream, Self.level, Z_DEFLATED, frame.windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib refuses its own parameters, or there is no memory")
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// What of the stream can be sent by now; after `isLast` the rest of it.
    public func compress(_ bytes: [UInt8], isLast: Bool = false) -> [UInt8] {
        var input = bytes
        var output: [UInt8] = []
        let flush = isLast ? Z_FINISH : Z_NO_FLUSH
        unsafe input.withUnsafeMutableBufferPointer { input in
            unsafe stream.pointee.next_in = input.baseAddress
            unsafe stream.pointee.avail_in = UInt32(input.count)
            repeat {
                unsafe room.withUnsafeMutableBufferPointer { room in
                    unsafe stream.pointee.next_out = room.baseAddress
                    unsafe stream.pointee.avail_out = UInt32(room.count)
                    unsafe deflate(stream, flush)
                    unsafe output.append(contentsOf: room.prefix(room.count - Int(stream.pointee.avail_out)))
                }
                // A full room may not have been enough.
            } while unsafe stream.pointee.avail_out == 0
        }
        return output
    }

    /// The CRC-32 that ZIP keeps of a file, carried on from what came before.
    static func checksum(_ bytes: [UInt8], after previous: UInt32) -> UInt32 {
        let sum = unsafe bytes.withUnsafeBufferPointer { unsafe crc32(UInt(previous), $0.baseAddress, UInt32($0.count)) }
        return UInt32(truncatingIfNeeded: sum)
    }
}
