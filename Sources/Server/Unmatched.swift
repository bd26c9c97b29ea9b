/// What no route took: a path that is not there (404), or one that is there with other methods (405, and OPTIONS), whatever the method.
import HTTPTypes
import Hummingbird

struct Unmatched: RouterMiddleware {
    let journal: Journal
    let figures: RouteFigures
    let allowed: AllowedMethods

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError {
            let response = try await journal.answer(request, figures) { _ in
                guard error.status == .notFound, let allowed = allowed[request.uri.path] else { throw error }
                if request.method == .options { return Response(status: .noContent, headers: [.allow: allowed]) }
                var problem = Problem(.methodNotAllowed, "Allowed are \(allowed).")
                problem.headers.append(("allow", allowed))
                throw problem
            }
            // A body after HEAD would be taken for the beginning of the next answer.
            return request.method == .head ? response.createHeadResponse() : response
        }
    }
}

/// The methods of each path, as the field `Allow` lists them.
struct AllowedMethods: Sendable {
    private let paths: [(segments: [Substring], methods: String)]

    init(_ routes: [Route]) {
        paths = Dictionary(grouping: routes, by: \.path).map { path, routes in
            let methods = routes.map(\.method.rawValue) + (routes.contains { $0.method == .get } ? ["HEAD"] : []) + ["OPTIONS"]
            return (path.split(separator: "/"), methods.sorted().joined(separator: ", "))
        }
    }

    /// Nil when no route has that path.
    subscript(path: String) -> String? {
        let segments = path.split(separator: "/")
        return paths.first { known in
            known.segments.count == segments.count
                && zip(known.segments, segments).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }?.methods
    }
}
