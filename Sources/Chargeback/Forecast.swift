/// What a stretch of days is going to cost, judged by the days before: an estimate with its method, its interval, and how far off the same
/// method has been. Estimates are no bookings, so these are the only amounts that are binary floats.

/// The method by which a forecast was made.
public enum ForecastMethod: String, Sendable {
    /// The mean of each weekday, scaled to the last seven days.
    case runRate = "run_rate_weekday_profile"
    /// Holt and Winters: level, trend and a weekly season, each smoothed (with five weeks of history and more).
    case seasonal = "seasonal_smoothing"
}

/// Daily amounts from a day on, with what is known of their error.
public struct Forecast: Sendable {
    /// Days of history below which nothing is said.
    public static let shortestHistory = 7
    /// Days from which on the weekly season is smoothed.
    public static let seasonalHistory = 35
    /// The share of past weeks that the interval would have held.
    public static let coverage = 0.8
    private static let week = 7

    public let method: ForecastMethod
    public let historyDays: Int
    /// One amount a day, never negative.
    public let days: [Double]
    /// Mean absolute error of a week's sum in the back-test, as a share of it; nil when there was no week to test.
    public let error: Double?
    /// By which factor the sum may be lower and higher.
    public let lowerFactor: Double
    public let upperFactor: Double

    public var sum: Double { days.reduce(0, +) }

    /// - Parameters:
    ///   - history: whole days, the oldest first, up to the day before the first that is forecast.
    ///   - count: days to forecast.
    /// - Returns: nil with less than a week of history.
    public init?(history: [Double], days count: Int) {
        guard history.count >= Forecast.shortestHistory else { return nil }
        historyDays = history.count
        method = history.count >= Forecast.seasonalHistory ? .seasonal : .runRate
        days = Forecast.predict(history, count, method)
        // Each of the last weeks is forecast from what lay before it.
        var ratios: [Double] = []
        var end = history.count - Forecast.week
        while end >= Forecast.shortestHistory, ratios.count < 8 {
            let known = Array(history[..<end])
            let expected = Forecast.predict(known, Forecast.week, known.count >= Forecast.seasonalHistory ? .seasonal : .runRate).reduce(
                0, +)
            let actual = history[end..<end + Forecast.week].reduce(0, +)
            if expected > 0 { ratios.append(actual / expected) }
            end -= Forecast.week
        }
        guard !ratios.isEmpty else {
            (error, lowerFactor, upperFactor) = (nil, 0, 2)
            return
        }
        error = ratios.map { abs($0 - 1) }.reduce(0, +) / Double(ratios.count)
        let sorted = ratios.sorted()
        lowerFactor = min(1, Forecast.quantile(sorted, (1 - Forecast.coverage) / 2))
        upperFactor = max(1, Forecast.quantile(sorted, (1 + Forecast.coverage) / 2))
    }

    /// Between two neighbours in proportion.
    private static func quantile(_ sorted: [Double], _ share: Double) -> Double {
        let place = share * Double(sorted.count - 1)
        let (low, high) = (Int(place), min(Int(place) + 1, sorted.count - 1))
        return sorted[low] + (sorted[high] - sorted[low]) * (place - Double(low))
    }

    private static func predict(_ history: [Double], _ count: Int, _ method: ForecastMethod) -> [Double] {
        switch method {
        case .runRate: runRate(history, count)
        case .seasonal: seasonal(history, count)
        }
    }

    /// What share of a week each weekday has, times the last seven days' sum.
    private static func runRate(_ history: [Double], _ count: Int) -> [Double] {
        let recent = history.suffix(week).reduce(0, +)
        var (sums, counts) = ([Double](repeating: 0, count: week), [Double](repeating: 0, count: week))
        for (age, amount) in history.reversed().enumerated() {
            // The place in the week of the first forecast day is 0.
            let place = (week - 1 - age % week + week) % week
            sums[place] += amount
            counts[place] += 1
        }
        let means = zip(sums, counts).map { $1 > 0 ? $0 / $1 : 0 }
        let whole = means.reduce(0, +)
        return (0..<count).map { whole > 0 ? recent * means[$0 % week] / whole : 0 }
    }

    /// Additive Holt-Winters; of a few smoothing factors those that fitted the history best.
    private static func seasonal(_ history: [Double], _ count: Int) -> [Double] {
        var best: (error: Double, days: [Double])?
        for alpha in [0.1, 0.3, 0.5] {
            for beta in [0.0, 0.05] {
                for gamma in [0.1, 0.3] {
                    let found = smooth(history, count, alpha, beta, gamma)
                    if found.error < best?.error ?? .infinity { best = found }
                }
            }
        }
        return best?.days ?? runRate(history, count)
    }

    private static func smooth(
        _ history: [Double], _ count: Int, _ alpha: Double, _ beta: Double, _ gamma: Double
    ) -> (error: Double, days: [Double]) {
        let (first, second) = (history[..<week].reduce(0, +), history[week..<2 * week].reduce(0, +))
        var trend = (second - first) / Double(week * week)
        let middle = first / Double(week)
        // The level of the first week's last day, and what its days were above or below the line through them.
        var level = middle + trend * 3
        var season = history[..<week].enumerated().map { $1 - middle - trend * Double($0 - 3) }
        var error = 0.0
        for (day, amount) in history.enumerated().dropFirst(week) {
            let place = day % week
            let expected = level + trend + season[place]
            error += (amount - expected) * (amount - expected)
            let before = level
            level = alpha * (amount - season[place]) + (1 - alpha) * (level + trend)
            trend = beta * (level - before) + (1 - beta) * trend
            season[place] = gamma * (amount - level) + (1 - gamma) * season[place]
        }
        return (error, (0..<count).map { max(0, level + Double($0 + 1) * trend + season[(history.count + $0) % week]) })
    }
}
