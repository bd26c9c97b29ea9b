/// What happens around every request, known route or not: its id, a problem instead of an error, one line in the log, its figures.
import Budgets
import HTTPTypes
import Hummingbird
import Logging
import Postgres
import Store
import Tracing

/// A request as far as it is known: filled in on its way, told in its log line.
struct Asked {
    let requestID: String
    let trace: TraceParent?
    /// Nil until the API key was found.
    var credential: Credential?
}

struct Journal: Sendable {
    /// Ours and not Hummingbird's of the request: that one adds an id of its own to each line.
    let logger: Logger
    /// Nil unless requests are traced: then nothing at all is spent on it.
    var tracer: (any Tracer)?

    /// Answers a request by `handler`. Whatever that throws becomes a problem; nothing is thrown but the loss of the request itself.
    func answer(
        _ request: Request, _ figures: RouteFigures, isChange: Bool = false, _ handler: (inout Asked) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let trace = request.headers[.traceParent].flatMap(TraceParent.init)
        var asked = Asked(
            requestID: Journal.acceptable(request.headers[.requestID]) ?? trace?.traceID ?? Journal.newID(), trace: trace)
        var response: Response
        var failure: (problem: Problem, fault: (any Error)?)?
        do {
            response = try await traced(request, figures.path, &asked, handler)
        } catch let error as BodyLost {
            throw error.cause
        } catch {
            let (problem, isFault) = Problem.of(error)
            failure = (problem, isFault ? error : nil)
            response = problem.response(requestID: asked.requestID)
        }
        response.headers[.requestID] = asked.requestID
        let took = ContinuousClock.now - start
        let status = response.status.code
        figures.record(status: status, took: took)
        let level: Logger.Level =
            if failure?.fault != nil { .error } else if status >= 500 { .warning } else if isChange, status < 400 { .info } else { .debug }
        logger.log(
            level: level, failure?.fault == nil ? "request answered" : "request failed",
            metadata: Journal.metadata(asked, request.method, figures.path, status, took, failure))
        return response
    }

    /// Runs the handler inside a span that continues the caller's trace.
    private func traced(
        _ request: Request, _ route: String, _ asked: inout Asked, _ handler: (inout Asked) async throws -> Response
    ) async throws -> Response {
        guard let tracer else { return try await handler(&asked) }
        var context = ServiceContext.topLevel
        tracer.extract(request.headers, into: &context, using: FieldExtractor())
        return try await tracer.withSpan("\(request.method.rawValue) \(route)", context: context, ofKind: .server) { span in
            defer {
                span.updateAttributes { attributes in
                    attributes["request_id"] = asked.requestID
                    if let credential = asked.credential { attributes["organization"] = "\(credential.organization)" }
                }
            }
            return try await handler(&asked)
        }
    }

    /// Ids, words of our own and numbers: nothing that a caller wrote but the checked request id, so never a secret (design §10).
    private static func metadata(
        _ asked: Asked, _ method: HTTPRequest.Method, _ route: String, _ status: Int, _ took: Duration,
        _ failure: (problem: Problem, fault: (any Error)?)?
    ) -> Logger.Metadata {
        var fields: Logger.Metadata = [
            "request_id": "\(asked.requestID)", "method": "\(method.rawValue)", "route": "\(route)", "status": "\(status)",
            "duration_ms": "\(milliseconds(took))",
        ]
        if let trace = asked.trace { fields["trace_id"] = "\(trace.traceID)" }
        if let credential = asked.credential {
            fields["organization"] = "\(credential.organization)"
            fields["api_key"] = "\(credential.apiKey)"
        }
        if let failure {
            fields["code"] = "\(failure.problem.code.rawValue)"
            if let fault = failure.fault { fields["error"] = "\(describe(fault))" }
        }
        return fields
    }

    /// Errors of `Postgres` never print parameters; of others only the kind is told.
    static func describe(_ error: any Error) -> String {
        (error as? PostgresError)?.description ?? String(reflecting: type(of: error))
    }

    /// 64 random bits.
    private static func newID() -> String { String(UInt64.random(in: 0 ... .max), radix: 36) }

    /// A caller's id is taken over if it is short and plain, as it ends up in logs; and no API key that went astray.
    static func acceptable(_ id: String?) -> String? {
        guard let id, (1...128).contains(id.utf8.count), !id.contains("bur_") else { return nil }
        let isPlain = id.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        return isPlain ? id : nil
    }
}

private struct FieldExtractor: Extractor {
    func extract(key: String, from headers: HTTPFields) -> String? { HTTPField.Name(key).flatMap { headers[$0] } }
}

extension HTTPField.Name {
    static let requestID = Self("x-request-id")!
    static let traceParent = Self("traceparent")!
}

/// A time in milliseconds, to the microsecond: `0.812`.
func milliseconds(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    let microseconds = Int(seconds) * 1_000_000 + Int(attoseconds / 1_000_000_000_000)
    let fraction = String(microseconds % 1000)
    return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
}
