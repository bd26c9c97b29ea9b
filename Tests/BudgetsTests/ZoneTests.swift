// Our table of offsets against Foundation's own answers, and names that mean one thing only.

import Budgets
import Foundation
import Testing

/// Zones with the strangest clocks of the last decades.
let oddZones = [
    "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana", "America/St_Johns", "Asia/Kathmandu",
    "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "Pacific/Kwajalein", "Asia/Pyongyang", "Asia/Gaza", "America/Caracas",
    "Antarctica/Troll", "Asia/Kolkata", "Europe/Dublin", "America/Nuuk", "Africa/Cairo", "Etc/GMT+5",
]

struct ZoneTests {
    @Test("IANA names are zones", arguments: oddZones + ["US/Pacific", "America/Argentina/Buenos_Aires", "Asia/Katmandu", "Etc/UTC"])
    func known(name: String) throws {
        let zone = try #require(Zone(name))
        #expect(zone.identifier == name)
        #expect(try #require(Zone(name)) == zone)
    }

    @Test(
        "Abbreviations, offsets, misspellings and paths are not",
        arguments: [
            "", "PST", "EST", "CET", "GMT", "EST5EDT", "GMT+5", "UTC+1", "+01:00", "europe/berlin", "Europe/Berlin ", " Europe/Berlin",
            "Europe/", "/Europe/Berlin", "Europe", "Europe/../Europe/Berlin", "Mars/Olympus", "Europe/Nowhere", "SystemV/PST8",
            "Z", "utc", "Local", "posix/Europe/Berlin",
        ])
    func unknown(name: String) { #expect(Zone(name) == nil) }

    @Test(
        "Offsets around the odd changes",
        arguments: [
            ("Europe/Berlin", "2024-03-31T00:59:59.999999Z", 3600), ("Europe/Berlin", "2024-03-31T01:00:00Z", 7200),
            ("America/Sao_Paulo", "2018-11-04T03:00:00Z", -7200), ("America/Sao_Paulo", "2024-01-01T00:00:00Z", -10_800),
            ("Asia/Kathmandu", "1985-12-31T18:29:59Z", 19_800), ("Asia/Kathmandu", "1985-12-31T18:30:00Z", 20_700),
            ("Australia/Lord_Howe", "2024-04-06T14:59:59Z", 39_600), ("Australia/Lord_Howe", "2024-04-06T15:00:00Z", 37_800),
            ("Pacific/Apia", "2011-12-30T09:59:59Z", -36_000), ("Pacific/Apia", "2011-12-30T10:00:00Z", 50_400),
            ("Africa/Casablanca", "2024-03-10T02:00:00Z", 0), ("Africa/Casablanca", "2024-04-14T02:00:00Z", 3600),
        ] as [(String, String, Int64)])
    func offsets(name: String, at text: String, offset: Int64) throws {
        #expect(try #require(Zone(name)).offsetSeconds(at: try #require(Instant(rfc3339: text))) == offset)
    }

    @Test("The table says what Foundation says, at random and around every change", arguments: oddZones)
    func sameAsFoundation(name: String) throws {
        var random = Seeded("offsets of \(name)")
        let zone = try #require(Zone(name))
        let oracle = try #require(TimeZone(identifier: name))
        func check(_ seconds: Int64) {
            let expected = Int64(oracle.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds))))
            #expect(zone.offsetSeconds(at: Instant(seconds: seconds)) == expected, "\(seconds), seed \(random.seed)")
        }
        for _ in 0..<500 { check(Int64.random(in: 0..<7_200_000_000, using: &random)) }
        // Changes are found by looking, not by asking the function that built the table.
        var before: Int64 = 0
        for seconds in stride(from: Int64(0), to: 2_900_000_000, by: 43_200) {
            let offset = Int64(oracle.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds))))
            if offset != before, seconds > 0 {
                var (low, high) = (seconds - 43_200, seconds)
                while high - low > 1 {
                    let middle = (low + high) / 2
                    let at = Int64(oracle.secondsFromGMT(for: Date(timeIntervalSince1970: Double(middle))))
                    if at == before { low = middle } else { high = middle }
                }
                check(low)
                check(high)
            }
            before = offset
        }
    }

    @Test("The local date is the one on the wall")
    func dates() throws {
        let apia = try #require(Zone("Pacific/Apia"))
        #expect(apia.date(at: try #require(Instant(rfc3339: "2011-12-30T09:59:59Z"))) == CivilDate(year: 2011, month: 12, day: 29))
        #expect(apia.date(at: try #require(Instant(rfc3339: "2011-12-30T10:00:00Z"))) == CivilDate(year: 2011, month: 12, day: 31))
        let skipped = apia.start(of: try #require(CivilDate(year: 2011, month: 12, day: 30)))
        #expect(skipped.rfc3339 == "2011-12-30T10:00:00Z")
        #expect(Zone.utc.start(of: try #require(CivilDate(year: 1960, month: 5, day: 4))).rfc3339 == "1960-05-04T00:00:00Z")
    }
}
