/// JSON as a value (RFC 8259). The project has its own because Foundation's decoder turns numbers into binary floats (law 5),
/// lets duplicate names pass, and costs more than the whole rest of a request.

/// One JSON value. Numbers keep the exact text they were written with; whoever reads one decides what it may be.
public enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSON])
    case object(Object)

    /// An object from its members in order; the names must differ.
    public static func object(_ members: [(String, JSON)]) -> JSON { .object(Object(members)) }

    /// A whole number.
    public static func number(_ value: some BinaryInteger) -> JSON { .number(String(value)) }

    /// The member of that name; nil when there is none or this is no object.
    public subscript(name: String) -> JSON? {
        if case .object(let object) = self { object[name] } else { nil }
    }

    /// The element at that place; nil when there is none or this is no array.
    public subscript(index: Int) -> JSON? {
        if case .array(let array) = self, array.indices.contains(index) { array[index] } else { nil }
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    public var object: Object? { if case .object(let value) = self { value } else { nil } }
    /// The exact text of a number.
    public var numberText: String? { if case .number(let text) = self { text } else { nil } }
    /// A number written as a whole one (`12`, not `12.0`) that fits.
    public var int64: Int64? { if case .number(let text) = self { Int64(text) } else { nil } }

    /// What a person calls this kind of value, for messages about wrong types.
    public var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

extension JSON {
    /// The members of a JSON object in their order. Looks names up by walking: objects on the wire are small.
    public struct Object: Hashable, Sendable, RandomAccessCollection {
        public struct Member: Hashable, Sendable {
            public let name: String
            public let value: JSON

            public init(name: String, value: JSON) {
                self.name = name
                self.value = value
            }
        }

        public private(set) var members: [Member]

        public init(members: [Member] = []) { self.members = members }
        public init(_ members: [(String, JSON)]) { self.members = members.map { Member(name: $0.0, value: $0.1) } }

        public var startIndex: Int { 0 }
        public var endIndex: Int { members.count }
        public subscript(index: Int) -> Member { members[index] }

        /// The value of that name; setting nil removes the member, setting a new name appends it.
        public subscript(name: String) -> JSON? {
            get {
                for member in members where member.name == name { return member.value }
                return nil
            }
            set {
                let index = members.firstIndex { $0.name == name }
                switch (index, newValue) {
                case (let index?, let value?): members[index] = Member(name: name, value: value)
                case (let index?, nil): members.remove(at: index)
                case (nil, let value?): members.append(Member(name: name, value: value))
                case (nil, nil): break
                }
            }
        }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .number(String(value)) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(Object(elements)) }
}
