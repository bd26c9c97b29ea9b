/// Writes an organization as a set-up file that, applied, changes nothing. It says everything that can change, empty or not, so that
/// applying it later undoes whatever was changed since.
import Budgets
import JSON
import Yams

struct SetupDump {
    private let state: SetupState
    private let children: [SetupKey: [SetupKey]]
    private var variables: Set<String> = []

    /// - Throws: `CommandError` when two things have one name in one place.
    init(_ state: SetupState) throws {
        self.state = state
        children = Dictionary(grouping: state.order.filter { $0 != .organization }, by: \.parent)
        let ambiguous = state.ambiguous.sorted { $0.key.description < $1.key.description }.map { key, ids in
            "\(key) could be any of \(ids.joined(separator: ", "))"
        }
        guard ambiguous.isEmpty else {
            throw CommandError("a file knows things by their names, so give these different ones:\n" + ambiguous.joined(separator: "\n"))
        }
    }

    mutating func text() throws -> String {
        var pairs: [(Node, Node)] = []
        if let organization = state[.organization] { pairs.append((Node("organization"), mapping(organization))) }
        pairs += lists(of: .organization)
        let yaml = try Yams.serialize(node: Node(pairs), width: -1, allowUnicode: true)
        return "# Written by `bursar dump`. Secrets of endpoints are read from the environment when an endpoint is made.\n" + yaml
    }

    private mutating func lists(of parent: SetupKey) -> [(Node, Node)] {
        var lists: [(Node, Node)] = []
        for kind in parent.kind.children {
            var nodes: [Node] = []
            for key in children[parent] ?? [] where key.kind == kind {
                if let thing = state[key] { nodes.append(mapping(thing)) }
            }
            lists.append((Node(kind.section), Node(nodes, .implicit, nodes.isEmpty ? .flow : .block)))
        }
        return lists
    }

    private mutating func mapping(_ thing: SetupState.Thing) -> Node {
        var pairs: [(Node, Node)] = []
        if let name = thing.key.path.last { pairs.append((Node("name"), Self.text(name))) }
        for field in thing.key.kind.fields {
            let value = thing.fields[field.name] ?? .null
            switch field.rule {
            case .changeable, .afterwards: pairs.append((Node(field.name), Self.node(value, field.form)))
            case .fixed: if !field.isUsual(value) { pairs.append((Node(field.name), Self.node(value, field.form))) }
            case .sealed: if let node = sealed(field, of: thing) { pairs.append((Node(field.name), node)) }
            }
        }
        if thing.key != .organization { pairs += lists(of: thing.key) }
        return Node(pairs)
    }

    /// The reference that stands for what the server never shows.
    private mutating func sealed(_ field: SetupField, of thing: SetupState.Thing) -> Node? {
        let needed: [String: [String]] = [
            "slack": ["url"], "teams": ["url"], "pagerduty": ["routing_key"], "webhook": ["url", "secret"], "email": ["to"],
        ]
        guard needed[thing.fields["kind"]?.string ?? ""]?.contains(field.name) == true else { return nil }
        let reference = JSON.string(SetupSecrets.reference(variable("\(thing.key.path.last ?? "") \(field.name)")))
        if case .list = field.form { return Self.node(.array([reference]), field.form) }
        return Self.node(reference, field.form)
    }

    private mutating func variable(_ words: String) -> String {
        let parts = words.uppercased().split { !$0.isASCII || !($0.isLetter || $0.isNumber) }
        let name = (parts.first?.first?.isNumber == true ? "ENDPOINT_" : "") + parts.joined(separator: "_")
        var candidate = name
        var count = 1
        while !variables.insert(candidate).inserted {
            count += 1
            candidate = "\(name)_\(count)"
        }
        return candidate
    }

    private static func node(_ value: JSON, _ form: SetupForm) -> Node {
        switch (form, value) {
        case (.amount, .string(let text)): Node(Amount(text)?.plain ?? text)
        case (.list(let form), .array(let elements)): Node(elements.map { node($0, form) }, .implicit, .flow)
        case (_, .null): Node("null")
        case (_, .bool(let flag)): Node(flag ? "true" : "false")
        case (_, .number(let text)): Node(text)
        case (_, .string(let text)): Self.text(text)
        case (_, .array(let elements)): Node(elements.map { node($0, .free) }, .implicit, elements.isEmpty ? .flow : .block)
        case (_, .object(let members)):
            Node(
                members.map { (Self.text($0.name), node($0.value, form.member($0.name))) }, .implicit,
                members.isEmpty || form.isShort ? .flow : .block)
        }
    }

    /// Quoted where YAML would take it for something else.
    private static func text(_ text: String) -> Node { .scalar(text.represented()) }
}

extension SetupForm {
    fileprivate func member(_ name: String) -> SetupForm {
        switch self {
        case .object(let fields): fields.first { $0.name == name }?.form ?? .free
        case .map(let form): form
        default: .free
        }
    }

    fileprivate var isShort: Bool {
        switch self {
        case .concern, .costCenter: true
        default: false
        }
    }
}

extension SetupField {
    /// What a fixed field is when nobody says otherwise.
    fileprivate func isUsual(_ value: JSON) -> Bool { value == .null || name.hasPrefix("anchor_") && value == 1 }
}
