/// Flags beat the environment, the environment beats the file, and every value knows where it came from.
import ArgumentParser
import Configuration
import Foundation
import TestSupport
import Testing

@testable import bursar

@Suite("Configuration")
struct ConfigurationTests {
    private static let key = String(repeating: "0f", count: 32)

    @Test(
        "the first layer that says something decides",
        arguments: [
            (flag: 1 as Int?, environment: "2" as String?, file: 3 as Int?, value: "1", source: "flag --port"),
            (flag: nil, environment: "2", file: 3, value: "2", source: "environment BURSAR_PORT"),
            (flag: nil, environment: nil, file: 3, value: "3", source: "file "),
            (flag: nil, environment: nil, file: nil, value: "8080", source: "default"),
        ])
    func precedence(flag: Int?, environment: String?, file: Int?, value: String, source: String) async throws {
        var flags = ["embedded": ConfigValue(.bool(true), isSecret: false)]
        if let flag { flags["port"] = ConfigValue(.int(flag), isSecret: false) }
        let json = file.map { #"{"port": \#($0)}"# } ?? "{}"
        let found = try await find(flags, environment.map { ["BURSAR_PORT": $0] } ?? [:], ("bursar.json", json))
        let line = try #require(found.lines.first { $0.name == "port" })
        #expect(line.value == value)
        #expect(line.source.hasPrefix(source))
    }

    @Test(
        "which database is used",
        arguments: [
            (flag: "embedded", environment: ["DATABASE_URL": "postgresql://a@b/c"], file: "", value: "true", source: "flag"),
            (
                flag: "", environment: ["DATABASE_URL": "postgresql://a:s3cret@b/c"], file: "", value: "a@b:5432/c",
                source: "environment DATABASE_URL"
            ),
            (flag: "", environment: ["PGHOST": "b", "PGUSER": "a"], file: "", value: "a@b:5432/a", source: "environment PGHOST"),
            (flag: "", environment: ["BURSAR_EMBEDDED": "true"], file: "postgresql://a@b/c", value: "true", source: "environment"),
            (flag: "", environment: [:], file: "postgresql://a:s3cret@b,d/c", value: "a@b:5432,d:5432/c", source: "file"),
        ])
    func database(flag: String, environment: [String: String], file: String, value: String, source: String) async throws {
        let flags = flag.isEmpty ? [:] : [flag: ConfigValue(.bool(true), isSecret: false)]
        let yaml = "secret_key: '\(Self.key)'\n" + (file.isEmpty ? "" : "database_url: \(file)\n")
        let found = try await find(flags, environment, ("bursar.yaml", yaml))
        let line = try #require(found.lines.first)
        #expect(line.value == value)
        #expect(line.source.hasPrefix(source))
        #expect(!found.table.contains("s3cret"))
        #expect(!found.table.contains(Self.key))
    }

    @Test(
        "what makes no sense is refused by name and source",
        arguments: [
            (environment: ["BURSAR_PORT": "http"], message: "port from environment BURSAR_PORT is not a whole number"),
            (environment: ["BURSAR_PORT": "70000"], message: "port must be 0 to 65535, and environment BURSAR_PORT says 70000"),
            (environment: ["BURSAR_LOG_LEVEL": "loud"], message: "log_level loud is no level"),
            (
                environment: ["BURSAR_SECRET_KEY": "short"],
                message: "secret_key from environment BURSAR_SECRET_KEY must be 64 hexadecimal digits, as `openssl rand -hex 32` prints"
            ),
        ])
    func refusals(environment: [String: String], message: String) async throws {
        let error = await #expect(throws: CommandError.self) {
            try await find(["embedded": ConfigValue(.bool(true), isSecret: false)], environment, ("bursar.json", "{}"))
        }
        #expect(error?.description == message)
    }

    @Test(
        "a setting that there is not is refused by name, with the one that was meant",
        arguments: [
            (file: "bursar.json", text: #"{"pool-size": 3}"#, message: "unknown setting «pool-size»; did you mean pool_size?"),
            (file: "bursar.yaml", text: "server:\n  port: 1\n", message: "unknown setting «server»; there are allow_targets, "),
            (file: "bursar.yml", text: "Log_Level: info", message: "unknown setting «Log_Level»; did you mean log_level?"),
            (file: "bursar.json", text: #"{"port": 1, "port": 2}"#, message: "is not a valid JSON object"),
            (file: "bursar.json", text: "[]", message: "must be an object"),
        ])
    func unknown(file: String, text: String, message: String) async throws {
        let error = await #expect(throws: CommandError.self) {
            try await find(["embedded": ConfigValue(.bool(true), isSecret: false)], [:], (file, text))
        }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "no error")")
    }

    @Test("every option of serve has its name among the settings")
    func named() throws {
        let server = try ServeOptions.parse([
            "--host", "h", "--port", "1", "--public-url", "u", "--secret-key-file", "f", "--pool-size", "1", "--lanes", "1",
            "--sweep-interval", "1", "--log-level", "info", "--trace", "--allow-targets", "10.0.0.0/8", "--trust-proxies",
            "10.0.0.0/8", "--bad-keys-per-minute", "10", "--smtp-url", "u", "--smtp-sender", "s",
        ])
        #expect(Mirror(reflecting: server).children.count == server.flags.count, "an option is missing here, or among the flags")
        let database = try DatabaseOptions.parse(["--data-directory", "d", "--database-url", "u", "--config", "c"])
        let named = Set(server.flags.keys).union(database.flags.keys).union(["embedded", "secret_key", "smtp_user", "smtp_password"])
        #expect(named == Set(Setting.names))
    }

    @Test("a database of one's own needs a secret key")
    func needsSecretKey() async throws {
        await #expect(throws: CommandError.self) { try await find([:], ["DATABASE_URL": "postgresql://a@b/c"], ("bursar.json", "{}")) }
    }

    @Test("a made secret key is kept, and for its owner's eyes only")
    func secretKey() async throws {
        try await withFolder { folder in
            let key = try SecretKey.makeOrRead(in: folder)
            #expect(key.map(\.count) == [32])
            #expect(try SecretKey.makeOrRead(in: folder) == key)
            let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/secret-key")
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
    }

    @Test("a file may have several keys, one a line, and no line that is none")
    func severalKeys() {
        let (old, new) = (String(repeating: "01", count: 32), String(repeating: "02", count: 32))
        #expect(SecretKey.parseAll("\(new)\n\(old)\n\n") == [Array(repeating: 2, count: 32), Array(repeating: 1, count: 32)])
        #expect(SecretKey.parseAll("\(new),\(old)")?.count == 2)
        #expect(SecretKey.parseAll("") == nil && SecretKey.parseAll("\(new)\nnonsense") == nil)
    }

    private func find(
        _ flags: [String: ConfigValue], _ environment: [String: String], _ file: (name: String, text: String)
    ) async throws -> FoundSettings {
        try await withFolder { folder in
            let path = folder + "/" + file.name
            try file.text.write(toFile: path, atomically: true, encoding: .utf8)
            return try FoundSettings(try await ConfigurationLayers(flags: flags, environment: environment, file: path))
        }
    }
}
