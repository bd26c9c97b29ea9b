/// How the domain's values look in JSON (design §7): ids and times as text, money with its currency, counts as numbers.
import Budgets
import JSON

extension JSONWriter {
    mutating func field<Kind: IDKind>(_ name: StaticString, _ id: ID<Kind>) {
        self.name(name)
        plainString(id.append(to:))
    }

    mutating func field<Kind: IDKind>(_ name: StaticString, _ id: ID<Kind>?) {
        self.name(name)
        if let id { plainString(id.append(to:)) } else { null() }
    }

    mutating func field(_ name: StaticString, _ instant: Instant) {
        self.name(name)
        plainString(instant.append(to:))
    }

    mutating func field(_ name: StaticString, _ instant: Instant?) {
        self.name(name)
        if let instant { plainString(instant.append(to:)) } else { null() }
    }

    mutating func field(_ name: StaticString, _ money: Money) {
        self.name(name)
        amount(money, in: .usd)
    }

    mutating func field(_ name: StaticString, _ amount: Amount, in unit: BudgetUnit) {
        self.name(name)
        self.amount(amount, in: unit)
    }

    /// Dollars as `{"amount":"12.340000000000","currency":"USD"}`, tokens and requests as numbers.
    mutating func amount(_ amount: Amount, in unit: BudgetUnit) {
        guard unit == .usd else { return number(text: amount.plain) }
        object { writer in
            writer.name("amount")
            writer.plainString(amount.append(to:))
            writer.field("currency", "USD")
        }
    }

    mutating func array(_ name: StaticString, _ texts: [String]) {
        array(name) { writer in for text in texts { writer.string(text) } }
    }

    mutating func array(_ name: StaticString, _ numbers: [Int64]) {
        array(name) { writer in for number in numbers { writer.number(number) } }
    }
}

/// How much of an amount is used, in percent with two digits, rounded down: `71.20`. All of nothing is used up.
func usedPercent(_ used: Amount, of amount: Amount) -> String {
    let hundredths = amount > .zero ? used.pico * 10_000 / amount.pico : 10_000
    let fraction = hundredths % 100
    return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
}

extension FieldRule where Value == Amount {
    /// An amount as callers write it: a decimal string, a whole number, or what an answer shows, `{"amount":…,"currency":"USD"}`.
    static func writtenAmount(fractionDigits: Int = Amount.fractionDigits) -> FieldRule {
        let decimal = amount(fractionDigits: fractionDigits)
        let object = FieldRule.fields { fields in
            _ = fields.require("currency", .text("USD", placeholder: "USD") { $0 == "USD" ? $0 : nil })
            return fields.require("amount", decimal)
        }
        return FieldRule(placeholder: .zero) { json in
            switch json {
            case .string, .null, .bool, .array: decimal.read(json)
            case .object: object.read(json)
            case .number(let text):
                // Only a whole number is exact whoever wrote it; a fraction may have been a binary float.
                text.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
                    ? decimal.read(.string(text)) : .fault(.invalidValue, "must be a whole number or a decimal string")
            }
        }
    }
}

extension FieldRule where Value == String {
    /// An object that is kept and not interpreted: its JSON text. Bounded so that Postgres can keep it as jsonb.
    static func keptObject(maximumBytes: Int) -> FieldRule {
        FieldRule(placeholder: "{}") { json in
            guard case .object = json else { return .wrongType(json, "an object") }
            guard isKeepable(json) else { return .fault(.invalidValue, "must not have NUL characters or numbers beyond 100 digits") }
            let text = json.text
            guard text.utf8.count <= maximumBytes else { return .fault(.outOfRange, "must have at most \(maximumBytes) bytes") }
            return .success(text)
        }
    }

    private static func isKeepable(_ json: JSON) -> Bool {
        switch json {
        case .null, .bool: true
        case .string(let text): !text.utf8.contains(0)
        case .number(let text): text.utf8.count <= 100 && exponent(of: text).magnitude <= 300
        case .array(let elements): elements.allSatisfy(isKeepable)
        case .object(let members): members.allSatisfy { !$0.name.utf8.contains(0) && isKeepable($0.value) }
        }
    }

    private static func exponent(of number: String) -> Int {
        guard let mark = number.firstIndex(where: { $0 == "e" || $0 == "E" }) else { return 0 }
        return Int(number[number.index(after: mark)...]) ?? .max
    }
}
