/// What the nightly check found, whichever replica ran it. Until there was one the families have no samples.
import Budgets
import Store

enum CheckMetrics {
    static func write(_ last: CheckRuns.Run?, to text: inout MetricsText) {
        text.family(
            "bursar_check_violations", .gauge, "Contradictions to the laws that the last nightly check found; 0 is right.", last?.violations
        )
        text.family("bursar_check_timestamp_seconds", .gauge, "When the last nightly check finished.", last?.finishedAt.seconds)
    }
}
