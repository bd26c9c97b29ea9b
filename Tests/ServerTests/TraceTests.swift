/// W3C trace context in, spans out: one tree from the caller's span down to the store, and the lane's batch linked to it.
import HTTPTypes
import JSON
import Logging
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct TraceTests {
    static let traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
    static let malformed = [
        "", "00", "00-\(traceID)-00f067aa0ba902b7", "00-\(traceID)-00f067aa0ba902b7-1", "00-\(traceID)-00f067aa0ba902b7-01-x",
        "00-\(traceID.uppercased())-00f067aa0ba902b7-01", "ff-\(traceID)-00f067aa0ba902b7-01", "00-\(traceID)-0000000000000000-01",
        "00-\(String(repeating: "0", count: 32))-00f067aa0ba902b7-01", "0-\(traceID)-00f067aa0ba902b7-001",
        "00_\(traceID)-00f067aa0ba902b7-01", "01-\(traceID)-00f067aa0ba902b7-01x", " 00-\(traceID)-00f067aa0ba902b7-01",
        "00-\(traceID)-00f067aa0ba902b7-0g", "00-\(traceID)-00f067aa0ba902b7-01, 00-\(traceID)-00f067aa0ba902b7-01",
        "é0-\(traceID)-00f067aa0ba902b7-0",
    ]

    @Test("a traceparent that is not well formed is ignored", arguments: malformed)
    func ignored(header: String) {
        #expect(TraceParent(header) == nil)
    }

    @Test("a well-formed one is read, of a later version as far as it is known")
    func wellFormed() throws {
        let parent = try #require(TraceParent("00-\(Self.traceID)-00f067aa0ba902b7-01"))
        #expect(parent == TraceParent(traceID: Self.traceID, spanID: "00f067aa0ba902b7", isSampled: true))
        #expect(parent.header == "00-\(Self.traceID)-00f067aa0ba902b7-01")
        #expect(TraceParent("cc-\(Self.traceID)-00f067aa0ba902b7-00-what-comes")?.isSampled == false)
        #expect(TraceParent("cc-\(Self.traceID)-00f067aa0ba902b7-03")?.isSampled == true)
    }

    static let states: [(String, String?)] = [
        ("rojo=00f067aa0ba902b7", "rojo=00f067aa0ba902b7"), ("a=1, b=2,\tc=3,,", "a=1,b=2,c=3"), ("1tenant@sys=x y", "1tenant@sys=x y"),
        ("a=1,a=2", nil), ("A=1", nil), ("1a=1", nil), ("a", nil), ("a=", nil), ("a=b=c", nil), ("", nil), ("a=é", nil),
        ("t@1=x", nil), ("a@b@c=1", nil), ((0..<33).map { "k\($0)=1" }.joined(separator: ","), nil),
        (String(repeating: "k", count: 257) + "=1", nil), ("a=" + String(repeating: "v", count: 257), nil),
    ]

    @Test("tracestate is taken over whole or not at all", arguments: states)
    func state(header: String, accepted: String?) {
        #expect(TraceState.accepted(header) == accepted)
    }

    private static func tracing(_ isOn: Bool) -> @Sendable (inout ServerSettings) -> Void { { $0.traces = isOn } }

    @Test("a traced reservation is one tree below its caller's span, and the batch that committed it is linked to it")
    func tree() async throws {
        try await withServer(logLevel: .info, adjusting: Self.tracing(true)) { served in
            let world = try await World.make(served)
            let answer = try await world.caller.send(
                .post, "/v1/reservations", Array(#"{"request_id":"r","model":"model-a","input_tokens":1}"#.utf8),
                headers: [.traceParent: "00-\(Self.traceID)-00f067aa0ba902b7-01", HTTPField.Name("tracestate")!: "a=1"])
            #expect(answer.status == 201, "\(answer)")
            let spans = served.log.lines.filter { $0.message == "span" }.map { $0.fields.mapValues(\.description) }
            let own = spans.filter { $0["trace_id"] == Self.traceID }
            let request = try #require(own.first { $0["span"] == "POST /v1/reservations" })
            #expect(request["parent_id"] == "00f067aa0ba902b7" && request["trace_state"] == "a=1")
            #expect(request["organization"]?.hasPrefix("org_") == true)
            // The key was not known before, so it is looked up.
            let lookUp = try #require(own.first { $0["span"] == "store credential(sha256:)" })
            #expect(lookUp["parent_id"] == request["span_id"])
            let engine = try #require(own.first { $0["span"] == "engine reserve" })
            #expect(engine["parent_id"] == request["span_id"] && engine["outcome"] == "held")
            let link = "\(Self.traceID)-\(engine["span_id"] ?? "")"
            let batch = try #require(spans.first { $0["span"] == "lane batch" && $0["links"]?.contains(link) == true })
            #expect(batch["trace_id"] != Self.traceID && batch["commands"] == "1")
            #expect(own.count == 3, "\(own)")
        }
    }

    @Test("a caller who records nothing gets no spans recorded, and without the setting there are none")
    func unsampled() async throws {
        for traces in [true, false] {
            try await withServer(logLevel: .info, adjusting: Self.tracing(traces)) { served in
                let flags = traces ? "00" : "01"
                _ = try await served.caller(nil).send(
                    .get, "/health/live", headers: [.traceParent: "00-\(Self.traceID)-00f067aa0ba902b7-\(flags)"])
                #expect(!served.log.lines.contains { $0.message == "span" && $0.fields["trace_id"]?.description == Self.traceID })
            }
        }
    }
}
