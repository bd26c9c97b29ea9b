/// Lists come in pages (design §7): `{"data":[…],"next_cursor":…}`. A cursor is opaque to callers, and bound to what it was given for: the
/// organization, the list and its filters.
import Budgets
import Crypto
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
        query.optional("cursor", .text("a cursor from this list", placeholder: ID(high: 0, low: 0)) { ID<Kind>($0) })
    }
}

/// What a cursor looks like to callers: base64url of a seal and the place where the next page starts. The seal keeps mistakes out, not
/// thieves: a place names nothing that the list would not show.
private enum BoundCursor {
    private static let sealBytes = 8

    static func text(of place: String, _ list: String) -> String { Base64URL.encode(seal(place, list) + Array(place.utf8)) }

    /// The place; nil for a cursor of another list, or none at all.
    static func place(in text: String, _ list: String) -> String? {
        guard let bytes = Base64URL.decode(text), bytes.count > sealBytes,
            let place = String(validating: bytes[sealBytes...], as: UTF8.self), seal(place, list) == Array(bytes[..<sealBytes])
        else { return nil }
        return place
    }

    private static func seal(_ place: String, _ list: String) -> [UInt8] {
        Array(SHA256.hash(data: Array("\(list)\n\(place)".utf8)).prefix(sealBytes))
    }
}

extension Exchange {
    /// The query's parameters; each at most once. A `cursor` is the place it stands for.
    func query() throws(Problem) -> FieldReader {
        var members = try queryMembers()
        guard let index = members.firstIndex(where: { $0.name == "cursor" }) else {
            return FieldReader(JSON.Object(members: members), root: "?")
        }
        let place = BoundCursor.place(in: members[index].value.string ?? "", list(members))
        members.remove(at: index)
        guard let place else {
            var reader = FieldReader(JSON.Object(members: members), root: "?")
            reader.fault("cursor", .invalidValue, "must be next_cursor of this list, with the filters it was given for")
            return reader
        }
        members.append(JSON.Object.Member(name: "cursor", value: .string(place)))
        return FieldReader(JSON.Object(members: members), root: "?")
    }

    /// Which list this is: whose, which path, and its filters in whatever order.
    private func list(_ members: [JSON.Object.Member]) -> String {
        let filters = members.filter { $0.name != "cursor" && $0.name != "limit" }.map { "\($0.name)=\($0.value.text)" }.sorted()
        return ([organization.description, request.uri.path] + filters).joined(separator: "\n")
    }

    /// The query of a list by ids, with no other parameters.
    func page<Kind: IDKind>(_ kind: Kind.Type) throws(Problem) -> (cursor: ID<Kind>?, limit: Int) {
        var query = try query()
        let page = (cursor: PageQuery.cursor(&query, kind), limit: PageQuery.limit(&query))
        try query.finish()
        return page
    }

    /// The answer with a page of a list by ids.
    func page<Item, Kind: IDKind>(_ page: Page<Item, ID<Kind>>, _ write: (Item, inout JSONWriter) -> Void) throws(Problem) -> Response {
        try self.page(page.items, next: page.next?.description, write)
    }

    /// - Parameter next: The place where the next page starts, as the list's `cursor` is read; nil when this is the last one.
    func page<Item>(_ items: [Item], next: String?, _ write: (Item, inout JSONWriter) -> Void) throws(Problem) -> Response {
        let list = list(try queryMembers())
        return .json { writer in
            writer.object { writer in
                writer.array("data") { writer in
                    for item in items { write(item, &writer) }
                }
                writer.field("next_cursor", next.map { BoundCursor.text(of: $0, list) })
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
