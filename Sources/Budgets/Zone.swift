/// IANA time zones, looked up fast enough for every decision: periods are the organization's calendar (design §4).

import Foundation
import Synchronization

/// An IANA time zone. Immutable; zones of one name share their table of offsets.
///
/// The rules are those of the time zone data built into Foundation. They are followed from 1970 to 2200; before and
/// after, the first and the last offset hold.
public struct Zone: Hashable, Sendable, CustomStringConvertible {
    /// Such as `Europe/Berlin`, or `UTC`.
    public let identifier: String
    private let table: OffsetTable

    /// Coordinated universal time.
    public static let utc = Zone(identifier: "UTC", table: OffsetTable(.gmt))

    /// `UTC` or an IANA name with its area (`Asia/Kathmandu`, `Etc/GMT+5`), spelt exactly; nil for all else, such as
    /// abbreviations (`PST` names several zones, and none with daylight saving) and bare offsets (`GMT+5`).
    public init?(_ identifier: String) {
        if identifier == "UTC" {
            self = .utc
            return
        }
        let area = identifier.prefix { $0 != "/" }
        guard area.utf8.count < identifier.utf8.count, Zone.areas.contains(String(area)) else { return nil }
        if let known = Zone.known.withLock({ $0[identifier] }) {
            self = known
            return
        }
        // Foundation corrects some spellings where the system's files forgive case; a name must stay the same everywhere.
        guard let source = TimeZone(identifier: identifier), source.identifier == identifier else { return nil }
        let zone = Zone(identifier: identifier, table: OffsetTable(source))
        Zone.known.withLock { $0[identifier] = zone }
        self = zone
    }

    private init(identifier: String, table: OffsetTable) {
        self.identifier = identifier
        self.table = table
    }

    /// The areas of the IANA database; what stands outside them are abbreviations, bare offsets and relics.
    private static let areas: Set<String> = [
        "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Canada", "Etc", "Europe", "Indian", "Pacific", "US",
    ]

    /// Building a table takes a millisecond. Bounded by the names that exist, some 600, as only they get in.
    private static let known = Mutex<[String: Zone]>([:])

    /// What the local clock is ahead of UTC, in seconds; negative west of it.
    public func offsetSeconds(at instant: Instant) -> Int64 { table.offsets[table.index(at: instant.seconds)] }

    /// The day the local calendar shows.
    public func date(at instant: Instant) -> CivilDate { CivilDate(daysSinceEpoch: localDays(at: instant)) }

    /// When a day begins: the first instant at which the local clock has reached its midnight. Where clocks skip
    /// midnight that is right after the gap; where they show it twice, the first.
    public func start(of date: CivilDate) -> Instant { start(ofDay: date.daysSinceEpoch) }

    /// The local day, in days since 1970-01-01.
    func localDays(at instant: Instant) -> Int64 { floorDivide(instant.seconds + offsetSeconds(at: instant), 86_400) }

    func start(ofDay days: Int64) -> Instant {
        let midnight = days * 86_400
        // No clock is a day off UTC, so none has reached midnight a day before UTC has.
        var index = table.index(at: midnight - 86_400)
        while true {
            let reached = max(table.starts[index], midnight - table.offsets[index])
            if index + 1 == table.starts.count || reached < table.starts[index + 1] { return Instant(seconds: reached) }
            index += 1
        }
    }

    /// The stretch around an instant, in seconds since 1970, over which the offset does not change.
    func stretch(at instant: Instant) -> (start: Int64, end: Int64, offset: Int64) {
        let index = table.index(at: instant.seconds)
        let end = index + 1 < table.starts.count ? table.starts[index + 1] : Int64.max
        return (table.starts[index], end, table.offsets[index])
    }

    public var description: String { identifier }
    public static func == (left: Self, right: Self) -> Bool { left.identifier == right.identifier }
    public func hash(into hasher: inout Hasher) { hasher.combine(identifier) }
}

/// From when on which offset holds, both in seconds, sorted; the first stretch reaches back for ever.
private struct OffsetTable: Sendable {
    let starts: [Int64]
    let offsets: [Int64]

    init(_ source: TimeZone) {
        let epoch = Date(timeIntervalSince1970: 0)
        let horizon = Date(timeIntervalSince1970: 7_258_118_400)  // 2200-01-01
        var starts = [Int64.min]
        var offsets = [Int64(source.secondsFromGMT(for: epoch))]
        var date = epoch
        while let next = source.nextDaylightSavingTimeTransition(after: date), next > date, next < horizon {
            date = next
            let offset = Int64(source.secondsFromGMT(for: next))
            guard offset != offsets.last else { continue }
            starts.append(Int64(next.timeIntervalSince1970))
            offsets.append(offset)
        }
        self.starts = starts
        self.offsets = offsets
    }

    /// The last stretch that starts at or before that second.
    func index(at seconds: Int64) -> Int {
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= seconds { low = middle } else { high = middle }
        }
        return low
    }
}
