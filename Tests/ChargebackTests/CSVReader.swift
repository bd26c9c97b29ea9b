/// Reads CSV as RFC 4180 says, to hold what was written against it.
enum CSVReader {
    /// Records of cells; every record must end with CR LF.
    static func read(_ bytes: [UInt8]) -> [[String]] {
        var records: [[String]] = []
        var record: [String] = []
        var cell: [UInt8] = []
        var (isQuoted, index) = (false, 0)
        func end() { record.append(String(decoding: cell, as: UTF8.self)) }
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if isQuoted {
                if byte != UInt8(ascii: "\"") {
                    cell.append(byte)
                } else if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
                    cell.append(byte)
                    index += 1
                } else {
                    isQuoted = false
                }
            } else if byte == UInt8(ascii: "\"") {
                isQuoted = true
            } else if byte == UInt8(ascii: ",") || byte == 10 {
                end()
                cell = []
                if byte == 10 {
                    records.append(record)
                    record = []
                }
            } else if byte != 13 {
                cell.append(byte)
            }
        }
        return records
    }

    /// The records as values by the names in the first one.
    static func table(_ bytes: [UInt8]) -> [[String: String]] {
        let records = read(bytes)
        guard let header = records.first else { return [] }
        return records.dropFirst().map { Dictionary(zip(header, $0)) { first, _ in first } }
    }
}
