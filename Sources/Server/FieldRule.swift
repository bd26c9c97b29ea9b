/// What a field may hold: small rules that handlers put together.
import Budgets
import JSON

/// Faults with pointers relative to the field.
struct FieldFaults: Error {
    let list: [FieldFault]
}

/// Turns a JSON value into a `Value`, or says what is wrong with it.
struct FieldRule<Value: Sendable>: Sendable {
    /// Stands in for a faulty value until the reader's `finish` throws.
    let placeholder: Value
    let read: @Sendable (JSON) -> Result<Value, FieldFaults>

    /// A rule with one possible fault of the value itself.
    init(placeholder: Value, read: @escaping @Sendable (JSON) -> Result<Value, FieldFaults>) {
        self.placeholder = placeholder
        self.read = read
    }
}

extension Result where Failure == FieldFaults {
    static func fault(_ code: FieldFault.Code, _ detail: String) -> Self {
        .failure(FieldFaults(list: [FieldFault(pointer: "", code: code, detail: detail)]))
    }

    static func wrongType(_ value: JSON, _ wanted: String) -> Self { .fault(.wrongType, "must be \(wanted), not \(value.kindName)") }
}

extension FieldRule {
    /// A further condition on the value.
    func that(_ detail: String, _ condition: @escaping @Sendable (Value) -> Bool) -> FieldRule {
        FieldRule(placeholder: placeholder) { json in
            read(json).flatMap { condition($0) ? .success($0) : .fault(.invalidValue, detail) }
        }
    }

    /// The same value in another form.
    func map<Other>(_ transform: @escaping @Sendable (Value) -> Other) -> FieldRule<Other> {
        FieldRule<Other>(placeholder: transform(placeholder)) { json in read(json).map(transform) }
    }

    /// A value made of the text, or nil when the text is none.
    static func text(_ wanted: String, placeholder: Value, _ make: @escaping @Sendable (String) -> Value?) -> FieldRule {
        FieldRule(placeholder: placeholder) { json in
            guard case .string(let text) = json else { return .wrongType(json, wanted) }
            guard let value = make(text) else { return .fault(.invalidValue, "must be \(wanted)") }
            return .success(value)
        }
    }

    /// An array of values that each follow a rule.
    static func list<Element>(_ element: FieldRule<Element>, _ count: ClosedRange<Int>) -> FieldRule where Value == [Element] {
        FieldRule(placeholder: []) { json in
            guard case .array(let elements) = json else { return .wrongType(json, "an array") }
            guard count.contains(elements.count) else {
                return .fault(.outOfRange, "must have \(count.lowerBound) to \(count.upperBound) elements")
            }
            var values: [Element] = []
            var faults: [FieldFault] = []
            for (index, json) in elements.enumerated() {
                switch element.read(json) {
                case .success(let value): values.append(value)
                case .failure(let found):
                    faults += found.list.map { FieldFault(pointer: "/\(index)\($0.pointer)", code: $0.code, detail: $0.detail) }
                }
            }
            return faults.isEmpty ? .success(values) : .failure(FieldFaults(list: faults))
        }
    }

    /// An object with fields of its own.
    static func fields(_ body: @escaping @Sendable (inout FieldReader) -> Value) -> FieldRule {
        var empty = FieldReader(JSON.Object())
        return FieldRule(placeholder: body(&empty)) { json in
            guard case .object(let object) = json else { return .wrongType(json, "an object") }
            var reader = FieldReader(object)
            let value = body(&reader)
            let faults = reader.allFaults()
            return faults.isEmpty ? .success(value) : .failure(FieldFaults(list: faults))
        }
    }
}

extension FieldRule where Value == String {
    /// Text of so many characters (Unicode scalars, as Postgres counts), without control characters.
    static func text(_ length: ClosedRange<Int>) -> FieldRule {
        FieldRule(placeholder: "") { json in
            guard case .string(let text) = json else { return .wrongType(json, "a string") }
            let bytes = text.utf8.count
            let fits = bytes <= length.upperBound ? bytes >= length.lowerBound : length.contains(text.unicodeScalars.count)
            guard fits, bytes > 0 || length.lowerBound == 0 else {
                return .fault(.outOfRange, "must have \(length.lowerBound) to \(length.upperBound) characters")
            }
            guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                return .fault(.invalidValue, "must not have control characters")
            }
            return .success(text)
        }
    }

    /// Lower-case letters, digits and some signs: words that become parts of names elsewhere.
    static func word(_ length: ClosedRange<Int>, alphabet: String = "abcdefghijklmnopqrstuvwxyz0123456789_-") -> FieldRule {
        text(length).that("must start with a letter or digit and have only \(alphabet)") { text in
            text.first.map { $0 != "_" && $0 != "-" } ?? false && text.allSatisfy(alphabet.contains)
        }
    }

    /// A pattern against names: `*` stands for any run of characters.
    static var pattern: FieldRule { text(1...200).that("must be a pattern") { Pattern($0) != nil } }

    static var timeZone: FieldRule { text(1...100).that("must be an IANA time zone") { Zone($0) != nil } }
}

extension FieldRule where Value == Bool {
    static var bool: FieldRule {
        FieldRule(placeholder: false) { json in
            guard case .bool(let value) = json else { return .wrongType(json, "a boolean") }
            return .success(value)
        }
    }
}

extension FieldRule where Value == Int64 {
    /// A whole number, written as one.
    static func integer(_ range: ClosedRange<Int64>) -> FieldRule {
        FieldRule(placeholder: range.lowerBound) { json in
            guard case .number(let text) = json else { return .wrongType(json, "a whole number") }
            guard let value = Int64(text) else {
                return .fault(.invalidValue, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            guard range.contains(value) else {
                return .fault(.outOfRange, "must be from \(range.lowerBound) to \(range.upperBound)")
            }
            return .success(value)
        }
    }

    /// A whole number in the text of a query parameter.
    static func digits(_ range: ClosedRange<Int64>) -> FieldRule {
        text("a whole number from \(range.lowerBound) to \(range.upperBound)", placeholder: range.lowerBound) { text in
            Int64(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension FieldRule where Value == Amount {
    /// A decimal as a string, not negative, with at most so many fractional digits. Numbers are refused: too many writers make
    /// binary floats of them (law 5).
    static func amount(fractionDigits: Int = Amount.fractionDigits) -> FieldRule {
        let unit = (fractionDigits..<Amount.fractionDigits).reduce(Int128(1)) { power, _ in power * 10 }
        return text(
            "a decimal string from 0 to 1000000000000000 with at most \(fractionDigits) fractional digits", placeholder: .zero
        ) { text in
            guard text.utf8.count <= 40, let amount = Amount(text), amount >= .zero, amount <= .maximum, amount.pico % unit == 0 else {
                return nil
            }
            return amount
        }
    }
}

extension FieldRule where Value == Instant {
    static var instant: FieldRule {
        text("an RFC 3339 time", placeholder: Instant(microseconds: 0)) { Instant(rfc3339: $0) }
    }
}

extension FieldRule {
    static func id<Kind: IDKind>(_ kind: Kind.Type) -> FieldRule where Value == ID<Kind> {
        text("an id that begins with \(Kind.prefix)_", placeholder: ID(high: 0, low: 0)) { ID($0) }
    }
}

extension FieldRule where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of the words of an enumeration.
    static func word(_ type: Value.Type) -> FieldRule {
        let words = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return text("one of \(words)", placeholder: Value.allCases[Value.allCases.startIndex]) { Value(rawValue: $0) }
    }
}
