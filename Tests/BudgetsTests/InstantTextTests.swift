// Times as the API speaks them: RFC 3339 in, RFC 3339 in UTC out, exact to the microsecond.

import Budgets
import Testing

struct InstantTextTests {
    @Test(
        "RFC 3339 is read with any offset",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:00z", 0), ("1970-01-01T00:00:00-00:00", 0), ("1970-01-01T05:45:00+05:45", 0),
            ("1969-12-31T19:00:00-05:00", 0), ("1970-01-01T00:00:00.000001Z", 1), ("1969-12-31T23:59:59.999999Z", -1),
            ("1970-01-01T00:00:00.5Z", 500_000), ("1970-01-01T00:00:00.680590000Z", 680_590),
            ("2000-02-29T12:00:00Z", 951_825_600_000_000), ("2024-03-31T02:30:00+01:00", 1_711_848_600_000_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000), ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ] as [(String, Int64)])
    func read(text: String, microseconds: Int64) { #expect(Instant(rfc3339: text)?.microseconds == microseconds) }

    @Test(
        "What is no RFC 3339 time, or finer than a microsecond, is refused",
        arguments: [
            "", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-01-01T00:00Z", "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z", "2016-12-31T23:59:60Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-04-31T00:00:00Z",
            "2024-00-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-00T00:00:00Z", "24-01-01T00:00:00Z", "+2024-01-01T00:00:00Z",
            "2024-1-1T00:00:00Z", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00.0000001Z",
            "2024-01-01T00:00:00.1234560000Z", "2024-01-01T00:00:00+0100", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+01:60",
            "2024-01-01T00:00:00+01", "2024-01-01T00:00:00Z ", " 2024-01-01T00:00:00Z", "2024-01-01T00:00:00ZZ",
            "0000-12-31T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "２024-01-01T00:00:00Z",
        ])
    func refused(text: String) { #expect(Instant(rfc3339: text) == nil) }

    @Test(
        "Written in UTC, with six fraction digits or none",
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59.999999Z"), (500_000, "1970-01-01T00:00:00.500000Z"),
            (1_711_848_600_000_001, "2024-03-31T01:30:00.000001Z"), (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
            (.max, "294247-01-10T04:00:54.775807Z"), (.min, "-290308-12-21T19:59:05.224192Z"),
        ] as [(Int64, String)])
    func written(microseconds: Int64, text: String) { #expect(Instant(microseconds: microseconds).rfc3339 == text) }

    @Test("Any instant of four-digit years survives the way through its text")
    func roundTrip() {
        var random = Seeded("instant round trip")
        for _ in 0..<4000 {
            let instant = Instant(microseconds: .random(in: -62_135_596_800_000_000...253_402_300_799_999_999, using: &random))
            var appended = Array("x".utf8)
            instant.append(to: &appended)
            #expect(Instant(rfc3339: instant.rfc3339) == instant, "seed \(random.seed)")
            #expect(String(decoding: appended, as: UTF8.self) == "x" + instant.rfc3339, "seed \(random.seed)")
        }
    }

    @Test("Every day from 1600 to 2400 has the date after the day before")
    func everyDay() throws {
        var date = try #require(CivilDate(year: 1600, month: 1, day: 1))
        #expect(date.daysSinceEpoch == -135_140)
        while date.year < 2400 {
            let days = date.daysSinceEpoch
            let next =
                CivilDate(year: date.year, month: date.month, day: date.day + 1) ?? CivilDate(
                    year: date.year, month: date.month + 1, day: 1)
                ?? CivilDate(year: date.year + 1, month: 1, day: 1)
            let following = try #require(next)
            guard CivilDate(daysSinceEpoch: days) == date, following.daysSinceEpoch == days + 1, date < following else {
                Issue.record("\(date)")
                return
            }
            date = following
        }
        #expect(date.daysSinceEpoch == 157_054)
    }
}
