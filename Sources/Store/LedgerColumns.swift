/// The JSON columns of reservations and entries: draws and lines, written by hand because every call writes them.
public import Budgets
import JSON
public import Postgres

extension Draw {
    /// `[{"budget":"<uuid>","subject":"","period_start":"…Z","quantity":"0.01","amount":"5000","settled":"…","held":"…"}]`, and where
    /// bursts have a part in it `"burst":"500"` and `"bursts":[{"id":"<uuid>","quantity":"0.004"}]`.
    public static func encode(_ draws: [Draw]) -> JSONText {
        var writer = JSONWriter(capacity: draws.count * 200 + 2)
        writer.array { writer in
            for draw in draws {
                writer.object { writer in
                    writer.field("budget", uuid: draw.counter.budget)
                    writer.field("subject", draw.counter.subject)
                    writer.name("period_start")
                    writer.plainString(draw.counter.periodStart.append(to:))
                    writer.field("quantity", draw.quantity)
                    writer.field("amount", draw.amount)
                    writer.field("settled", draw.settled)
                    writer.field("held", draw.held)
                    if draw.isFinalCall { writer.field("final_call", true) }
                    if draw.beyond > .zero { writer.field("beyond", draw.beyond) }
                    if draw.burst != .zero { writer.field("burst", draw.burst) }
                    guard !draw.bursts.isEmpty else { return }
                    // An array, because jsonb does not keep the order of members.
                    writer.array("bursts") { writer in
                        for share in draw.bursts {
                            writer.object { writer in
                                writer.field("id", uuid: share.burst)
                                writer.field("quantity", share.quantity)
                            }
                        }
                    }
                }
            }
        }
        return JSONText(bytes: writer.bytes)
    }

    static func decode(_ column: [UInt8]) throws(PostgresError) -> [Draw] {
        guard let elements = (try? JSON.parse(column))?.array else { throw .decoding("draws that are no JSON array") }
        var draws: [Draw] = []
        for element in elements {
            guard let budget = element["budget"]?.string.flatMap({ BudgetID(hexadecimal: $0) }),
                let subject = element["subject"]?.string,
                let start = element["period_start"]?.string.flatMap({ Instant(rfc3339: $0) }),
                let quantity = element["quantity"]?.string.flatMap({ Amount($0) }),
                let amount = element["amount"]?.string.flatMap({ Amount($0) }),
                let settled = element["settled"]?.string.flatMap({ Amount($0) }),
                let held = element["held"]?.string.flatMap({ Amount($0) })
            else { throw .decoding("a draw with a missing or malformed member") }
            draws.append(
                Draw(
                    counter: CounterID(budget: budget, subject: subject, periodStart: start), quantity: quantity,
                    bursts: try shares(element["bursts"]), amount: amount,
                    burst: element["burst"]?.string.flatMap { Amount($0) } ?? .zero, settled: settled, held: held,
                    isFinalCall: element["final_call"] == true, beyond: element["beyond"]?.string.flatMap { Amount($0) } ?? .zero))
        }
        return draws
    }

    private static func shares(_ column: JSON?) throws(PostgresError) -> [BurstShare] {
        var shares: [BurstShare] = []
        for element in column?.array ?? [] {
            guard let burst = element["id"]?.string.flatMap({ BurstID(hexadecimal: $0) }),
                let quantity = element["quantity"]?.string.flatMap({ Amount($0) })
            else { throw .decoding("a share of a burst with a missing or malformed member") }
            shares.append(BurstShare(burst: burst, quantity: quantity))
        }
        return shares
    }
}

extension Substitution {
    /// `[{"kind":"degraded","budget":"<uuid>","model":"gpt-4o-mini","from_percent":80}]`; NULL when there are none.
    public static func encode(_ substitutions: [Substitution]) -> JSONB? {
        guard !substitutions.isEmpty else { return nil }
        var writer = JSONWriter(capacity: substitutions.count * 150 + 2)
        writer.array { writer in
            for substitution in substitutions {
                writer.object { writer in
                    writer.field("kind", substitution.kind.rawValue)
                    writer.field("budget", substitution.budget.hexadecimal)
                    writer.field("model", substitution.model)
                    if let percent = substitution.fromPercent { writer.field("from_percent", Int64(percent)) }
                    if let reason = substitution.reason { writer.field("reason", reason) }
                }
            }
        }
        return JSONB(bytes: writer.bytes)
    }

    static func decode(_ column: JSONB?) throws(PostgresError) -> [Substitution] {
        guard let column else { return [] }
        guard let elements = (try? JSON.parse(column.bytes))?.array else { throw .decoding("substitutions that are no JSON array") }
        var substitutions: [Substitution] = []
        for element in elements {
            guard let kind = element["kind"]?.string.flatMap({ Kind(rawValue: $0) }),
                let budget = element["budget"]?.string.flatMap({ BudgetID(hexadecimal: $0) }), let model = element["model"]?.string
            else { throw .decoding("a substitution with a missing or malformed member") }
            substitutions.append(
                Substitution(
                    kind: kind, budget: budget, model: model, fromPercent: element["from_percent"]?.int64.map { Int($0) },
                    reason: element["reason"]?.string))
        }
        return substitutions
    }
}

extension EntryLine {
    /// `{"input":{"quantity":1200,"price":"<uuid>","cost":"0.003"},…}`; `price` is null where none was known.
    public static func encode(_ lines: [EntryLine]) -> JSONB {
        var writer = JSONWriter(capacity: lines.count * 110 + 2)
        writer.object { writer in
            for line in lines {
                writer.name(line.kind)
                writer.object { writer in
                    writer.field("quantity", line.quantity)
                    writer.field("price", line.price?.hexadecimal)
                    writer.field("cost", line.cost)
                }
            }
        }
        return JSONB(bytes: writer.bytes)
    }

    static func decode(_ column: JSONB) throws(PostgresError) -> [EntryLine] {
        guard let members = (try? JSON.parse(column.bytes))?.object else { throw .decoding("lines that are no JSON object") }
        var lines: [EntryLine] = []
        for member in members {
            guard let quantity = member.value["quantity"]?.int64, let cost = member.value["cost"]?.string.flatMap({ Amount($0) }) else {
                throw .decoding("a line with a missing or malformed member")
            }
            lines.append(
                EntryLine(
                    kind: member.name, quantity: quantity, price: member.value["price"]?.string.flatMap { PriceID(hexadecimal: $0) },
                    cost: cost))
        }
        return lines
    }
}

extension JSONWriter {
    fileprivate mutating func field(_ name: StaticString, _ amount: Amount) {
        self.name(name)
        plainString(amount.appendPlain(to:))
    }

    fileprivate mutating func field<Kind: IDKind>(_ name: StaticString, uuid id: ID<Kind>) {
        self.name(name)
        plainString(id.appendHexadecimal(to:))
    }
}
