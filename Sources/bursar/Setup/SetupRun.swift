/// Does what a plan says, one write after the other, through the API: so roles, checks, bounds, the audit trail and the fence hold as for
/// anybody. A run that breaks off is taken up by the next, which plans anew from what is there.
import JSON
import Outbound

struct SetupRun {
    let api: SetupAPI
    let file: SetupFile
    let secrets: SetupSecrets
    private(set) var state: SetupState

    init(_ api: SetupAPI, _ file: SetupFile, _ state: SetupState, _ secrets: SetupSecrets) {
        self.api = api
        self.file = file
        self.state = state
        self.secrets = secrets
    }

    /// - Parameter say: takes a line for each step once it is done.
    /// - Throws: `CommandError` that names the first step that failed, why, and how many were done.
    mutating func run(_ steps: [SetupStep], say: (String) -> Void) async throws {
        for (done, step) in steps.enumerated() {
            do {
                let note = try await run(step)
                say("\(step)\(note)")
            } catch {
                let rest = "\(done) of \(steps.count) changes were made; run it again for the rest"
                throw CommandError("\(cause(error, step))\n\(rest)")
            }
        }
    }

    private mutating func run(_ step: SetupStep) async throws -> String {
        switch step {
        case .create(let object): return try await create(object)
        case .change(let object, let changes):
            try await change(object.key, changes)
            return ""
        case .archive(let key):
            guard let thing = state[key] else { return "" }
            _ = try await api.write(.delete, "\(key.kind.path)/\(thing.id)", revision: thing.revision)
            return ""
        }
    }

    /// What cannot be said at once is changed right after.
    private mutating func create(_ object: SetupObject) async throws -> String {
        let key = object.key
        var body = JSON.Object([("name", .string(key.path.last ?? ""))])
        switch (key.kind, key.parent.kind) {
        case (.project, _), (.budget, .team), (.budget, .project):
            let parent = JSON.string(try id(of: key.parent))
            if key.kind == .project { body["team"] = parent } else { body["scope"] = [key.parent.kind.rawValue: parent] }
        default: break
        }
        for field in key.kind.fields where field.rule != .afterwards {
            guard let value = object.fields[field.name], value != .null else { continue }
            body[field.name] = if case .costCenter = field.form { value["name"] ?? value } else { try sent(value, field.form) }
        }
        let answer = try await api.write(.post, key.kind.path, .object(body))
        state.keep(answer, as: key)
        if let thing = state[key] { try await change(key, SetupPlan.changes(of: object, thing)) }
        return answer["public_key"]?.string.map { " (its receiver verifies with \($0))" } ?? ""
    }

    private mutating func change(_ key: SetupKey, _ changes: [SetupChange]) async throws {
        var body = JSON.Object()
        var later: JSON?
        for change in changes {
            guard case .costCenter = change.field.form else {
                body[change.field.name] = try sent(change.to, change.field.form)
                continue
            }
            let isAhead = change.to.object != nil
            let name = change.to["name"] ?? change.to
            if !isAhead || name != change.from["name"] ?? change.from { body["cost_center"] = name }
            if isAhead { later = ["cost_center": change.to["next"] ?? .null, "cost_center_from": change.to["from"] ?? .null] }
        }
        for body in [body.isEmpty ? nil : .object(body), later] {
            guard let body, let thing = state[key] else { continue }
            let path = key.kind == .organization ? key.kind.path : "\(key.kind.path)/\(thing.id)"
            state.keep(try await api.write(.patch, path, body, revision: thing.revision), as: key)
        }
    }

    /// The value as the API takes it: ids in place of names, secrets in place of references.
    private func sent(_ value: JSON, _ form: SetupForm) throws -> JSON {
        switch (form, value) {
        case (.list(let form), .array(let elements)): return .array(try elements.map { try sent($0, form) })
        case (.secret, .string(let text)): return secrets.open(text).map { .string($0) } ?? .null
        case (.tier, .string), (.concern, .object):
            guard let key = SetupPlan.references(value, form).first ?? nil else { return value }
            return .string(try id(of: key))
        default: return value
        }
    }

    private func id(of key: SetupKey) throws -> String {
        guard let thing = state[key] else { throw CommandError("there is no \(key)") }
        return thing.id
    }

    /// The fault, at the line of the field it is about.
    private func cause(_ error: any Error, _ step: SetupStep) -> String {
        let object = file.objects.first { $0.key == step.key }
        func line(_ pointer: String?) -> String {
            let field = pointer?.split(separator: "/").first.map(String.init)
            let place = field.flatMap { object?.places[$0] } ?? object?.place
            return place.map { "\(file.name):\($0.line)" } ?? file.name
        }
        guard let problem = error as? SetupProblem, !problem.faults.isEmpty else { return "\(line(nil)): \(step.key): \(error)" }
        return problem.faults.map { "\(line($0.pointer)): \(step.key): \($0.pointer) \($0.detail)" }.joined(separator: "\n")
    }
}
