/// What has to be done so that an organization is as a file wants it. Everything that can be known to fail beforehand fails here.
import JSON

/// One field that is to change.
struct SetupChange {
    let field: SetupField
    let from: JSON
    let to: JSON

    var text: String { "\(field.name) \(field.form.text(from)) → \(field.form.text(to))" }
}

enum SetupStep: CustomStringConvertible {
    case create(SetupObject)
    case change(SetupObject, [SetupChange])
    case archive(SetupKey)

    var key: SetupKey {
        switch self {
        case .create(let object), .change(let object, _): object.key
        case .archive(let key): key
        }
    }

    var description: String {
        switch self {
        case .create(let object): "+ \(object.key)"
        case .change(let object, let changes): "~ \(object.key): \(changes.map(\.text).joined(separator: ", "))"
        case .archive(let key): "- \(key)"
        }
    }
}

struct SetupPlan {
    let steps: [SetupStep]
    /// What lives on the server in lists that the file has, and is not in the file, each without what stands in it; empty when it is to
    /// be archived.
    let missing: [SetupKey]

    /// - Throws: `SetupFaults`.
    init(_ file: SetupFile, _ state: SetupState, _ secrets: SetupSecrets, archivesMissing: Bool) throws {
        var faults: [SetupFault] = []
        let wanted = Set(file.objects.map(\.key))
        var steps: [SetupStep] = []
        for object in file.objects.sorted(by: { $0.key < $1.key }) {
            faults += SetupPlan.ambiguity(of: object, state)
            faults += SetupPlan.unknownReferences(of: object, wanted, state)
            if let thing = state[object.key] {
                let changes = SetupPlan.changes(of: object, thing)
                faults += SetupPlan.impossible(changes, of: object)
                if !changes.isEmpty { steps.append(.change(object, changes)) }
            } else {
                faults += SetupPlan.incomplete(object) + secrets.faults(of: object)
                steps.append(.create(object))
            }
        }
        let missing = SetupPlan.missing(file, state, wanted)
        let gone = Set(missing)
        self.missing = archivesMissing ? [] : missing.filter { !gone.contains($0.parent) }
        self.steps = steps + (archivesMissing ? missing.reversed().map { .archive($0) } : [])
        guard faults.isEmpty else { throw SetupFaults(file: file.name, faults: faults) }
    }

    /// The fields that the file gives another value than they have.
    static func changes(of object: SetupObject, _ thing: SetupState.Thing) -> [SetupChange] {
        object.key.kind.fields.compactMap { field in
            guard field.rule != .sealed, let to = object.fields[field.name] else { return nil }
            let from = thing.fields[field.name] ?? .null
            return field.form.isSame(from, to) ? nil : SetupChange(field: field, from: from, to: to)
        }
    }

    /// In the order of making. What stands in something missing is missing with it.
    private static func missing(_ file: SetupFile, _ state: SetupState, _ wanted: Set<SetupKey>) -> [SetupKey] {
        var missing: Set<SetupKey> = []
        return state.order.sorted(by: <).filter { key in
            guard key.kind != .organization, !wanted.contains(key) else { return false }
            let isListed = file.sections.contains(SetupSection(parent: key.parent, kind: key.kind))
            guard isListed || missing.contains(key.parent) else { return false }
            missing.insert(key)
            return true
        }
    }

    private static func ambiguity(of object: SetupObject, _ state: SetupState) -> [SetupFault] {
        guard let ids = state.ambiguous[object.key] else { return [] }
        return [SetupFault(place: object.place, text: "could be any of \(ids.joined(separator: ", ")): give them different names first")]
    }

    private static func impossible(_ changes: [SetupChange], of object: SetupObject) -> [SetupFault] {
        changes.filter { $0.field.rule == .fixed }.map { change in
            let text = "cannot change: \(change.text). Give the new one another name; this one can then be archived"
            return SetupFault(place: object.places[change.field.name] ?? object.place, text: text)
        }
    }

    private static func incomplete(_ object: SetupObject) -> [SetupFault] {
        let lacking = object.key.kind.fields.filter { $0.isRequired && object.fields[$0.name] ?? .null == .null }.map(\.name)
        return lacking.isEmpty ? [] : [SetupFault(place: object.place, text: "is new and needs \(lacking.joined(separator: ", "))")]
    }

    private static func unknownReferences(of object: SetupObject, _ wanted: Set<SetupKey>, _ state: SetupState) -> [SetupFault] {
        object.key.kind.fields.flatMap { field -> [SetupFault] in
            references(object.fields[field.name] ?? .null, field.form).compactMap { key in
                let isThere = key.map { wanted.contains($0) || state[$0] != nil } ?? false
                let text = key.map { "names \($0), which is neither in the file nor on the server" } ?? "needs team beside project"
                return isThere ? nil : SetupFault(place: object.places[field.name] ?? object.place, text: text)
            }
        }
    }

    /// What a value refers to; nil for what cannot refer to anything.
    static func references(_ value: JSON, _ form: SetupForm) -> [SetupKey?] {
        switch (form, value) {
        case (.tier, .string(let name)): [SetupKey(kind: .tier, path: [name])]
        case (.list(let form), .array(let elements)): elements.flatMap { references($0, form) }
        case (.concern, .object(let names)): [concern(names)]
        default: []
        }
    }

    private static func concern(_ names: JSON.Object) -> SetupKey? {
        let path = ["team", "project", "budget"].compactMap { names[$0]?.string }
        guard !path.isEmpty, names["project"] == nil || names["team"] != nil else { return nil }
        return SetupKey(kind: names["budget"] != nil ? .budget : names["project"] != nil ? .project : .team, path: path)
    }
}
