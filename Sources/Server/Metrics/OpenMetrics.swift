/// What only Postgres knows: what is held and what waits, in all organizations and from all replicas together.
import Store

/// Reads the figures when somebody asks. However often that is, reading takes a twentieth of one connection's time at most (law 11).
actor OpenMetrics {
    /// After a reading that took so long, its answer stands for this many times that long.
    static let rest = 20

    private let store: Store
    private var latest: (figures: OpenFigures?, until: ContinuousClock.Instant)?
    private var reading: Task<OpenFigures?, Never>?

    init(_ store: Store) { self.store = store }

    /// The figures of now, or of a moment ago; nil when Postgres does not say.
    private func figures() async -> OpenFigures? {
        if let reading { return await reading.value }
        if let latest, ContinuousClock.now < latest.until { return latest.figures }
        let task = Task { await read() }
        reading = task
        return await task.value
    }

    private func read() async -> OpenFigures? {
        let start = ContinuousClock.now
        let figures = try? await store.openFigures()
        latest = (figures, .now + (ContinuousClock.now - start) * OpenMetrics.rest)
        reading = nil
        return figures
    }

    /// Without an answer the families have no samples: nothing is better than something old.
    func write(to text: inout MetricsText) async {
        let figures = await figures()
        text.family("bursar_postgres_up", .gauge, "Whether Postgres gave the figures below.", figures == nil ? 0 : 1)
        text.family("bursar_open_holds", .gauge, "Reservations that hold money now.", figures?.holds)
        text.family("bursar_overdue_holds", .gauge, "Those of them whose time is over and that no sweep has ended.", figures?.overdueHolds)
        text.family("bursar_held_usd", .gauge, "Dollars held now.", figures?.held)
        text.family("bursar_oldest_hold_age_seconds", .gauge, "Age of the oldest hold.", figures.map { age($0.oldestHoldMicroseconds) })
        text.family("bursar_deliveries_waiting", .gauge, "Alerts on their way to endpoints, by state.") { family in
            guard let figures else { return }
            family.sample(["state": "pending"], figures.pendingDeliveries)
            family.sample(["state": "sending"], figures.sendingDeliveries)
        }
        text.family(
            "bursar_oldest_due_delivery_age_seconds", .gauge, "How long the longest one is due.",
            figures.map { age($0.oldestDueDeliveryMicroseconds) })
        text.family("bursar_exports_waiting", .gauge, "Exports in the background that are not made yet.", figures?.waitingExports)
        text.family(
            "bursar_oldest_export_age_seconds", .gauge, "How long ago the first of them was asked for.",
            figures.map { age($0.oldestExportMicroseconds) })
        text.family("bursar_database_size_bytes", .gauge, "The database's size on disk, without its log.", figures?.databaseBytes)
    }

    /// Zero for none, and for what the clocks of a replica and of Postgres disagree about.
    private func age(_ microseconds: Int64?) -> String { seconds(Int(max(0, microseconds ?? 0))) }
}
