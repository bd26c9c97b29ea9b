/// A set-up file as it was written: what it says of each thing, and where it says so. Every fault is found at once, with its line.
import Budgets
import JSON
import Yams

/// One thing that the file wants.
struct SetupObject {
    let key: SetupKey
    /// What the file says of it, and nothing else: what it leaves out stays as it is.
    let fields: JSON.Object
    /// Where the thing stands, and where each field of it.
    let place: SetupPlace
    let places: [String: SetupPlace]
}

/// A line of a file and the JSON pointer to what stands there.
struct SetupPlace {
    let line: Int
    let pointer: String
}

/// A fault of a file with its line.
struct SetupFault {
    let place: SetupPlace
    let text: String
}

/// Why a file cannot be applied: all of its faults, a line each.
struct SetupFaults: Error, CustomStringConvertible {
    let file: String
    let faults: [SetupFault]

    var description: String {
        faults.map { "\(file):\($0.place.line): \($0.place.pointer) \($0.text)" }.joined(separator: "\n")
    }
}

struct SetupFile {
    let name: String
    private(set) var objects: [SetupObject] = []
    /// The lists that are there, empty ones too.
    private(set) var sections: Set<SetupSection> = []
    private var reader: SetupReader
    private var lines: [SetupKey: Int] = [:]

    /// - Parameter name: what the file is called in messages.
    /// - Throws: `SetupFaults`; `CommandError` when it is no YAML.
    init(_ text: String, name: String, now: Instant) throws {
        self.name = name
        reader = SetupReader(now: now)
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw CommandError("\(name)\(error.plain)")
        }
        if let root { read(root) }
        guard reader.faults.isEmpty else { throw SetupFaults(file: name, faults: reader.faults) }
    }

    /// The organization's own fields stand in a mapping of their own, above the lists.
    private mutating func read(_ root: Node) {
        guard let members = reader.members(root, at: "") else { return }
        for member in members where member.name == "organization" {
            guard let fields = reader.members(member.value, at: "/organization") else { continue }
            keep(.organization, fields, of: member.value, at: "/organization")
        }
        let lists = members.filter { $0.name != "organization" }
        readLists(lists, of: .organization, others: ["organization"], at: "")
    }

    private mutating func readLists(_ members: [SetupReader.Member], of parent: SetupKey, others: [String], at pointer: String) {
        let children = parent.kind.children
        for member in members {
            let place = SetupPlace(line: member.line, pointer: pointer + "/" + member.name)
            guard let kind = children.first(where: { $0.section == member.name }) else {
                reader.unknown(member.name, of: parent.kind, known: children.map(\.section) + others, at: place)
                continue
            }
            sections.insert(SetupSection(parent: parent, kind: kind))
            for (index, node) in (reader.elements(member.value, at: place.pointer) ?? []).enumerated() {
                read(node, kind, in: parent, at: "\(place.pointer)/\(index)")
            }
        }
    }

    private mutating func read(_ node: Node, _ kind: SetupKind, in parent: SetupKey, at pointer: String) {
        guard let members = reader.members(node, at: pointer) else { return }
        guard let name = members.first(where: { $0.name == "name" }),
            case .string(let text)? = reader.value(name.value, .text, at: pointer + "/name")
        else { return reader.fault(node, pointer, "needs a name, by which it is known in its parent") }
        let key = parent.child(kind, text)
        let lists = members.filter { member in kind.children.contains { $0.section == member.name } }
        let fields = members.filter { member in member.name != "name" && !lists.contains { $0.name == member.name } }
        keep(key, fields, of: node, at: pointer)
        readLists(lists, of: key, others: [], at: pointer)
    }

    private mutating func keep(_ key: SetupKey, _ members: [SetupReader.Member], of node: Node, at pointer: String) {
        let place = SetupPlace(line: node.mark?.line ?? 1, pointer: pointer)
        if let line = lines.updateValue(place.line, forKey: key) {
            return reader.fault(node, pointer, "is \(key) a second time: the first is in line \(line)")
        }
        var fields = JSON.Object()
        var places: [String: SetupPlace] = [:]
        for member in members {
            let place = SetupPlace(line: member.line, pointer: "\(pointer)/\(member.name)")
            places[member.name] = place
            guard let field = key.kind.fields.first(where: { $0.name == member.name }) else {
                let lists = key.kind == .organization ? [] : ["name"] + key.kind.children.map(\.section)
                reader.unknown(member.name, of: key.kind, known: lists + key.kind.fields.map(\.name), at: place)
                continue
            }
            if let value = reader.value(member.value, field.form, at: place.pointer) { fields[member.name] = value }
        }
        objects.append(SetupObject(key: key, fields: fields, place: place, places: places))
    }
}

extension YamlError {
    /// Where and what, without the file's text: there may be secrets in it after all.
    fileprivate var plain: String {
        switch self {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            ":\(mark.line): is no YAML: \(problem)"
        case .duplicatedKeysInMapping(let names, let context):
            ":\(context.mark.line): has \(names.sorted().joined(separator: ", ")) twice in one place"
        default: " is no YAML"
        }
    }
}
