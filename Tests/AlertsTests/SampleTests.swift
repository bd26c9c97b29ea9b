/// The samples of `docs/webhooks.md` in other languages, run as they stand there, where the language is installed. The Swift sample is
/// tried by `DocumentationTests`, the Python one by `VendorTests`.
import Budgets
import Foundation
import JSON
import Outbound
import Store
import TestSupport
import Testing

@testable import Alerts

@Suite(.timeLimit(.minutes(2))) struct SampleTests {
    private static func program(_ name: String) -> String? {
        ["/usr/bin", "/usr/local/bin", "/usr/local/go/bin"].map { "\($0)/\(name)" }.first(where: FileManager.default.isExecutableFile)
    }

    /// The code blocks of a language, in their order.
    private static func samples(_ language: String) throws -> [String] {
        let text = try String(contentsOf: Vendors.file("docs/webhooks.md"), encoding: .utf8)
        return text.components(separatedBy: "```\(language)\n").dropFirst().compactMap { $0.components(separatedBy: "```").first }
    }

    /// A request as it is sent now, and the same with something wrong: what each should be taken for.
    private func requests(_ secret: WebhookSecret) throws -> [(request: JSON, isOurs: Bool)] {
        let body = try #require(WebhookMessage.make(eventBody())).bytes
        let now = Int64(Date().timeIntervalSince1970)
        func request(at time: Int64, _ revealed: String, body sent: [UInt8]) -> JSON {
            let headers = WebhookMessage.headers(id: "evt_1", at: Instant(seconds: time), body: body, secrets: [secret])
            return [
                "headers": .object(headers.map { ($0.name, .string($0.value)) }), "body": .string(Data(sent).base64EncodedString()),
                "secret": .string(revealed),
            ]
        }
        let other = secret.revealed.prefix(6) + Data(repeating: 1, count: 32).base64EncodedString()
        var requests = [
            (request(at: now, secret.revealed, body: body), true), (request(at: now, secret.revealed, body: body + [32]), false),
            (request(at: now, String(other), body: body), false),
        ]
        // Only the symmetric samples look at the time themselves.
        if secret.revealed.hasPrefix("whsec_") { requests.append((request(at: now - 301, secret.revealed, body: body), false)) }
        return requests
    }

    /// Runs a program in a folder of its own; it reads all requests and prints a line for each, `true` or `false`.
    private func tryOut(_ files: [String: String], _ program: String, _ arguments: [String], _ secret: WebhookSecret) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "bursar-sample-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in files { try text.write(to: folder.appending(path: name), atomically: true, encoding: .utf8) }
        let requests = try requests(secret)
        let (status, output) = try await Helper.run(
            try #require(Self.program(program)), arguments, input: JSON.array(requests.map(\.request)).text,
            environment: ["GO111MODULE": "off"], in: folder)
        #expect(status == 0 && output == requests.map { "\($0.isOurs)\n" }.joined(), "\(output)")
    }

    private static func node(_ call: String) -> String {
        """
        import { readFileSync } from "node:fs";
        import * as sample from "./sample.mjs";
        for (const { headers, body, secret } of JSON.parse(readFileSync(0))) {
          let isOurs = false;
          try { isOurs = \(call); } catch {}
          console.log(isOurs);
        }
        """
    }

    @Test("Node verifies by a secret", .enabled(if: program("node") != nil, "Node is not installed"))
    func node() async throws {
        let main = Self.node(#"sample.verify(headers, Buffer.from(body, "base64"), secret) === "evt_1""#)
        try await tryOut(["sample.mjs": try Self.samples("js")[0], "main.mjs": main], "node", ["main.mjs"], Outbox.secret)
    }

    @Test("Node verifies by a public key", .enabled(if: program("node") != nil, "Node is not installed"))
    func nodeWithPublicKey() async throws {
        var generator = SystemRandomNumberGenerator()
        let secret = WebhookSecret(.ed25519, using: &generator)
        let main = Self.node(#"sample.isSigned(headers, Buffer.from(body, "base64"), secret)"#)
        try await tryOut(["sample.mjs": try Self.samples("js")[1], "main.mjs": main], "node", ["main.mjs"], secret)
    }

    @Test("Go verifies by a secret", .enabled(if: program("go") != nil, "Go is not installed"))
    func go() async throws {
        let imports = [
            "crypto/hmac", "crypto/sha256", "encoding/base64", "encoding/json", "errors", "fmt", "net/http", "os", "strconv", "strings",
            "time",
        ]
        let source = """
            package main

            import (\(imports.map { "\"\($0)\"" }.joined(separator: "; ")))

            \(try Self.samples("go")[0])

            func main() {
            	var all []struct {
            		Headers map[string]string
            		Body    []byte
            		Secret  string
            	}
            	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
            		panic(err)
            	}
            	for _, sent := range all {
            		headers := http.Header{}
            		for name, value := range sent.Headers {
            			headers.Set(name, value)
            		}
            		id, err := Verify(headers, sent.Body, sent.Secret)
            		fmt.Println(err == nil && id == "evt_1")
            	}
            }
            """
        try await tryOut(["main.go": source], "go", ["run", "main.go"], Outbox.secret)
    }
}
