/// Spans as log lines, for `serve --trace`: where time goes in one request, without a collector. Any other `Tracer` may stand here.
public import Logging
import Synchronization
public import Tracing

/// Writes each span when it ends, with the ids that tie it to its caller's trace.
public struct LogTracer: Tracer {
    let logger: Logger

    public init(logger: Logger) { self.logger = logger }

    public func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> ServiceContext, ofKind kind: SpanKind, at instant: @autoclosure () -> Instant,
        function: String, file fileID: String, line: UInt
    ) -> LogSpan {
        LogSpan(operationName, parent: context(), start: instant().nanosecondsSinceEpoch, logger: logger)
    }

    public func forceFlush() {}

    public func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let parent = extractor.extract(key: "traceparent", from: carrier).flatMap(TraceParent.init) else { return }
        context.traceParent = parent
        context.traceState = extractor.extract(key: "tracestate", from: carrier).flatMap(TraceState.accepted)
    }

    public func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let parent = context.traceParent else { return }
        injector.inject(parent.header, forKey: "traceparent", into: &carrier)
        if let state = context.traceState { injector.inject(state, forKey: "tracestate", into: &carrier) }
    }
}

/// A span on its way to the log. One whose caller does not record its trace is not written.
public final class LogSpan: Span {
    private struct State {
        var name: String
        var attributes = SpanAttributes()
        var links: [String] = []
        var failure: String?
        var isEnded = false
    }

    public let context: ServiceContext
    private let parentID: String?
    private let start: UInt64
    private let logger: Logger
    private let state: Mutex<State>

    fileprivate init(_ name: String, parent: ServiceContext, start: UInt64, logger: Logger) {
        var context = parent
        let above = parent.traceParent
        func digits(_ words: Int) -> String {
            (0..<words).map { _ in
                let word = String(UInt64.random(in: 1 ... .max), radix: 16)
                return String(repeating: "0", count: 16 - word.count) + word
            }.joined()
        }
        context.traceParent = TraceParent(traceID: above?.traceID ?? digits(2), spanID: digits(1), isSampled: above?.isSampled ?? true)
        self.context = context
        self.start = start
        self.logger = logger
        parentID = above?.spanID
        state = Mutex(State(name: name))
    }

    public var operationName: String {
        get { state.withLock { $0.name } }
        set { state.withLock { $0.name = newValue } }
    }
    public var attributes: SpanAttributes {
        get { state.withLock { $0.attributes } }
        set { state.withLock { $0.attributes = newValue } }
    }
    public var isRecording: Bool { context.traceParent?.isSampled ?? false }

    public func setStatus(_ status: SpanStatus) {}
    public func addEvent(_ event: SpanEvent) {}

    public func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {
        state.withLock { $0.failure = Journal.describe(error) }
    }

    public func addLink(_ link: SpanLink) {
        guard let linked = link.context.traceParent else { return }
        state.withLock { $0.links.append("\(linked.traceID)-\(linked.spanID)") }
    }

    public func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        let ended = state.withLock { state -> State? in
            defer { state.isEnded = true }
            return state.isEnded ? nil : state
        }
        guard let ended, isRecording, let own = context.traceParent else { return }
        let took = Duration.nanoseconds(Int64(clamping: instant().nanosecondsSinceEpoch &- start))
        var fields: Logger.Metadata = [
            "span": "\(ended.name)", "trace_id": "\(own.traceID)", "span_id": "\(own.spanID)", "duration_ms": "\(milliseconds(took))",
        ]
        if let parentID { fields["parent_id"] = "\(parentID)" }
        if let traceState = context.traceState { fields["trace_state"] = "\(traceState)" }
        if !ended.links.isEmpty { fields["links"] = "\(ended.links.joined(separator: " "))" }
        if let failure = ended.failure { fields["error"] = "\(failure)" }
        // The attributes are no sequence that `for` could walk through.
        // swift-format-ignore: ReplaceForEachWithForLoop
        ended.attributes.forEach { name, value in fields[name] = "\(value.text)" }
        logger.info("span", metadata: fields)
    }
}

extension SpanAttribute {
    fileprivate var text: String {
        switch self {
        case .int32(let number): "\(number)"
        case .int64(let number): "\(number)"
        case .string(let text): text
        default: "\(self)"
        }
    }
}

extension ServiceContext {
    private enum ParentKey: ServiceContextKey { typealias Value = TraceParent }
    private enum StateKey: ServiceContextKey { typealias Value = String }

    var traceParent: TraceParent? {
        get { self[ParentKey.self] }
        set { self[ParentKey.self] = newValue }
    }
    var traceState: String? {
        get { self[StateKey.self] }
        set { self[StateKey.self] = newValue }
    }
}
