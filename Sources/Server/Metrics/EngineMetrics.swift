/// The engine and the pool, as this process has seen them since it started.
import Ledger
import Postgres

enum EngineMetrics {
    static func write(_ ledger: Ledger, to text: inout MetricsText) {
        let lanes = ledger.laneFigures.enumerated().map { ("\($0.offset)", $0.element) }
        text.family("bursar_lane_queued_commands", .gauge, "Commands that wait for their lane.") { family in
            for (lane, figures) in lanes { family.sample(["lane": lane], figures.queued) }
        }
        text.family("bursar_lane_batch_size", .histogram, "Commands decided and committed together.") { family in
            for (lane, figures) in lanes { family.histogram([("lane", lane)], figures.done.batchSizes) }
        }
        text.family(
            "bursar_lane_batch_duration_seconds", .histogram, "From taking a batch to its commit: reading, deciding, writing."
        ) { family in
            for (lane, figures) in lanes { family.histogram([("lane", lane)], figures.done.batchDurations, seconds) }
        }
        let answers = ledger.answers
        text.family("bursar_commands_total", .counter, "Commands answered, by what was asked and how it was answered.") { family in
            let sorted = answers.counts.map { ($0.key.asked.rawValue, $0.key.answer.word, $0.value) }.sorted { ($0.0, $0.1) < ($1.0, $1.1) }
            for (command, answer, count) in sorted { family.sample(["command": command, "outcome": answer], count) }
        }
        text.family("bursar_settled_usd_total", .counter, "Dollars booked by this process.", answers.settled)
        text.family(
            "bursar_overage_usd_total", .counter, "The part of it above the holds that no budget had room for.", answers.overage)
        text.family(
            "bursar_unmapped_usage_fields_total", .counter, "Fields of providers' usage that may be billable and that nothing billed.",
            answers.unmappedFields)
    }

    static func write(_ pool: PostgresPool, to text: inout MetricsText) {
        let figures = pool.figures
        text.family("bursar_pool_connections", .gauge, "Connections for everything but the lanes, by state.") { family in
            family.sample(["state": "in_use"], figures.lent)
            family.sample(["state": "idle"], figures.idle)
        }
        text.family("bursar_pool_maximum_connections", .gauge, "The most connections that the pool opens.", figures.size)
        text.family("bursar_pool_waiting", .gauge, "Callers that wait for a connection.", figures.waiting)
        text.family("bursar_pool_exhausted_total", .counter, "Callers that got no connection in time.", figures.exhausted)
    }
}
