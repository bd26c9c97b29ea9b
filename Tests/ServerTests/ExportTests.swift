/// Exports in the background over HTTP: asked for, waited for, and fetched by a link that opens this file alone, for a while.
import Budgets
import Crypto
import Foundation
import HTTPTypes
import JSON
import Store
import TestSupport
import Testing

@testable import Server

@Suite struct ExportTests {
    /// As the server that `withServer` runs signs.
    private let links = ExportLinks(masterKeys: [Array(repeating: 7, count: 32)], publicURL: nil)
    private let year: JSON = ["format": "csv", "first_month": "2025-12", "last_month": "2026-02"]

    /// Waits until it is made; nothing but the export itself tells.
    private func made(_ id: String, _ caller: Caller) async throws -> JSON {
        while true {
            let answer = try await caller.get("/v1/exports/\(id)")
            try #require(["queued", "running", "done"].contains(answer.body["state"]?.string), "\(answer)")
            if answer.body["state"] == "done" { return answer.body }
        }
    }

    @Test("an export is accepted, made, and fetched by its link with no API key, whole and in parts")
    func fetched() async throws {
        try await withServer { served in
            _ = try await World.make(served)
            let key: HTTPFields = [.init("idempotency-key")!: "once"]
            let asked = try await served.owner.send(.post, "/v1/exports", year.bytes, headers: key)
            #expect(asked.status == 202 && asked.headers[.location] == "/v1/exports/\(asked.id)", "\(asked)")
            #expect(asked.body["months"] == 3 && asked.body["link"] == .null, "\(asked)")
            let again = try await served.owner.send(.post, "/v1/exports", year.bytes, headers: key)
            #expect(again.id == asked.id && again.headers[.location] == asked.headers[.location], "\(again)")
            let export = try await made(asked.id, served.owner)
            let url = try #require(export["link"]?["url"]?.string)
            #expect(export["months_done"] == 3 && url.hasPrefix("/v1/exports/\(asked.id)/file?"), "\(export)")

            let nobody = served.caller(nil)
            let whole = try await nobody.get(url)
            #expect(whole.status == 200 && whole.headers[.contentType] == "application/zip", "\(whole.headers)")
            #expect(whole.headers[.contentDisposition] == "attachment; filename=\"bursar-2025-12-to-2026-02-csv.zip\"")
            let hash = SHA256.hash(data: whole.bytes).map { String(format: "%02x", $0) }.joined()
            #expect(export["sha256"]?.string == hash && export["bytes"]?.int64 == Int64(whole.bytes.count))
            #expect(whole.headers[.eTag] == "\"\(hash)\"" && whole.headers[.contentLength] == "\(whole.bytes.count)")
            let head = try await nobody.send(.head, url)
            #expect(head.status == 200 && head.bytes.isEmpty && head.headers[.contentLength] == "\(whole.bytes.count)")
            let part = try await nobody.send(.get, url, headers: [.range: "bytes=5-"])
            #expect(part.status == 206 && part.bytes == Array(whole.bytes[5...]), "\(part)")
            #expect(try await nobody.send(.get, url, headers: [.ifNoneMatch: "\"\(hash)\""]).status == 304)
            #expect(try await nobody.send(.get, url, headers: [.range: "bytes=\(whole.bytes.count)-"]).status == 416)

            let cancelled = try await served.owner.post("/v1/exports/\(asked.id)/cancel")
            #expect(cancelled.body["state"] == "cancelled" && cancelled.body["link"] == .null, "\(cancelled)")
            #expect(try await nobody.get(url).status == 404)
            #expect(try await served.owner.post("/v1/exports/\(asked.id)/cancel").code == "already_decided")
            let audit = try await served.owner.get("/v1/audit-events?target=\(asked.id)")
            #expect(audit.body["data"]?.array?.map { $0["action"]?.string } == ["export.changed", "export.created"])
        }
    }

