/// Several files as one: a ZIP archive (APPNOTE 6.3) written as it streams, every file deflated. What a spreadsheet user opens anywhere.
import CZlib

/// Why an archive cannot hold a file. Beyond it ZIP64 would be needed, which fewer programs read.
public struct ZipTooLarge: Error, CustomStringConvertible {
    public let description = "the file is too large for an archive: export its months one by one"
}

public struct ZipStream {
    private struct Entry {
        let name: [UInt8]
        let offset: UInt64
        var crc: UInt32 = 0
        var size: UInt64 = 0
        var compressed: UInt64 = 0
    }

    private static let largest = UInt64(UInt32.max) - 1
    /// 1980-01-01, the first day that ZIP knows: the same content gives the same bytes.
    private static let date: UInt16 = 1 << 5 | 1
    /// UTF-8 names, and sizes after the content because they are not known before.
    private static let flags: UInt16 = 1 << 11 | 1 << 3

    private var entries: [Entry] = []
    private var deflate: DeflateStream?
    private var written: UInt64 = 0

    public init() {}

    /// Begins the next file, and ends the one before.
    public mutating func begin(_ name: String) throws(ZipTooLarge) -> [UInt8] {
        var bytes = try endEntry()
        entries.append(Entry(name: Array(name.utf8), offset: written + UInt64(bytes.count)))
        deflate = DeflateStream(.raw)
        bytes += ZipStream.bytes(UInt32(0x0403_4B50)) + ZipStream.common(crc: 0, size: 0, compressed: 0, name: name.utf8.count)
        bytes += Array(name.utf8)
        return try count(bytes)
    }

    /// More of the file.
    public mutating func append(_ content: [UInt8]) throws(ZipTooLarge) -> [UInt8] {
        guard let deflate, !entries.isEmpty else { return [] }
        let bytes = deflate.compress(content)
        let last = entries.count - 1
        entries[last].crc = DeflateStream.crc(content, after: entries[last].crc)
        entries[last].size += UInt64(content.count)
        entries[last].compressed += UInt64(bytes.count)
        return try count(bytes)
    }

    /// The end of the archive: its directory.
    public mutating func end() throws(ZipTooLarge) -> [UInt8] {
        var bytes = try count(try endEntry())
        let start = written
        var directory: [UInt8] = []
        for entry in entries {
            directory += ZipStream.bytes(UInt32(0x0201_4B50)) + ZipStream.bytes(UInt16(20))
            directory += ZipStream.common(
                crc: entry.crc, size: UInt32(entry.size), compressed: UInt32(entry.compressed), name: entry.name.count)
            directory += [UInt8](repeating: 0, count: 10) + ZipStream.bytes(UInt32(entry.offset)) + entry.name
        }
        let count = ZipStream.bytes(UInt16(entries.count))
        bytes += directory + ZipStream.bytes(UInt32(0x0605_4B50)) + [0, 0, 0, 0] + count + count
        bytes += ZipStream.bytes(UInt32(directory.count)) + ZipStream.bytes(UInt32(start)) + [0, 0]
        return bytes
    }

    private mutating func endEntry() throws(ZipTooLarge) -> [UInt8] {
        guard let deflate, let last = entries.indices.last else { return [] }
        let rest = deflate.compress([], isLast: true)
        entries[last].compressed += UInt64(rest.count)
        self.deflate = nil
        let entry = entries[last]
        guard entry.size <= ZipStream.largest, entry.compressed <= ZipStream.largest else { throw ZipTooLarge() }
        return rest + ZipStream.bytes(UInt32(0x0807_4B50)) + ZipStream.bytes(entry.crc)
            + ZipStream.bytes(UInt32(entry.compressed)) + ZipStream.bytes(UInt32(entry.size))
    }

    private mutating func count(_ bytes: [UInt8]) throws(ZipTooLarge) -> [UInt8] {
        written += UInt64(bytes.count)
        guard written <= ZipStream.largest else { throw ZipTooLarge() }
        return bytes
    }

    /// What a file's own head and its line in the directory have in common.
    private static func common(crc: UInt32, size: UInt32, compressed: UInt32, name: Int) -> [UInt8] {
        let head: [UInt8] = bytes(UInt16(20)) + bytes(flags) + bytes(UInt16(8)) + bytes(UInt16(0)) + bytes(date)
        return head + bytes(crc) + bytes(compressed) + bytes(size) + bytes(UInt16(name)) + bytes(UInt16(0))
    }

    private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }
}
