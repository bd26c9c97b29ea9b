/// Forecasts of series whose future is known.
import Testing

@testable import Chargeback

@Suite struct ForecastTests {
    /// Working days cost 10, weekends 2.
    private func weeks(_ count: Int, growth: Double = 0) -> [Double] {
        (0..<count * 7).map { ($0 % 7 < 5 ? 10 : 2) + Double($0) * growth }
    }

    @Test("says nothing with less than a week of history")
    func short() {
        #expect(Forecast(history: [1, 2, 3, 4, 5, 6], days: 7) == nil)
        #expect(Forecast(history: Array(repeating: 1, count: 7), days: 7)?.error == nil)
    }

    @Test("knows the weekdays", arguments: [2, 3, 5, 8], [0, 3, 6])
    func weekdays(count: Int, cut: Int) throws {
        let history = Array(weeks(count + 1).prefix(count * 7 + cut))
        let forecast = try #require(Forecast(history: history, days: 14))
        #expect(forecast.method == (history.count >= 35 ? .seasonal : .runRate))
        let expected = (0..<14).map { (history.count + $0) % 7 < 5 ? 10.0 : 2.0 }
        #expect(zip(forecast.days, expected).allSatisfy { abs($0 - $1) < 1e-6 }, "\(forecast.days)")
        #expect(try #require(forecast.error) < 1e-9 && forecast.lowerFactor > 0.999999 && forecast.upperFactor < 1.000001)
    }

    @Test("follows a trend once there are five weeks")
    func trend() throws {
        let history = weeks(8, growth: 0.5)
        let forecast = try #require(Forecast(history: history, days: 7))
        let actual = weeks(9, growth: 0.5).suffix(7).reduce(0, +)
        #expect(abs(forecast.sum / actual - 1) < 0.05, "\(forecast.sum), \(actual)")
        #expect(try #require(forecast.error) > 0)
    }

    @Test("is never negative, and nothing stays nothing")
    func bounds() throws {
        let falling = (0..<60).map { max(0, 60 - Double($0) * 2) }
        #expect(try #require(Forecast(history: falling, days: 30)).days.allSatisfy { $0 >= 0 })
        let nothing = try #require(Forecast(history: Array(repeating: 0, count: 40), days: 30))
        #expect(nothing.sum == 0 && nothing.error == nil)
    }

    @Test("an uneven past has a wide interval that holds the truth")
    func interval() throws {
        let history = (0..<70).map { 10 + Double(($0 * 7919) % 13) }
        let forecast = try #require(Forecast(history: history, days: 7))
        #expect(forecast.lowerFactor < 1 && forecast.upperFactor > 1)
        #expect(try #require(forecast.error) > 0)
    }
}
