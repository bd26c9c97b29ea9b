// Law 5 at its root: no digit is lost or invented between text and amount.

import Budgets
import Testing

struct AmountTextTests {
    @Test(
        "Plain decimals are read exactly",
        arguments: [
            ("0", 0), ("-0", 0), ("0.0", 0), ("1", 1_000_000_000_000), ("12.34", 12_340_000_000_000), ("-0.000000000001", -1),
            ("0.000000000001", 1), ("007.5", 7_500_000_000_000),
            ("99999999999999999999999999.999999999999", 99_999_999_999_999_999_999_999_999_999_999_999_999),
            ("-99999999999999999999999999.999999999999", -99_999_999_999_999_999_999_999_999_999_999_999_999),
        ] as [(String, Int128)])
    func plain(text: String, pico: Int128) { #expect(Amount(text)?.pico == pico) }

    @Test(
        "What is no plain decimal is refused",
        arguments: [
            "", "-", ".", "-.", "1.", ".5", "+1", " 1", "1 ", "1e3", "1E-3", "1,5", "1_000", "0x10", "--1", "1.2.3", "NaN", "inf", "٣",
            "1\u{0}", "0.0000000000001", "1.0000000000000", "100000000000000000000000000", "000000000000000000000000001",
        ])
    func refused(text: String) { #expect(Amount(text) == nil) }

    @Test(
        "JSON numbers are read exactly, whatever their exponent",
        arguments: [
            ("0", "0"), ("-0", "0"), ("0e999999999999999999999", "0"), ("0.000e-5", "0"), ("1.5e-07", "0.00000015"),
            ("2.5e-06", "0.0000025"), ("1e-12", "0.000000000001"), ("1.50000000000000000000000000000000000000000000000000", "1.5"),
            ("100e-2", "1"), ("1E+2", "100"), ("-12.5e1", "-125"), ("1e25", "10000000000000000000000000"),
            ("0.00000000000000000000000000000000000000000000000001e50", "1"),
            ("99999999999999999999999999.999999999999", "99999999999999999999999999.999999999999"),
            ("120000000000000000000000000000000000000000000000e-46", "12"),
        ])
    func number(text: String, plain: String) { #expect(Amount(number: text) == Amount(plain)) }

    @Test(
        "JSON numbers that are none, or not exact, or too large are refused",
        arguments: [
            "", "-", "+1", "01", "-01", "00", ".5", "1.", "1.e5", "1e", "1e+", "e5", "1e5.0", " 1", "1 ", "NaN", "Infinity", "0x1",
            "1e-13", "1.5e-12", "0.0000000000001", "1e26", "-1e26", "123456789012345678901234567", "1e999999999999999999999",
            "1e-999999999999999999999", "1.0000000000001", "123456789012345678901234567890123456789e-12",
        ])
    func numberRefused(text: String) { #expect(Amount(number: text) == nil) }

    @Test(
        "The full form always has twelve digits, the plain form none in vain",
        arguments: [
            (0, "0.000000000000", "0"), (1, "0.000000000001", "0.000000000001"), (-1, "-0.000000000001", "-0.000000000001"),
            (12_340_000_000_000, "12.340000000000", "12.34"), (5_000_000_000_000_000, "5000.000000000000", "5000"),
            (100_000_000_000_000, "100.000000000000", "100"),
            (Int128(UInt64.max), "18446744.073709551615", "18446744.073709551615"),
            (Int128(UInt64.max) + 1, "18446744.073709551616", "18446744.073709551616"),
            (Int128(UInt64.max) * 1_000_000_000_000, "18446744073709551615.000000000000", "18446744073709551615"),
            ((Int128(UInt64.max) + 1) * 1_000_000_000_000, "18446744073709551616.000000000000", "18446744073709551616"),
            (.max, "170141183460469231731687303.715884105727", "170141183460469231731687303.715884105727"),
            (.min, "-170141183460469231731687303.715884105728", "-170141183460469231731687303.715884105728"),
        ] as [(Int128, String, String)])
    func written(pico: Int128, full: String, plain: String) {
        #expect(Amount(pico: pico).description == full)
        #expect(Amount(pico: pico).plain == plain)
    }

    @Test("Any amount survives the way through its text, in all forms")
    func roundTrip() {
        var random = Seeded("amount round trip")
        for _ in 0..<4000 {
            let bits = Int128.random(in: 1...126, using: &random)
            let bound = min(Int128(1) << bits, 99_999_999_999_999_999_999_999_999_999_999_999_999)
            let amount = Amount(pico: Int128.random(in: -bound...bound, using: &random))
            var appended = Array("x".utf8)
            amount.append(to: &appended)
            #expect(Amount(amount.description) == amount, "seed \(random.seed)")
            #expect(Amount(amount.plain) == amount, "seed \(random.seed)")
            #expect(Amount(number: amount.description) == amount, "seed \(random.seed)")
            #expect(Amount(number: "\(amount.pico)e-12") == amount, "seed \(random.seed)")
            #expect(String(decoding: appended, as: UTF8.self) == "x" + amount.description, "seed \(random.seed)")
        }
    }

    @Test("Checked arithmetic is exact or nil")
    func arithmetic() {
        #expect(Amount("0.00000015")?.multiplied(by: 1_000_000) == Amount("0.15"))
        #expect(Amount("-2.5")?.multiplied(by: 3) == Amount("-7.5"))
        #expect(Amount(pico: .max).multiplied(by: 1) == Amount(pico: .max))
        #expect(Amount(pico: .max).multiplied(by: 2) == nil)
        #expect(Amount(pico: .min).multiplied(by: -1) == nil)
        #expect(Amount(whole: 1).adding(Amount(pico: -1)) == Amount("0.999999999999"))
        #expect(Amount(pico: .max).adding(Amount(pico: 1)) == nil)
        #expect(Amount(pico: .min).adding(Amount(pico: -1)) == nil)
    }
}
