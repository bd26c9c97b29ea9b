/// In which order a list is read and from where on: pages by keyset, so that a page costs the same wherever it begins. Lists that are
/// sorted by anything but the order of their primary key are bounded (`Bound`), so sorting one is bounded too.
public import Budgets
public import Postgres

/// Something that a list may be sorted by.
public struct ListOrder<Item: Sendable>: Sendable {
    /// As the API calls it.
    public let name: String
    /// What is compared before the position; never NULL. Nil: the position alone.
    let column: Query?
    let key: @Sendable (Item) -> ListKey?
    /// Reads the text of a key; nil for what is none.
    public let parse: @Sendable (String) -> ListKey?

    /// By the position, which grows as things are made.
    static func made(_ name: String) -> ListOrder {
        ListOrder(name: name, column: nil, key: { _ in nil }, parse: { _ in nil })
    }

    /// By names as people sort them, whatever language they are in.
    static func name(_ key: @escaping @Sendable (Item) -> String, column: Query = #"name COLLATE "und-x-icu""#) -> ListOrder {
        ListOrder(name: "name", column: column, key: { .text(key($0)) }, parse: { $0.utf8.contains(0) ? nil : .text($0) })
    }

    static func amount(_ name: String, _ key: @escaping @Sendable (Item) -> Amount, column: Query) -> ListOrder {
        ListOrder(name: name, column: column, key: { .amount(key($0)) }, parse: { Amount($0).map(ListKey.amount) })
    }

    static func number(_ name: String, _ key: @escaping @Sendable (Item) -> Int64, column: Query) -> ListOrder {
        ListOrder(name: name, column: column, key: { .number(key($0)) }, parse: { Int64($0).map(ListKey.number) })
    }

    static func time(_ name: String, _ key: @escaping @Sendable (Item) -> Instant, column: Query) -> ListOrder {
        ListOrder(
            name: name, column: column, key: { .time(key($0)) },
            parse: { text in
                // From the year 1 to 9999: what Postgres and RFC 3339 both have.
                Int64(text).flatMap { (-62_135_596_800_000_000...253_402_300_799_999_999).contains($0) ? $0 : nil }
                    .map { .time(Instant(microseconds: $0)) }
            })
    }

    /// By events, whose ids grow as things happen.
    static func event(_ key: @escaping @Sendable (Item) -> EventID, column: Query) -> ListOrder {
        ListOrder(name: "event", column: column, key: { .event(key($0)) }, parse: { EventID($0).map(ListKey.event) })
    }
}

/// What an element is sorted by.
public enum ListKey: Hashable, Sendable, CustomStringConvertible {
    case text(String)
    case amount(Amount)
    case number(Int64)
    case time(Instant)
    case event(EventID)

    public var description: String {
        switch self {
        case .text(let text): text
        case .amount(let amount): amount.description
        case .number(let number): "\(number)"
        case .time(let instant): "\(instant.microseconds)"
        case .event(let event): event.description
        }
    }

    fileprivate var bind: Query {
        switch self {
        case .text(let text): "\(text)"
        case .amount(let amount): "\(amount)"
        case .number(let number): "\(number)"
        case .time(let instant): "\(instant)"
        case .event(let event): "\(event)"
        }
    }
}

/// Where a page ends: at an element's key, and among equal ones at its position, which no other element has.
public struct ListPlace<Position: Hashable & Sendable>: Hashable, Sendable {
    public let key: ListKey?
    public let position: Position

    public init(key: ListKey?, position: Position) {
        self.key = key
        self.position = position
    }
}

/// Which page of a list is wanted.
public struct Listing<Item: Sendable, Position: PostgresEncodable & Hashable & Sendable>: Sendable {
    let order: ListOrder<Item>
    let isDescending: Bool
    let after: ListPlace<Position>?
    let limit: Int

    public init(_ order: ListOrder<Item>, isDescending: Bool, after: ListPlace<Position>? = nil, limit: Int) {
        self.order = order
        self.isDescending = isDescending
        self.after = after
        self.limit = limit
    }

    /// For a query that finds one thing by its id.
    static var one: Listing { Listing(.made("created_at"), isDescending: true, limit: 0) }

    /// Which rows come after the place.
    func isAfter(_ position: Query) -> Query {
        guard let after else { return "true" }
        let sign: Query = isDescending ? "<" : ">"
        guard let column = order.column, let key = after.key else {
            return "\(list: [position]) \(list: [sign]) \(after.position)"
        }
        return "(\(list: [column]), \(list: [position])) \(list: [sign]) (\(list: [key.bind]), \(after.position))"
    }

    /// What stands after ORDER BY.
    func ordering(_ position: Query) -> Query {
        let direction: Query = isDescending ? "DESC" : "ASC"
        guard let column = order.column else { return "\(list: [position]) \(list: [direction])" }
        return "\(list: [column]) \(list: [direction]), \(list: [position]) \(list: [direction])"
    }

    /// The page of what was found by these, one row more than was asked for.
    func page(_ items: [Item], _ position: (Item) -> Position) -> Page<Item, ListPlace<Position>> {
        Page(items, limit: limit) { ListPlace(key: order.key($0), position: position($0)) }
    }
}

/// What most lists can be narrowed to.
public struct ListFilter: Sendable {
    /// What was archived, in place of what was not.
    public var isArchived: Bool
    /// How names begin, in large or small letters.
    public var namePrefix: String?

    public init(isArchived: Bool = false, namePrefix: String? = nil) {
        self.isArchived = isArchived
        self.namePrefix = namePrefix
    }

    /// For tables with `archived_at` and `name`.
    var holds: Query {
        "(archived_at IS NOT NULL) = \(isArchived) AND (\(namePrefix) IS NULL OR starts_with(lower(name), lower(\(namePrefix))))"
    }
}
