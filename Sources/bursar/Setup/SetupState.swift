/// An organization as its server has it, in the words of a set-up file: names in place of ids.
import Budgets
import JSON

struct SetupState {
    /// One thing that lives on the server.
    struct Thing {
        let key: SetupKey
        let id: String
        var revision: Int64
        /// Without what is sealed.
        var fields: JSON.Object
    }

    /// In the order in which they were made, kind by kind.
    private(set) var things: [SetupKey: Thing] = [:]
    private(set) var order: [SetupKey] = []
    /// Names that several things have in one place, which only budgets and endpoints may.
    private(set) var ambiguous: [SetupKey: [String]] = [:]
    private var keys: [String: SetupKey] = [:]

    /// - Parameter kinds: what is read beside the organization and its tree.
    static func read(_ api: SetupAPI, models: Bool) async throws -> SetupState {
        var state = SetupState()
        for kind in SetupKind.allCases where kind != .model || models {
            let items = kind == .organization ? [try await api.read(kind.path)] : try await api.list(kind.path)
            for item in items { if let key = state.key(of: item, kind) { state.keep(item, as: key) } }
        }
        return state
    }

    subscript(key: SetupKey) -> Thing? { things[key] }

    /// Takes in what the server answered about a thing.
    mutating func keep(_ item: JSON, as key: SetupKey) {
        let id = item["id"]?.string ?? ""
        if let other = things[key], other.id != id {
            ambiguous[key, default: [other.id]].append(id)
            return
        }
        if things[key] == nil { order.append(key) }
        keys[id] = key
        var fields = JSON.Object()
        for field in key.kind.fields where field.rule != .sealed { fields[field.name] = shown(item, field) }
        things[key] = Thing(key: key, id: id, revision: item["revision"]?.int64 ?? 0, fields: fields)
    }

    /// Nil for what no file is about: the platform's models, the budgets that keep a tier's cap or follow another budget's amount, and
    /// things whose parent is not there.
    private func key(of item: JSON, _ kind: SetupKind) -> SetupKey? {
        guard kind != .organization else { return .organization }
        guard let name = item["name"]?.string, item["owner"]?.string != "platform" else { return nil }
        switch kind {
        case .project: return item["team"]?.string.flatMap { keys[$0] }?.child(kind, name)
        case .budget:
            guard item["tier"] ?? .null == .null, item["share"] ?? .null == .null else { return nil }
            guard let scope = item["scope"]?["team"]?.string ?? item["scope"]?["project"]?.string else {
                return SetupKey.organization.child(kind, name)
            }
            return keys[scope]?.child(kind, name)
        default: return SetupKey.organization.child(kind, name)
        }
    }

    private func shown(_ item: JSON, _ field: SetupField) -> JSON {
        let value = item[field.name] ?? .null
        guard case .costCenter = field.form, let from = item["next_cost_center_from"], from != .null else {
            return shown(value, field.form)
        }
        return ["name": value, "next": item["next_cost_center"] ?? .null, "from": from]
    }

    private func shown(_ value: JSON, _ form: SetupForm) -> JSON {
        switch (form, value) {
        case (.amount, .object): value["amount"] ?? .null
        case (.amount, .number(let text)): .string(text)
        case (.tier, .string(let id)): .string(keys[id]?.path.last ?? id)
        case (.concern, .string(let id)): keys[id].map(SetupState.concern) ?? value
        case (.list(let form), .array(let elements)): .array(elements.map { shown($0, form) })
        default: value
        }
    }

    private static func concern(_ key: SetupKey) -> JSON {
        let isBudget = key.kind == .budget
        var names = Array(zip(["team", "project"], isBudget ? key.path.dropLast() : key.path[...]).map { ($0, JSON.string($1)) })
        if isBudget { names.append(("budget", .string(key.path.last ?? ""))) }
        return .object(names)
    }
}
