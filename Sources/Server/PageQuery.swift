/// Lists come in pages (design §7): `{"data":[…],"next_cursor":…}`. A cursor is opaque to callers: base64url of the last id.
import Budgets
import Hummingbird
import JSON
import Store

/// `limit` and `cursor` of a list's query.
enum PageQuery {
    static let defaultLimit: Int64 = 50
    static let maximumLimit: Int64 = 200

    static func limit(_ query: inout FieldReader) -> Int {
        Int(query.optional("limit", .digits(1...maximumLimit)) ?? defaultLimit)
    }

    /// Where the page starts: after this id, or at the beginning.
    static func cursor<Kind: IDKind>(_ query: inout FieldReader, _ kind: Kind.Type) -> ID<Kind>? {
        query.optional(
            "cursor",
            .text("a cursor from this list", placeholder: ID(high: 0, low: 0)) { text in
                Base64URL.decode(text).flatMap { String(validating: $0, as: UTF8.self) }.flatMap { ID<Kind>($0) }
            })
    }
}

extension Exchange {
    /// The query of a list by ids, with no other parameters.
    func page<Kind: IDKind>(_ kind: Kind.Type) throws(Problem) -> (cursor: ID<Kind>?, limit: Int) {
        var query = try query()
        let page = (cursor: PageQuery.cursor(&query, kind), limit: PageQuery.limit(&query))
        try query.finish()
        return page
    }
}

extension Response {
    static func page<Item, Kind: IDKind>(
        _ page: Page<Item, ID<Kind>>, _ write: (Item, inout JSONWriter) -> Void
    ) -> Response {
        .page(page.items, next: page.next.map { Base64URL.encode($0.description.utf8) }, write)
    }

    static func page<Item>(_ items: [Item], next: String?, _ write: (Item, inout JSONWriter) -> Void) -> Response {
        .json { writer in
            writer.object { writer in
                writer.array("data") { writer in
                    for item in items { write(item, &writer) }
                }
                writer.field("next_cursor", next)
            }
        }
    }
}

/// RFC 4648 §5 without padding.
enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        var (bits, count) = (UInt32(0), 0)
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            count += 8
            while count >= 6 {
                count -= 6
                text.append(alphabet[Int(bits >> UInt32(count) & 63)])
            }
        }
        if count > 0 { text.append(alphabet[Int(bits << UInt32(6 - count) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }

    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var (bits, count) = (UInt32(0), 0)
        for character in text.utf8 {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            bits = (bits << 6 | UInt32(value)) & 0xFFFF
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return bytes
    }
}
