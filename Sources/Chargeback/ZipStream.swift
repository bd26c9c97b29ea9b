/// Several files as one: a ZIP archive (APPNOTE 6.3) written as it streams, every file deflated. What a spreadsheet's user opens anywhere.

/// Why an archive cannot hold a file. Beyond it ZIP64 would be needed, which fewer programs read.
struct ZipTooLarge: Error {}

/// Writes one archive: each file begun, appended to, and at last the end. The same content in the same pieces gives the same bytes.
struct ZipStream {
    private struct Entry {
        let name: [UInt8]
        let offset: UInt64
        var checksum: UInt32 = 0
        var size: UInt64 = 0
        var compressed: UInt64 = 0
    }

    private static let largest = UInt64(UInt32.max) - 1
    /// 1980-01-01, the first day that ZIP knows.
    private static let date: UInt16 = 1 << 5 | 1
    /// UTF-8 names, and sizes after the content because they are not known before.
    private static let flags: UInt16 = 1 << 11 | 1 << 3
    private static let version: UInt16 = 20
    private static let deflated: UInt16 = 8

    private var entries: [Entry] = []
    private var deflate: DeflateStream?
    private var written: UInt64 = 0

    /// Ends the file before, and begins the next.
    mutating func begin(_ name: String) throws(ZipTooLarge) -> [UInt8] {
        var fields = Fields(bytes: try endFile())
        let entry = Entry(name: Array(name.utf8), offset: written + UInt64(fields.bytes.count))
        fields.four(0x0403_4B50)
        fields.common(entry)
        fields.bytes += entry.name
        entries.append(entry)
        deflate = DeflateStream(.none)
        return try counted(fields.bytes)
    }

    /// More of the file that was begun.
    mutating func append(_ content: [UInt8]) throws(ZipTooLarge) -> [UInt8] {
        guard let deflate, let last = entries.indices.last else { preconditionFailure("content before a file") }
        let bytes = deflate.compress(content)
        entries[last].checksum = DeflateStream.checksum(content, after: entries[last].checksum)
        entries[last].size += UInt64(content.count)
        entries[last].compressed += UInt64(bytes.count)
        return try counted(bytes)
    }

    /// The end of the archive: its directory.
    mutating func end() throws(ZipTooLarge) -> [UInt8] {
        var fields = Fields(bytes: try counted(try endFile()))
        let before = fields.bytes.count
        for entry in entries {
            fields.four(0x0201_4B50)
            fields.two(ZipStream.version)
            fields.common(entry)
            // No comment, the first disk, nothing special about it.
            fields.bytes += [UInt8](repeating: 0, count: 10)
            fields.four(UInt32(entry.offset))
            fields.bytes += entry.name
        }
        let size = fields.bytes.count - before
        fields.four(0x0605_4B50)
        // The first disk of one.
        fields.four(0)
        fields.two(UInt16(entries.count))
        fields.two(UInt16(entries.count))
        fields.four(UInt32(size))
        fields.four(UInt32(written))
        fields.two(0)
        return fields.bytes
    }

    private mutating func endFile() throws(ZipTooLarge) -> [UInt8] {
        guard let deflate, let last = entries.indices.last else { return [] }
        var fields = Fields(bytes: deflate.compress([], isLast: true))
        self.deflate = nil
        entries[last].compressed += UInt64(fields.bytes.count)
        guard entries[last].size <= ZipStream.largest, entries[last].compressed <= ZipStream.largest else { throw ZipTooLarge() }
        fields.four(0x0807_4B50)
        fields.sizes(entries[last])
        return fields.bytes
    }

    private mutating func counted(_ bytes: [UInt8]) throws(ZipTooLarge) -> [UInt8] {
        written += UInt64(bytes.count)
        guard written <= ZipStream.largest else { throw ZipTooLarge() }
        return bytes
    }

    /// Appends numbers, the little end first.
    private struct Fields {
        var bytes: [UInt8]

        mutating func two(_ value: UInt16) { for shift in [0, 8] as [UInt16] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) } }

        mutating func four(_ value: UInt32) {
            for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }

        /// What a file's own head and its line in the directory have in common; of the head the sizes are not known yet, and 0.
        mutating func common(_ entry: Entry) {
            two(ZipStream.version)
            two(ZipStream.flags)
            two(ZipStream.deflated)
            two(0)
            two(ZipStream.date)
            sizes(entry)
            two(UInt16(entry.name.count))
            two(0)
        }

        mutating func sizes(_ entry: Entry) {
            four(entry.checksum)
            four(UInt32(entry.compressed))
            four(UInt32(entry.size))
        }
    }
}
