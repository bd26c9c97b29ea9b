/// What happens to every request around its handler: request id, credential, permission, body, problems, metrics.
import Budgets
import HTTPTypes
import Hummingbird
import Logging
import Postgres
import Store

/// One line of the route table.
struct Route: Sendable {
    enum Access: Sendable {
        case open
        case needs(Permission)
    }

    let method: HTTPRequest.Method
    /// As in `openapi/bursar.yaml`: `{id}` stands for one segment.
    let path: String
    let access: Access
    let handle: @Sendable (API) -> @Sendable (Exchange) async throws -> Response

    init(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access,
        _ handle: @escaping @Sendable (API) -> @Sendable (Exchange) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.access = access
        self.handle = handle
    }

    /// Authenticates, authorizes, reads the body, and hands over to the handler.
    func respond(to request: Request, _ context: ServerContext, _ api: API) async throws -> Response {
        var credential = Credential.nobody
        var reach = Reach.everything
        if case .needs(let permission) = access {
            credential = try await api.authenticator.credential(of: request.headers[.authorization], cached: permission == .call)
            guard let permitted = credential.reach(permission) else { throw Problem(.forbidden, "This API key may not do that.") }
            reach = permitted
            try await api.check(reach, id: context.parameters.get("id"), of: credential)
        }
        let hasBody = method == .post || method == .patch || method == .put
        let body = hasBody ? try await RequestBodies.collect(request) : []
        let exchange = Exchange(
            request: request, parameters: context.parameters, credential: credential, reach: reach, body: body,
            requestID: context.requestID, now: api.now(), logger: context.logger)
        guard isAdministrative else { return try await handle(api)(exchange) }
        return try await api.write(exchange, handle)
    }

    /// Whether it changes what administrators look after. Calls have their own way to Postgres, through the engine.
    private var isAdministrative: Bool {
        guard case .needs(let permission) = access, method != .get else { return false }
        return permission != .call
    }
}

extension API {
    /// A role on a team reaches that team's things. A thing that moves to another team at the same moment is judged by where it was.
    func check(_ reach: Reach, id: String?, of credential: Credential) async throws {
        guard case .teams = reach, let id else { return }
        guard let owner = try await store.owner(ofID: id, in: credential.organization) else { throw Problem(.notFound) }
        guard reach.covers(owner) else { throw Problem(.forbidden, "Your role does not reach what belongs to others.") }
    }

    /// The same for a project that a body names. One that does not exist is left to whoever looks it up.
    func require(_ project: ProjectID, _ exchange: Exchange) async throws {
        guard case .teams = exchange.reach, let owner = try await store.owner(of: project, in: exchange.organization) else { return }
        guard exchange.reach.covers(owner) else { throw Problem(.forbidden, "Your role there does not reach that project.") }
    }
}

/// Outermost: gives the request its id, turns whatever is thrown into a problem, logs faults once, counts.
struct Outermost: RouterMiddleware {
    let metrics: HTTPMetrics

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        var context = context
        context.requestID = Outermost.acceptable(request.headers[Outermost.requestID]) ?? Outermost.newID()
        var response: Response
        do {
            response = try await next(request, context)
        } catch let error as BodyLost {
            throw error.cause
        } catch {
            let (problem, isFault) = Problem.of(error)
            if isFault { log(error, problem, request, context) }
            response = problem.response(requestID: context.requestID)
        }
        response.headers[Outermost.requestID] = context.requestID
        metrics.record(request.method, context.endpointPath, status: response.status.code, took: ContinuousClock.now - start)
        return response
    }

    /// The one place where faults are logged. Errors of `Postgres` never print parameters; of others only the kind is told.
    private func log(_ error: any Error, _ problem: Problem, _ request: Request, _ context: ServerContext) {
        context.logger.error(
            "request failed",
            metadata: [
                "request_id": "\(context.requestID)", "method": "\(request.method.rawValue)", "route": "\(context.endpointPath ?? "")",
                "code": "\(problem.code.rawValue)", "error": "\(Outermost.describe(error))",
            ])
    }

    static func describe(_ error: any Error) -> String {
        (error as? PostgresError)?.description ?? String(reflecting: type(of: error))
    }

    static let requestID = HTTPField.Name("x-request-id")!

    /// 64 random bits. Not Hummingbird's own id: that one lives in the logger's metadata, which not every logger keeps.
    private static func newID() -> String { String(UInt64.random(in: 0 ... .max), radix: 36) }

    /// A caller's id is taken over if it is short and plain: it ends up in logs.
    static func acceptable(_ id: String?) -> String? {
        guard let id, (1...128).contains(id.utf8.count) else { return nil }
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
