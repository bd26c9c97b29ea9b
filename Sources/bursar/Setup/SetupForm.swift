/// The forms of fields of a set-up: when two values mean the same, and how one is shown. Values stand as JSON with names in place of ids.
import Budgets
import Foundation
import JSON

indirect enum SetupForm: Sendable {
    /// As it is written, whatever YAML makes of it: `0042` and `no` are texts here.
    case text
    case whole, flag, instant
    /// A decimal, kept as text: never a binary float (law 5).
    case amount
    /// A name, or `{name, next, from}` with a change ahead.
    case costCenter
    /// The name of a tier.
    case tier
    /// `{team}`, `{team, project}`, either with a `budget`, or a `budget` of the organization; or an id, of what has no name here.
    case concern
    /// A text that comes from the environment, `${ENV:NAME}`.
    case secret
    /// Whatever JSON has.
    case free
    case list(SetupForm)
    /// By names of the author's own.
    case map(SetupForm)
    case object([SetupField])

    func isSame(_ left: JSON, _ right: JSON) -> Bool {
        switch (self, left, right) {
        case (.amount, .string(let left), .string(let right)): Amount(left).map { $0 == Amount(right) } ?? (left == right)
        case (.instant, .string(let left), .string(let right)): Instant(rfc3339: left).map { $0 == Instant(rfc3339: right) } ?? false
        case (.costCenter, .object, .object):
            left["name"] == right["name"] && left["next"] == right["next"]
                && SetupForm.instant.isSame(left["from"] ?? .null, right["from"] ?? .null)
        case (.list, .null, .array(let elements)), (.list, .array(let elements), .null): elements.isEmpty
        case (.list(let form), .array(let left), .array(let right)):
            left.count == right.count && zip(left, right).allSatisfy { form.isSame($0, $1) }
        case (.map(let form), .object(let left), .object(let right)):
            left.count == right.count && left.allSatisfy { member in right[member.name].map { form.isSame(member.value, $0) } ?? false }
        case (.object(let fields), .object, .object):
            fields.allSatisfy { $0.form.isSame(left[$0.name] ?? .null, right[$0.name] ?? .null) }
        case (.free, _, _): SetupForm.isSameJSON(left, right)
        default: left == right
        }
    }

    /// As Postgres compares kept JSON: the order of members means nothing, and a number is its value.
    private static func isSameJSON(_ left: JSON, _ right: JSON) -> Bool {
        switch (left, right) {
        case (.number(let left), .number(let right)): left == right || Decimal(string: left).map { $0 == Decimal(string: right) } ?? false
        case (.array(let left), .array(let right)): left.count == right.count && zip(left, right).allSatisfy(isSameJSON)
        case (.object, .object): SetupForm.map(.free).isSame(left, right)
        default: left == right
        }
    }

    /// For people, on one line.
    func text(_ value: JSON) -> String {
        switch (self, value) {
        case (_, .null): "none"
        case (.amount, .string(let text)): Amount(text)?.plain ?? text
        case (.list(let form), .array(let elements)): "[\(elements.map(form.text).joined(separator: ", "))]"
        case (.concern, .object(let names)): names.map { $0.value.string ?? "" }.joined(separator: "/")
        case (_, .string(let text)): text
        default: value.text
        }
    }
}
