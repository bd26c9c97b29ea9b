/// Faults and refusals become problems here, and problems become answers: nothing else writes an error.
import Budgets
import HTTPTypes
import Hummingbird
import JSON
import Postgres
import Store

extension Problem {
    /// What the caller is told of an error. The second value says whether it is our fault and must be logged.
    static func of(_ error: any Error) -> (problem: Problem, isFault: Bool) {
        switch error {
        case let problem as Problem: (problem, problem.code == .internalError)
        case let refusal as AdminRefusal: (Problem(refused: refusal), false)
        case let error as PostgresError: of(error)
        case let error as HTTPError where error.status == .notFound: (Problem(.notFound), false)
        case is CancellationError: (Problem(.storeUnavailable, "The request was given up."), false)
        default: (Problem(.internalError), true)
        }
    }

    private static func of(_ error: PostgresError) -> (problem: Problem, isFault: Bool) {
        switch error.kind {
        case .poolExhausted: (Problem(.overloaded), false)
        case .cancelled: (Problem(.storeUnavailable, "The request was given up."), false)
        default: (Problem(error.isTransient ? .storeUnavailable : .internalError), true)
        }
    }

    init(refused refusal: AdminRefusal) {
        switch refusal {
        case .notFound: self.init(.notFound)
        case .archived: self.init(.archived, "It, or what it is about, is archived or revoked and can no longer change.")
        case .revisionMismatch(let current): self.init(.revisionMismatch, "Its revision is now \(current).")
        case .nameTaken: self.init(.nameTaken, "Another one that is not archived has this name.")
        case .requestInFlight: self.init(.requestInFlight, "A request with this Idempotency-Key is under way: ask again when it has ended.")
        case .keyReused: self.init(.idempotencyKeyReused, "Take a new Idempotency-Key for a request with another method, path or body.")
        case .tierMissing:
            self = .invalid(
                "A project needs a tier.", status: 422,
                faults: [FieldFault(pointer: "/tier", code: .missing, detail: "is required: the organization has no default_tier")])
        case .alreadyAllowed: self.init(.alreadyAllowed, "The project's tier has it already.")
        case .alreadyDecided(let state): self.init(.alreadyDecided, "It is \(state).")
        case .tooMany(let what, let bound, let cure): self.init(.limitReached, "There may be \(bound) \(what). \(cure)")
        case .emailTaken: self.init(.emailTaken, "Another user who is not archived has this address.")
        case .rankTaken: self.init(.rankTaken, "Another tier has this rank.")
        case .unknownReference(let pointer):
            self = .invalid(
                "A field refers to something that does not exist.", status: 422,
                faults: [
                    FieldFault(pointer: pointer, code: .unknownReference, detail: "does not exist in this organization, or is archived")
                ])
        case .unfit(let pointer, let cure):
            self = .invalid(
                "Faulty: \(pointer).", status: 422, faults: [FieldFault(pointer: pointer, code: .invalidValue, detail: cure)])
        case .committed(let free, let unit):
            self.init(.amountCommitted, "It can spare \(free.plain) \(unit == .usd ? "USD" : unit.rawValue): the rest is spent or held.")
        case .inUse(let detail): self.init(.inUse, detail)
        case .laterPriceExists: self.init(.laterPriceExists, "Prices are appended: one that begins then or later exists.")
        case .burst(let refusal, let unit): self.init(refused: refusal, unit: unit)
        case .statement(let refusal): self.init(refused: refusal)
        case .roleNotYours: self.init(.forbidden, "Keys of this role are beyond your own role.")
        }
    }

    /// The answer, with the request's id in it.
    func response(requestID: String) -> Response {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("type", "https://bursar.dev/problems/\(code.rawValue)")
            writer.field("title", code.title)
            writer.field("status", Int64(status))
            if let detail { writer.field("detail", detail) }
            writer.field("code", code.rawValue)
            writer.field("request_id", requestID)
            for member in members {
                writer.name(member.name)
                writer.raw(bytes: member.value)
            }
            writeFaults(&writer)
        }
        var fields = HTTPFields()
        fields[.contentType] = "application/problem+json"
        for header in headers {
            if let name = HTTPField.Name(header.name) { fields[name] = header.value }
        }
        return Response(
            status: HTTPResponse.Status(code: status), headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: writer.bytes)))
    }

    /// The member `errors`, if there are any.
    func writeFaults(_ writer: inout JSONWriter) {
        guard !faults.isEmpty else { return }
        writer.array("errors") { writer in
            for fault in faults {
                writer.object { writer in
                    writer.field("pointer", fault.pointer)
                    writer.field("code", fault.code.rawValue)
                    writer.field("detail", fault.detail)
                }
            }
        }
    }
}
