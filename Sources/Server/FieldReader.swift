/// Reads the fields of a body or of a query and gathers every fault, so that a caller is told all of them at once.
import JSON

/// The members of one object, taken one by one. A faulty field yields a placeholder, which nobody sees: `finish` throws first.
///
///     var fields = try exchange.fields()
///     let name = fields.require("name", .text(1...200))
///     let costCenter = fields.optional("cost_center", .text(1...100))
///     try fields.finish()
struct FieldReader {
    private let object: JSON.Object
    /// What pointers to this object's fields begin with: `/` in a body, `?` in a query.
    private let root: String
    private var known: [String] = []
    private(set) var faults: [FieldFault] = []

    init(_ object: JSON.Object, root: String = "/") {
        self.object = object
        self.root = root
        known.reserveCapacity(12)
    }

    /// Whether a field is there and not null.
    func has(_ name: String) -> Bool { object[name].map { $0 != .null } ?? false }

    /// A field that must be there.
    mutating func require<Value>(_ name: String, _ rule: FieldRule<Value>) -> Value {
        known.append(name)
        guard let value = object[name] else {
            fault(name, .missing, "is required")
            return rule.placeholder
        }
        return read(value, name, rule) ?? rule.placeholder
    }

    /// A field that may be left out or null.
    mutating func optional<Value>(_ name: String, _ rule: FieldRule<Value>) -> Value? {
        known.append(name)
        guard let value = object[name], value != .null else { return nil }
        return read(value, name, rule)
    }

    /// A field of a change: nil when it is left out and stays as it is. It cannot be null.
    mutating func change<Value>(_ name: String, _ rule: FieldRule<Value>) -> Value? {
        known.append(name)
        guard let value = object[name] else { return nil }
        return read(value, name, rule)
    }

    /// A field of a change that may be emptied with null (RFC 7396): `.some(nil)` says so.
    mutating func changeOrEmpty<Value>(_ name: String, _ rule: FieldRule<Value>) -> Value?? {
        known.append(name)
        guard let value = object[name] else { return nil }
        if value == .null { return .some(nil) }
        return read(value, name, rule).map { .some($0) }
    }

    /// A fault that concerns more than one field; `name` is the one to point at.
    mutating func fault(_ name: String, _ code: FieldFault.Code, _ detail: String) {
        faults.append(FieldFault(pointer: root + FieldReader.escaped(name), code: code, detail: detail))
    }

    /// The faults so far, and one for each member that nobody asked for.
    mutating func allFaults() -> [FieldFault] {
        for member in object where !known.contains(member.name) { fault(member.name, .unknownField, "is not a field of this request") }
        return faults
    }

    /// Throws a problem that lists every fault, if there is one.
    mutating func finish() throws(Problem) {
        let faults = allFaults()
        guard !faults.isEmpty else { return }
        let names = faults.prefix(3).map(\.pointer).joined(separator: ", ")
        throw .invalid("Faulty: \(names)\(faults.count > 3 ? " and others" : "").", status: 422, faults: Array(faults.prefix(100)))
    }

    private mutating func read<Value>(_ value: JSON, _ name: String, _ rule: FieldRule<Value>) -> Value? {
        switch rule.read(value) {
        case .success(let value): return value
        case .failure(let found):
            for fault in found.list {
                faults.append(
                    FieldFault(pointer: root + FieldReader.escaped(name) + fault.pointer, code: fault.code, detail: fault.detail))
            }
            return nil
        }
    }

    /// RFC 6901 §3.
    static func escaped(_ name: String) -> String {
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else { return name }
        return name.split(separator: "~", omittingEmptySubsequences: false).joined(separator: "~0")
            .split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
    }
}
