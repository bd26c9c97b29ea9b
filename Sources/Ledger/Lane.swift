/// A lane: one task, one connection, the organizations that hash to it (design §5).
import Budgets
import Logging
import Postgres
import Store
import Synchronization
import Tracing

final class Lane: Sendable {
    /// Commands a Postgres transaction takes at most: enough to fill a flight, few enough to answer within milliseconds.
    static let maximumBatch = 512
    /// How long a lane waits between attempts to reach a Postgres that is away.
    private static let reconnectPause: ClosedRange<Duration> = .milliseconds(50) ... .seconds(1)

    let queue = LaneQueue()
    let figures = Mutex(LaneFigures())
    let answers = Mutex(AnswerFigures())
    private let configuration: PostgresConfiguration
    private let platform: PlatformCatalogue
    private let batchBound: Int
    private let onAlerts: @Sendable () -> Void
    private let tracer: (any Tracer)?
    private let logger: Logger

    init(
        _ configuration: PostgresConfiguration, platform: PlatformCatalogue, batchBound: Int, onAlerts: @escaping @Sendable () -> Void,
        tracer: (any Tracer)?, logger: Logger
    ) {
        self.configuration = configuration
        self.platform = platform
        self.batchBound = min(batchBound, Lane.maximumBatch)
        self.onAlerts = onAlerts
        self.tracer = tracer
        self.logger = logger
    }

    /// Hands a command to the queue and returns its durable answer.
    func submit(_ command: Command, for organization: OrganizationID) async -> Outcome {
        guard let tracer else { return await answer(command, for: organization, span: nil) }
        return await tracer.withSpan("engine \(command.asked.rawValue)") { span in
            let outcome = await answer(command, for: organization, span: span.context)
            span.attributes["outcome"] = Answer(outcome).word
            return outcome
        }
    }

    private func answer(_ command: Command, for organization: OrganizationID, span: ServiceContext?) async -> Outcome {
        let outcome = await queue.submit(command, for: organization, span: span)
        answers.withLock { $0.note(command, outcome) }
        return outcome
    }

    /// Serves the queue until it is finished and empty; reconnects by itself.
    func run() async {
        var unfinished: [QueuedCommand] = []
        var pause = Lane.reconnectPause.lowerBound
        while !(queue.isFinished && queue.count == 0 && unfinished.isEmpty) {
            do {
                let connection = try await PostgresConnection.connect(configuration, logger: logger)
                pause = Lane.reconnectPause.lowerBound
                queue.connected()
                unfinished = await serve(unfinished, on: connection)
                await connection.close()
            } catch {
                // The batch in hand had its second chance: nobody knows what became of it, so its callers are to ask again.
                for command in unfinished { command.answer.resume(returning: .storeUnavailable) }
                unfinished = []
                queue.disconnected()
                guard !queue.isFinished else { return }
                logger.warning("Postgres is away", metadata: ["error": "\(error)"])
                // A pause between attempts, not a poll: there is no signal for a server that comes back.
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, Lane.reconnectPause.upperBound)
            }
        }
    }

    /// Takes batch after batch. Returns the batch in hand when the connection is lost: a new connection runs it again, and each
    /// command finds its own traces by its id.
    private func serve(_ unfinished: [QueuedCommand], on connection: isolated PostgresConnection) async -> [QueuedCommand] {
        // Most batches are about the same organizations as the one before: they need not state them again.
        connection.isPreambleLasting = true
        var memory = Memory(platform: platform)
        var isSecondChance = !unfinished.isEmpty
        var commands = unfinished
        var plans = PlanAge()
        while true {
            if commands.isEmpty {
                guard let next = await queue.next(atMost: batchBound) else { return [] }
                commands = next
            }
            let start = ContinuousClock.now
            let span = tracer.map { Lane.span(of: commands, $0) }
            var batch = Batch(commands.map { ($0.organization, $0.command) })
            do {
                if plans.areDue(at: start) { try connection.query("DISCARD PLANS") }
                try batch.run(&memory, on: connection, logger: logger)
            } catch {
                span?.end()
                logger.warning("lost Postgres during a batch", metadata: ["error": "\(error)", "commands": "\(commands.count)"])
                guard isSecondChance else { return commands }
                for command in commands { command.answer.resume(returning: .storeUnavailable) }
                return []
            }
            span?.end()
            figures.withLock { $0.note(batchOf: commands.count, from: start, isServerUnfit: batch.isServerUnfit) }
            if batch.hasAlerts { onAlerts() }
            for (command, item) in zip(commands, batch.items) { command.answer.resume(returning: item.outcome ?? .storeUnavailable) }
            commands = []
            isSecondChance = false
        }
    }
}

extension Lane {
    /// Links that a batch's span keeps: enough to find it from a request when traces are looked at, which is not at full load.
    private static let maximumLinks = 128

    /// A batch belongs to all of its requests and is the child of none: it has a trace of its own, linked to theirs.
    private static func span(of commands: [QueuedCommand], _ tracer: any Tracer) -> any Span {
        let span = tracer.startSpan("lane batch", context: .topLevel)
        span.attributes["commands"] = commands.count
        for command in commands.prefix(maximumLinks) {
            if let context = command.span { span.addLink(SpanLink(context: context, attributes: [:])) }
        }
        return span
    }
}

/// When a lane's statements are to be planned anew. A plan made while a table is small may use the wrong one of two indexes that then
/// cost the same, and is kept while the table grows: measured, an update that read every reservation of its organization. Planning
/// looks at the table's size of that moment, so it is repeated each time the lane's work has doubled, and now and then for ever; and by
/// time, for a lane that does little while other replicas make the tables grow.
struct PlanAge {
    /// Replanning costs some milliseconds, so not more often than every few minutes of load.
    private static let maximumBatches = 65_536
    private static let maximumAge: Duration = .seconds(600)
    private var batches = 0
    private var due = 1
    private var plannedAt = ContinuousClock.now

    mutating func areDue(at now: ContinuousClock.Instant) -> Bool {
        batches += 1
        guard batches >= due || now - plannedAt >= PlanAge.maximumAge else { return false }
        if batches >= due { due += min(batches, PlanAge.maximumBatches) }
        plannedAt = now
        return true
    }
}
