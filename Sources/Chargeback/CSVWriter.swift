/// Comma-separated values as spreadsheets and RFC 4180 agree on them, safe to open.

/// Appends records to bytes. Lines end with CR LF (RFC 4180 §2.1).
struct CSVWriter {
    private(set) var bytes: [UInt8] = []
    private var isStartOfRecord = true
    /// Records ended so far, a header included.
    private(set) var records: Int64 = 0

    /// Text from outside. A cell that a spreadsheet would run as a formula (it begins with `=`, `+`, `-`, `@`, tab or CR, also after
    /// white space) gets a leading `'` and is then shown as it is.
    mutating func text(_ value: String) {
        let body = value.utf8.drop { $0 == UInt8(ascii: " ") }
        let isFormula =
            value.utf8.first.map { $0 == 9 || $0 == 13 } == true
            || body.first.map { "=+-@".utf8.contains($0) || $0 == 9 || $0 == 13 } == true
        quoted(value, isFormula ? "'" : "")
    }

    /// Text for programs, which must find it as it is: no cell of it is defused.
    mutating func exact(_ value: String) { quoted(value, "") }

    private mutating func quoted(_ value: String, _ prefix: String) {
        separate()
        let needsQuotes = value.utf8.contains { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") || $0 == 10 || $0 == 13 }
        if needsQuotes { bytes.append(UInt8(ascii: "\"")) }
        bytes.append(contentsOf: prefix.utf8)
        for byte in value.utf8 {
            if byte == UInt8(ascii: "\"") { bytes.append(byte) }
            bytes.append(byte)
        }
        if needsQuotes { bytes.append(UInt8(ascii: "\"")) }
    }

    /// A number of ours, written as it is: spreadsheets must be able to sum it.
    mutating func number(_ value: String) {
        separate()
        bytes.append(contentsOf: value.utf8)
    }

    mutating func endRecord() {
        bytes.append(13)
        bytes.append(10)
        isStartOfRecord = true
        records += 1
    }

    /// Hands over what was written and starts again.
    mutating func take() -> [UInt8] {
        defer { bytes.removeAll(keepingCapacity: true) }
        return bytes
    }

    private mutating func separate() {
        if !isStartOfRecord { bytes.append(UInt8(ascii: ",")) }
        isStartOfRecord = false
    }
}
