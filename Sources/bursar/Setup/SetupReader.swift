/// Reads YAML nodes by the forms of fields, and gathers faults with their places.
import Budgets
import Foundation
import JSON
import Yams

struct SetupReader {
    struct Member {
        let name: String
        let value: Node
        let line: Int
    }

    /// What is ahead or past by now.
    let now: Instant
    private(set) var faults: [SetupFault] = []

    init(now: Instant) { self.now = now }

    mutating func fault(_ node: Node, _ pointer: String, _ text: String) {
        faults.append(SetupFault(place: SetupPlace(line: node.mark?.line ?? 1, pointer: pointer), text: text))
    }

    mutating func unknown(_ name: String, of kind: SetupKind, known: [String], at place: SetupPlace) {
        let cure = Spelling.nearest(to: name, among: known).map { "did you mean \($0)?" } ?? "there are \(known.joined(separator: ", "))"
        let article = kind == .endpoint || kind == .organization ? "an" : "a"
        faults.append(SetupFault(place: place, text: "is no field of \(article) \(kind.rawValue); \(cure)"))
    }

    /// The members of a mapping; of an empty value none.
    mutating func members(_ node: Node, at pointer: String) -> [Member]? {
        if node.null != nil { return [] }
        guard case .mapping(let mapping) = node else {
            fault(node, pointer, "must be a mapping, name: value")
            return nil
        }
        return mapping.map { Member(name: $0.key.scalar?.string ?? "?", value: $0.value, line: $0.key.mark?.line ?? 1) }
    }

    /// The elements of a list; of an empty value none.
    mutating func elements(_ node: Node, at pointer: String) -> [Node]? {
        if node.null != nil { return [] }
        guard case .sequence(let sequence) = node else {
            fault(node, pointer, "must be a list")
            return nil
        }
        return Array(sequence)
    }

    /// The value in the form's JSON; nil when it is faulty.
    mutating func value(_ node: Node, _ form: SetupForm, at pointer: String) -> JSON? {
        if node.null != nil { return .null }
        switch form {
        case .list(let form): return list(node, form, at: pointer)
        case .map(let form): return object(node, at: pointer) { _ in form }
        case .object(let fields): return object(node, at: pointer, fields)
        case .concern where node.scalar == nil: return object(node, at: pointer, Self.concern)
        case .costCenter where node.scalar == nil: return costCenter(node, at: pointer)
        case .free: return free(node, at: pointer)
        case .text, .whole, .flag, .instant, .amount, .costCenter, .tier, .concern, .secret:
            guard let text = node.scalar?.string else {
                fault(node, pointer, "must be a single value")
                return nil
            }
            let (value, wanted) = Self.scalar(text, form)
            if value == nil { fault(node, pointer, "must be \(wanted)") }
            return value
        }
    }

    private static let concern = ["team", "project", "budget"].map { SetupField($0, .text) }

    private static func scalar(_ text: String, _ form: SetupForm) -> (JSON?, wanted: String) {
        switch form {
        case .whole: (Int64(text).map { .number($0) }, "a whole number")
        case .flag: (text == "true" ? true : text == "false" ? false : nil, "true or false")
        case .instant: (Instant(rfc3339: text) == nil ? nil : .string(text), "a time such as 2027-01-01T00:00:00Z")
        case .amount: (Amount(text) == nil ? nil : .string(text), "a decimal number such as 500 or 0.25")
        default: (.string(text), "a text")
        }
    }

    private mutating func list(_ node: Node, _ form: SetupForm, at pointer: String) -> JSON? {
        guard let nodes = elements(node, at: pointer) else { return nil }
        var values: [JSON] = []
        for (index, node) in nodes.enumerated() {
            guard let value = value(node, form, at: "\(pointer)/\(index)") else { return nil }
            values.append(value)
        }
        return .array(values)
    }

    private mutating func object(_ node: Node, at pointer: String, _ fields: [SetupField]) -> JSON? {
        object(node, at: pointer) { name in
            fields.first { $0.name == name }?.form
        } cure: {
            "there are \(fields.map(\.name).joined(separator: ", "))"
        }
    }

    private mutating func object(
        _ node: Node, at pointer: String, form: (String) -> SetupForm?, cure: () -> String = { "" }
    ) -> JSON? {
        guard let members = members(node, at: pointer) else { return nil }
        var object = JSON.Object()
        for member in members {
            let place = "\(pointer)/\(member.name)"
            guard let form = form(member.name) else {
                fault(member.value, place, "is no field here; \(cure())")
                return nil
            }
            guard let value = value(member.value, form, at: place) else { return nil }
            object[member.name] = value
        }
        return .object(object)
    }

    /// A change whose date has come is the present.
    private mutating func costCenter(_ node: Node, at pointer: String) -> JSON? {
        let fields = [SetupField("name", .text), SetupField("next", .text), SetupField("from", .instant)]
        guard let value = object(node, at: pointer, fields) else { return nil }
        guard let from = value["from"]?.string.flatMap({ Instant(rfc3339: $0) }) else {
            if value["next"] == nil { return value["name"] ?? .null }
            fault(node, pointer, "needs from, the time at which next is in force")
            return nil
        }
        if from <= now { return value["next"] ?? .null }
        return ["name": value["name"] ?? .null, "next": value["next"] ?? .null, "from": value["from"] ?? .null]
    }

    /// Plain values as JSON has them. What only YAML takes for a number or a truth (`no`, `1_000`) is a text, or refused.
    private mutating func free(_ node: Node, at pointer: String) -> JSON? {
        switch node {
        case .mapping: return object(node, at: pointer) { _ in .free }
        case .sequence: return list(node, .free, at: pointer)
        case .alias: return nil
        case .scalar(let scalar):
            guard scalar.style == .plain else { return .string(scalar.string) }
            if scalar.string == "true" || scalar.string == "false" { return .bool(scalar.string == "true") }
            if let number = try? JSON.parse(scalar.string), case .number = number { return number }
            guard node.float == nil, node.int == nil else {
                fault(node, pointer, "must be a number as JSON writes it, or a text in quotes")
                return nil
            }
            return .string(scalar.string)
        }
    }
}
