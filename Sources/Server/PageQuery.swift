/// Lists come in pages (design §7): `{"data":[…],"next_cursor":…}`. A cursor is opaque to callers, and bound to what it was given for: the
/// organization, the list and its filters.
import Budgets
import Crypto
import Hummingbird
import JSON
import Postgres
import Store

/// What every list's query may say.
enum PageQuery {
    static let defaultLimit: Int64 = 50
    static let maximumLimit: Int64 = 200

    static func limit(_ query: inout FieldReader) -> Int {
        Int(query.optional("limit", .digits(1...maximumLimit)) ?? defaultLimit)
    }

    /// `sort`, `cursor` and `limit`: which page of a list is wanted, and in which order.
    /// - Parameter isNewestFirst: how the list comes when nobody says otherwise.
    static func listing<Item, Position: PostgresEncodable & LosslessStringConvertible & Hashable & Sendable>(
        _ query: inout FieldReader, _ orders: [ListOrder<Item>], isNewestFirst: Bool = false
    ) -> Listing<Item, Position> {
        let asked = query.optional("sort", .sort(orders.map(\.name)))
        let order = orders.first { $0.name == asked?.name } ?? orders[0]
        let place = query.optional("cursor", FieldRule<ListPlace<Position>?>.place(of: order)) ?? nil
        return Listing(order, isDescending: asked?.isDescending ?? isNewestFirst, after: place, limit: limit(&query))
    }

    /// `archived` and `name_prefix`, by which most lists can be narrowed.
    static func filter(_ query: inout FieldReader) -> ListFilter {
        ListFilter(isArchived: query.optional("archived", .flag) ?? false, namePrefix: namePrefix(&query))
    }

    static func namePrefix(_ query: inout FieldReader) -> String? { query.optional("name_prefix", .text(1...200)) }
}

/// `name`, or `-name` for the other way round.
struct Sort: Sendable {
    let name: String
    let isDescending: Bool
}

extension FieldRule where Value == Sort {
    fileprivate static func sort(_ names: [String]) -> FieldRule {
        let words = names.flatMap { [$0, "-" + $0] }.joined(separator: ", ")
        return text("one of \(words)", placeholder: Sort(name: "", isDescending: false)) { text in
            let sort = Sort(name: text.hasPrefix("-") ? String(text.dropFirst()) : text, isDescending: text.hasPrefix("-"))
            return names.contains(sort.name) ? sort : nil
        }
    }
}

extension FieldRule where Value == Bool {
    /// A truth in the text of a query parameter.
    static var flag: FieldRule {
        text("true or false", placeholder: false) { $0 == "true" ? true : $0 == "false" ? false : nil }
    }
}

extension FieldRule {
    /// A position, and after it a key where the order has one. NUL is between them, which Postgres' texts cannot have.
    fileprivate static func place<Item, Position: LosslessStringConvertible & Hashable & Sendable>(
        of order: ListOrder<Item>
    ) -> FieldRule where Value == ListPlace<Position>? {
        text("a cursor from this list", placeholder: nil) { text in
            let parts = text.split(separator: "\0", maxSplits: 1, omittingEmptySubsequences: false)
            guard let position = Position(String(parts[0])) else { return nil }
            guard parts.count == 2 else { return .some(ListPlace(key: nil, position: position)) }
            return order.parse(String(parts[1])).map { .some(ListPlace(key: $0, position: position)) }
        }
    }
}

extension Reach {
    /// The teams whose things a list shows: those that are reached, and of them only `team` if one is named; nil: all.
    func teams(_ team: TeamID?) -> [TeamID]? {
        guard let team else { return teams }
        return covers(team) ? [team] : []
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

    /// The answer with a page of a list.
    func page<Item, Position: LosslessStringConvertible>(
        _ page: Page<Item, ListPlace<Position>>, _ write: (Item, inout JSONWriter) -> Void
    ) throws(Problem) -> Response {
        try self.page(page.items, next: page.next.map { "\($0.position)" + ($0.key.map { "\0\($0)" } ?? "") }, write)
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
