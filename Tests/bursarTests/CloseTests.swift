/// `bursar close` and `bursar export` as finance runs them, beside a server that is at work.
import Budgets
import Foundation
import JSON
import Store
import TestSupport
import Testing

@testable import bursar

@Suite("Closing and exporting from the command line", .timeLimit(.minutes(2)))
struct CloseTests {
    @Test("a month is looked over, closed once its points are accepted, and exported: plain, compressed, with its manifest")
    func close() async throws {
        try await withFolder(cluster: true) { folder in
            var place = try await Place(folder, Book())
            let then = Instant.now().adding(seconds: -33 * 86_400)
            let month = try #require(StatementMonth(at: then, in: .utc)).description
            // The built-in list's prices begin when they are imported: the call was made before.
            try await place.callers.owner.create("/v1/models", ["name": "model-a", "provider": "acme"])
            try await place.callers.owner.create(
                "/v1/prices",
                ["model": "model-a", "usage_kind": "input", "amount_per_million": "1", "valid_from": "2020-01-01T00:00:00Z"])
            let caller = DemoAPI(client: place.callers.client, apiKey: place.callers.secrets.caller)
            let use: JSON = [
                "request_id": "u", "occurred_at": .string(then.rfc3339), "model": "model-a", "usage": ["input": 1_000_000],
            ]
            let booked = try await caller.create("/v1/usage", ["events": [use]])
            #expect(booked["results"]?[0]?["status"] == "booked", "\(booked)")
            // What runs could be first to freeze the month: the command is to do it all.
            try await place.close()
            let options = ["--month", month, "--embedded", "--data-directory", folder]

            let look = try Program.run(["close", "--dry-run"] + options, keepsErrors: true)
            #expect(look.status == 0 && !look.output.contains("is closed"), "\(look)")
            let sums = look.output.split(separator: "\n").prefix(2).map { $0.dropFirst(8) }
            #expect(sums.count == 2 && sums[0] == sums[1] && sums[0].hasSuffix(" USD in 1 calls"), "\(look)")
            let refused = try Program.run(["close"] + options, keepsErrors: true)
            #expect(refused.status == 1 && refused.output.contains("in the way: "), "\(refused)")
            let accepted = ["unattributed_spend", "missing_cost_centers"].flatMap { ["--accept", $0] }
            let closed = try Program.run(["close"] + options + accepted, keepsErrors: true)
            #expect(closed.status == 0, "\(closed)")
            #expect(closed.output.contains(try Regex("\(month) is closed, statement \(month)-1, SHA-256 [0-9a-f]{64}\n$")), "\(closed)")
            let again = try Program.run(["close"] + options, keepsErrors: true)
            #expect(again.status == 0 && again.output.contains("\(month) is closed, statement \(month)-1"), "\(again)")

            let plain = try Program.run(["export"] + options)
            try await place.open()
            let overHTTP = try await place.callers.owner.read("/v1/statements/\(month)/export?format=csv")
            #expect(plain.status == 0 && Array(plain.output.utf8) == overHTTP)
            let file = folder + "/statement.csv.gz"
            let compressed = try Program.run(["export", "--gzip", "--output", file] + options, keepsErrors: true)
            #expect(compressed.status == 0, "\(compressed)")
            #expect(try gunzip(Array(Data(contentsOf: URL(filePath: file)))) == Array(plain.output.utf8))
            let manifest = try JSON.parse(Array(Data(contentsOf: URL(filePath: file + ".manifest.json"))))
            #expect(
                manifest["bytes"]?.int64 == Int64(plain.output.utf8.count), "the manifest tells of the file before compression: \(manifest)"
            )
            let twice = try Program.run(["export", "--output", file] + options, keepsErrors: true)
            #expect(twice.status == 1 && twice.output.contains("cannot create"), "nothing is overwritten: \(twice)")
            try await place.close()
        }
    }
}
