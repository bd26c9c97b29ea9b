/// What happens to a request on its way to its handler: credential, permission, body.
import Budgets
import HTTPTypes
import Hummingbird
import Outbound
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
    func respond(to request: Request, _ context: ServerContext, _ asked: inout Asked, _ api: API) async throws -> Response {
        var api = api
        var credential = Credential.nobody
        var reach = Reach.everything
        if case .needs(let permission) = access {
            let client = context.client(of: request, trusting: api.trustedProxies)
            credential = try await api.authenticator.credential(
                of: request.headers[.authorization], from: client, at: api.now(), cached: permission == .call)
            asked.credential = credential
            api = api.walled(for: credential.organization)
            try credential.requireNetwork(of: client)
            api.keyUses.note(credential, at: api.now())
            guard let permitted = credential.reach(permission) else { throw Problem(.forbidden, "This API key may not do that.") }
            reach = permitted
            try await api.check(reach, id: context.parameters.get("id"), of: credential)
        }
        let hasBody = method == .post || method == .patch || method == .put
        let body = hasBody ? try await RequestBodies.collect(request) : []
        let exchange = Exchange(
            request: request, parameters: context.parameters, credential: credential, reach: reach, body: body,
            requestID: asked.requestID, now: api.now(), logger: api.journal.logger)
        guard isChange else { return try await handle(api)(exchange) }
        return try await api.write(exchange, handle)
    }

    /// Whether it changes what administrators look after: what is recorded, and the only requests that are news in a log. Calls have
    /// their own way to Postgres, through the engine.
    var isChange: Bool {
        guard case .needs(let permission) = access, method != .get else { return false }
        return permission != .call && permission != .estimate
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