    @Test("a link that was changed, has expired, or was given out for anything else leads nowhere", arguments: Wall.holding)
    func links(wall: Wall) async throws {
        try await withServer(wall: wall) { served in
            _ = try await World.make(served)
            let id = try await served.owner.post("/v1/exports", year).id
            let url = try #require(try await made(id, served.owner)["link"]?["url"]?.string)
            let (export, nobody) = (try #require(ExportID(id)), served.caller(nil))
            let own = try #require(OrganizationID(try await served.owner.get("/v1/organization").id))
            let other = try await served.anotherOrganization()
            let others = try #require(OrganizationID(try await other.get("/v1/organization").id))
            let soon = Instant.now().seconds + 600
            #expect(try await nobody.get(links.url(of: export, in: own, until: soon)).status == 200)

            let expired = try await nobody.get(links.url(of: export, in: own, until: Instant.now().seconds - 1))
            #expect(expired.status == 410 && expired.code == "link_expired", "\(expired)")
            let (changed, signature) = (url.replacing("expires=1", with: "expires=2"), try #require(url.split(separator: "=").last))
            let turned = signature.first == "A" ? "B" : "A"
            let stranger = ExportLinks(masterKeys: [Array(repeating: 8, count: 32)], publicURL: nil)
            for (what, path) in [
                ("a later end", changed),
                ("another signature", url.replacing("signature=\(signature.prefix(1))", with: "signature=\(turned)")),
                ("no base64", url + "!"), ("another organization", url.replacing("\(own)", with: "\(others)")),
                ("another export", url.replacing(id, with: "\(ExportID(high: export.high, low: export.low ^ 1))")),
                ("another installation", stranger.url(of: export, in: own, until: soon)),
                ("genuine, but of an organization that has no such export", links.url(of: export, in: others, until: soon)),
            ] {
                let answer = try await nobody.get(path)
                #expect(path != url && answer.status == 404, "\(what): \(answer)")
            }
            #expect(try await nobody.get("/v1/exports/\(id)/file").status == 422)
            // The API key of another organization opens it no more than none, nor does one's own without a link.
            #expect(try await other.get("/v1/exports/\(id)").status == 404)
            #expect(try await served.owner.get("/v1/exports/\(id)/file").status == 422)
        }
    }

    @Test("links outlive a change of the master key, and say the server's public URL")
    func rotation() throws {
        let (old, new) = (Array(repeating: 7, count: 32) as [UInt8], Array(repeating: 9, count: 32) as [UInt8])
        let (export, organization) = (ExportID(high: 1, low: 2), OrganizationID(high: 3, low: 4))
        let before = ExportLinks(masterKeys: [old], publicURL: nil).url(of: export, in: organization, until: 5)
        let signature = String(try #require(before.split(separator: "=").last))
        let after = ExportLinks(masterKeys: [new, old], publicURL: "https://bursar.example")
        #expect(after.isGenuine(signature, of: export, in: organization, until: 5))
        #expect(!ExportLinks(masterKeys: [new], publicURL: nil).isGenuine(signature, of: export, in: organization, until: 5))
        let url = after.url(of: export, in: organization, until: 5)
        #expect(url.hasPrefix("https://bursar.example/v1/exports/\(export)/file?") && !url.hasSuffix(signature))
    }

    @Test("a range of months is in order and has an end")
    func ranges() async throws {
        try await withServer { served in
            for (first, last, faults) in [
                ("2026-02", "2026-01", ["/last_month out_of_range"]), ("2020-01", "2025-01", ["/last_month out_of_range"]),
                ("2020-01", "2024-12", []), ("2020-13", "x", ["/first_month invalid_value", "/last_month invalid_value"]),
            ] as [(JSON, JSON, [String])] {
                let answer = try await served.owner.post("/v1/exports", ["format": "json", "first_month": first, "last_month": last])
                #expect(answer.faults == faults && answer.status == (faults.isEmpty ? 202 : 422), "\(answer)")
            }
        }
    }
}
