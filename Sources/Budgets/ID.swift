/// Typed identifiers: a prefix that a person can read and a UUIDv7 that sorts by time (design §7, RFC 9562 §5.7).
/// The kind is part of the type, so a team's id cannot be handed to a function that wants a project's.

/// What an identifier names; gives its text form the prefix.
public protocol IDKind: Sendable {
    /// The letters before the underscore, such as `team`.
    static var prefix: String { get }
}

public enum OrganizationKind: IDKind { public static let prefix = "org" }
public enum TeamKind: IDKind { public static let prefix = "team" }
public enum ProjectKind: IDKind { public static let prefix = "prj" }
public enum AccessRequestKind: IDKind { public static let prefix = "req" }
public enum AccessGrantKind: IDKind { public static let prefix = "grt" }
public enum UserKind: IDKind { public static let prefix = "usr" }
public enum APIKeyKind: IDKind { public static let prefix = "key" }
public enum ModelKind: IDKind { public static let prefix = "mdl" }
public enum PriceKind: IDKind { public static let prefix = "prc" }
public enum TierKind: IDKind { public static let prefix = "tier" }
public enum BudgetKind: IDKind { public static let prefix = "bgt" }
public enum BurstKind: IDKind { public static let prefix = "brs" }
public enum ReallocationKind: IDKind { public static let prefix = "ral" }
public enum ReservationKind: IDKind { public static let prefix = "rsv" }
public enum EntryKind: IDKind { public static let prefix = "ent" }
public enum PriceProposalKind: IDKind { public static let prefix = "prp" }
public enum AdjustmentKind: IDKind { public static let prefix = "adj" }
public enum AlertKind: IDKind { public static let prefix = "alr" }
public enum EventKind: IDKind { public static let prefix = "evt" }
public enum EndpointKind: IDKind { public static let prefix = "ep" }
public enum DeliveryKind: IDKind { public static let prefix = "dlv" }
public enum CostSplitKind: IDKind { public static let prefix = "spl" }
public enum CommitmentKind: IDKind { public static let prefix = "cmt" }
public enum ExportKind: IDKind { public static let prefix = "exp" }
public enum StatementKind: IDKind { public static let prefix = "stm" }

public typealias OrganizationID = ID<OrganizationKind>
public typealias TeamID = ID<TeamKind>
public typealias ProjectID = ID<ProjectKind>
public typealias AccessRequestID = ID<AccessRequestKind>
public typealias AccessGrantID = ID<AccessGrantKind>
public typealias UserID = ID<UserKind>
public typealias APIKeyID = ID<APIKeyKind>
public typealias ModelID = ID<ModelKind>
public typealias PriceID = ID<PriceKind>
public typealias TierID = ID<TierKind>
public typealias BudgetID = ID<BudgetKind>
public typealias BurstID = ID<BurstKind>
public typealias ReallocationID = ID<ReallocationKind>
public typealias ReservationID = ID<ReservationKind>
public typealias EntryID = ID<EntryKind>
public typealias PriceProposalID = ID<PriceProposalKind>
public typealias AdjustmentID = ID<AdjustmentKind>
public typealias AlertID = ID<AlertKind>
public typealias EventID = ID<EventKind>
public typealias EndpointID = ID<EndpointKind>
public typealias DeliveryID = ID<DeliveryKind>
public typealias CostSplitID = ID<CostSplitKind>
public typealias CommitmentID = ID<CommitmentKind>
public typealias ExportID = ID<ExportKind>
public typealias StatementID = ID<StatementKind>

/// 128 bits that name one thing of one kind. Text form: `prefix_` and 32 lower-case hexadecimal digits.
public struct ID<Kind: IDKind>: Hashable, Sendable, Comparable, LosslessStringConvertible {
    /// The first eight bytes of the UUID, big end first.
    public let high: UInt64
    /// The last eight bytes of the UUID, big end first.
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new UUIDv7 for this millisecond.
    public init<Generator: RandomNumberGenerator>(at instant: Instant, using generator: inout Generator) {
        let milliseconds = UInt64(clamping: instant.microseconds / 1000) & 0xFFFF_FFFF_FFFF
        high = milliseconds << 16 | 0x7000 | (generator.next() & 0x0FFF)
        low = 0x8000_0000_0000_0000 | (generator.next() >> 2)
    }

    /// A new UUIDv7 for this millisecond from the system's randomness.
    public init(at instant: Instant) {
        var generator = SystemRandomNumberGenerator()
        self.init(at: instant, using: &generator)
    }

    /// Reads the text form; nil when the prefix or a digit is wrong.
    public init?(_ text: String) {
        let prefix = Kind.prefix
        guard text.utf8.count == prefix.utf8.count + 33, text.hasPrefix(prefix) else { return nil }
        let digits = text.utf8.dropFirst(prefix.utf8.count)
        guard digits.first == UInt8(ascii: "_") else { return nil }
        self.init(digits: digits.dropFirst())
    }

    /// Reads the 32 digits without the prefix.
    public init?(hexadecimal text: String) { self.init(digits: text.utf8[...]) }

    private init?(digits: Substring.UTF8View) {
        guard digits.count == 32 else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        for (index, byte) in digits.enumerated() {
            let digit: UInt64
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = UInt64(byte - UInt8(ascii: "a") + 10)
            default: return nil
            }
            if index < 16 { words.0 = words.0 << 4 | digit } else { words.1 = words.1 << 4 | digit }
        }
        high = words.0
        low = words.1
    }

    /// The text form.
    public var description: String {
        var text = Kind.prefix
        text.reserveCapacity(Kind.prefix.utf8.count + 33)
        text.append("_")
        text.append(hexadecimal)
        return text
    }

    /// The 32 digits without the prefix: what Postgres reads as a `uuid`.
    public var hexadecimal: String {
        let digits = digits
        return String(unsafeUninitializedCapacity: 32) { buffer in
            for index in 0..<32 { buffer[index] = digits[index] }
            return 32
        }
    }

    /// Appends the text form as ASCII, without a string in between: answers have many ids.
    public func append(to bytes: inout [UInt8]) {
        bytes.append(contentsOf: Kind.prefix.utf8)
        bytes.append(UInt8(ascii: "_"))
        appendHexadecimal(to: &bytes)
    }

    /// Appends `hexadecimal` as ASCII.
    public func appendHexadecimal(to bytes: inout [UInt8]) {
        let digits = digits
        digits.span.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    }

    private var digits: InlineArray<32, UInt8> {
        InlineArray { index in
            let word = index < 16 ? high : low
            let digit = UInt8(truncatingIfNeeded: word >> UInt64((15 - index % 16) * 4)) & 0xF
            return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
        }
    }

    public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

extension ID where Kind == OrganizationKind {
    /// The platform itself: owner of operator keys, of the model catalogue and of list prices. Never a tenant.
    public static var platform: Self { Self(high: 0, low: 0) }
}
