/// The server against its own contract: schemathesis makes requests from openapi/bursar.yaml, good and bad, one by one and in sequences,
/// as the owners of two organizations, and holds every answer to the document.
import Foundation
import JSON
import TestSupport
import Testing

@testable import bursar

@Suite("schemathesis", .timeLimit(.minutes(120)))
struct SchemathesisTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized
    /// `make test` installs it where there are Python and a package registry.
    private static let program = root.appending(path: ".build/schemathesis/bin/schemathesis").path
    private static let environment = ProcessInfo.processInfo.environment

    @Test(
        "finds nothing, with all checks and phases",
        .enabled(if: FileManager.default.isExecutableFile(atPath: program), "schemathesis is not installed: `make test` does it"))
    func findsNothing() async throws {
        try await withFolder(cluster: true) { folder in
            let options = ["--embedded", "--data-directory", folder]
            // It tries bad keys with every request that good ones were answered to, and must be told each time that they are none.
            let (program, client) = try Place.serve(options + ["--bad-keys-per-minute", "1000000"])
            var identities: [JSON] = []
            var ids: [String: [String]] = [:]
            for name in ["acme", "beta"] {
                let keys = try JSON.parse(Program.run(["bootstrap", "--json", "--name", name] + options).output)
                let key = try #require(keys["owner_key"]?.string)
                identities.append(
                    ["name": .string(name), "fixedHeaders": [["name": "Authorization", "value": .string("Bearer \(key)")]]])
                try await Self.populate(DemoAPI(client: client, apiKey: key)) { ids[$0, default: []].append($1) }
            }
            let place = URL(filePath: folder)
            try (["auth": .array(identities)] as JSON).text.write(to: place.appending(path: "auth.json"), atomically: true, encoding: .utf8)
            let settings =
                try String(contentsOf: Self.root.appending(path: "Tests/schemathesis.toml"), encoding: .utf8) + Self.bindings(ids)
            try settings.write(to: place.appending(path: "schemathesis.toml"), atomically: true, encoding: .utf8)
            let (status, report) = try Self.run("http://127.0.0.1:\(client.port)/openapi.yaml", in: folder)
            #expect(status == 0, "\(report)")
            program.send(SIGTERM)
            #expect(try program.end() == 0)
            try await client.shutdown()
        }
    }

    /// For `make test` each operation is tried a few times and the seed is always the same; the long form says how many seconds.
    private static func run(_ address: String, in folder: String) throws -> (status: Int32, report: String) {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.currentDirectoryURL = URL(filePath: folder)
        var arguments = [
            "run", address, "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--mode", "all", "--no-color",
        ]
        arguments += ["--continue-on-failure", "--warnings", "off"]
        if let seconds = environment["BURSAR_SCHEMATHESIS_SECONDS"] {
            arguments += ["--max-time", seconds]
        } else {
            arguments += ["--max-examples", "10", "--seed", "1"]
        }
        if let seed = environment["BURSAR_TEST_SEED"], !seed.isEmpty { arguments += ["--seed", seed] }
        process.arguments = arguments
        let output = folder + "/schemathesis.txt"
        try Data().write(to: URL(filePath: output))
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = process.standardOutput
        try process.run()
        process.waitUntilExit()
        let report = try String(contentsOfFile: output, encoding: .utf8)
        print(report.suffix(600))
        return (process.terminationStatus, String(report.suffix(20_000)))
    }

    /// One of each thing, told under the path of its collection.
    private static func populate(_ owner: DemoAPI, _ tell: (String, String) -> Void) async throws {
        func make(_ path: String, _ body: JSON) async throws -> JSON {
            let made = try await owner.create(path, body)
            tell(path.hasSuffix("/bursts") ? "/v1/bursts" : path, try #require(made["id"]?.string))
            return made["id"] ?? .null
        }
        _ = try await make("/v1/models", ["name": "model-a", "provider": "acme"])
        for kind in ["input", "output"] {
            _ = try await make("/v1/prices", ["model": "model-a", "usage_kind": .string(kind), "amount_per_million": "1"])
        }
        let team = try await make("/v1/teams", ["name": "Search"])
        let tier = try await make("/v1/tiers", ["name": "All", "rank": 1, "models": ["*"], "max_output_tokens": 4096])
        let project = try await make("/v1/projects", ["name": "Ranker", "team": team, "tier": tier])
        _ = try await make("/v1/users", ["name": "Alice", "roles": [["role": "lead", "team": team]]])
        _ = try await make("/v1/api-keys", ["name": "ci", "project": project])
        let budget = try await make("/v1/budgets", ["name": "Month", "unit": "usd", "period": "month", "amount": "100"])
        let burst: JSON = ["amount": "5", "reason": "launch", "ends_at": "2099-01-01T00:00:00Z", "starts_at": "2098-12-01T00:00:00Z"]
        _ = try await make("/v1/budgets/\(budget.string ?? "")/bursts", burst)
        _ = try await make("/v1/endpoints", ["kind": "webhook", "url": "http://127.0.0.1:9/"])
        _ = try await make(
            "/v1/reservations", ["project": project, "request_id": "r", "model": "model-a", "input_tokens": 10, "max_output_tokens": 10])
    }

    /// Lets half of the ids in paths, and most of those in bodies, be ids of things that are there, of either organization.
    private static func bindings(_ ids: [String: [String]]) -> String {
        var text = ""
        var inBodies: [(field: String, dictionary: String)] = []
        for (path, ids) in ids.sorted(by: { $0.key < $1.key }) {
            let name = String(path.split(separator: "/").last ?? "").replacing("-", with: "_")
            text += "\n[dictionaries.\(name)]\nvalues = [\(ids.map { "\"\($0)\"" }.joined(separator: ", "))]\n"
            text += "\n[[operations]]\ninclude-path-regex = \"^\(path)/\"\n"
            text += "[operations.parameters]\n\"path.id\" = { dictionary = \"\(name)\", probability = 0.5 }\n"
            if ["teams", "projects", "tiers", "users"].contains(name) { inBodies.append((String(name.dropLast()), name)) }
        }
        text += "\n[parameters]\n"
        for (field, dictionary) in inBodies {
            text += "\"body.\(field)\" = { dictionary = \"\(dictionary)\", probability = 0.8 }\n"
        }
        return text
    }
}
