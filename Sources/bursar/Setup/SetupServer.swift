/// Which server `apply` and `dump` speak to, and as whom.
import ArgumentParser
import Foundation
import Logging
import Outbound

struct SetupServer: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The server.", valueName: "url"))
    var url = "http://127.0.0.1:8080"

    @Option(
        name: .long,
        help: ArgumentHelp("The key of the organization's owner or of an admin; better set BURSAR_API_KEY.", valueName: "bur_…"))
    var apiKey: String?

    /// - Throws: `CommandError` when no key is given.
    func withAPI(_ body: (SetupAPI) async throws -> Void) async throws {
        guard let key = apiKey ?? ProcessInfo.processInfo.environment["BURSAR_API_KEY"], !key.isEmpty else {
            throw CommandError("set BURSAR_API_KEY to the key of the organization's owner or of an admin, or say --api-key")
        }
        let client = OutboundClient(allowTargets: SetupAPI.privateNetworks, logger: commandLogger())
        defer { client.shutdown() }
        try await body(SetupAPI(url: url, apiKey: key, send: SetupAPI.sender(client)))
    }
}
