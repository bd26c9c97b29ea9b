/// The file of a closed month over HTTP: the same bytes for ever, so it is fetched in parts, compressed, or not again at all.
import Budgets
import HTTPTypes
import Store
import TestSupport
import Testing

@testable import Server

@Suite struct StatementFileTests {
    private static let contentRange = HTTPField.Name("content-range")!
    private static let path = "/v1/statements/2026-01/export?format=csv"

    private func get(_ served: Served, _ headers: HTTPFields = [:], path: String = path) async throws -> Caller.Answer {
        try await served.owner.send(.get, path, headers: headers)
    }

    /// A closed month with its file and the file's tag.
    private func withClosedMonth(
        _ body: @escaping @Sendable (_ served: Served, _ file: [UInt8], _ tag: String) async throws -> Void
    ) async throws {
        try await withServer { served in
            let world = try await World.make(served)
            #expect(try await served.owner.post("/v1/statements/2026-01/propose").status == 200)
            try await world.close("2026-01")
            let whole = try await get(served)
            let tag = try #require(whole.headers[.eTag])
            #expect(whole.status == 200 && whole.bytes.count > 100 && tag.hasPrefix("\"") && tag.utf8.count == 66, "\(whole)")
            #expect(whole.headers[.acceptRanges] == "bytes" && whole.headers[.contentLength] == "\(whole.bytes.count)")
            try await body(served, whole.bytes, tag)
        }
    }

    @Test("a part of the file is those bytes of it")
    func ranges() async throws {
        try await withClosedMonth { served, file, tag in
            let last = file.count - 1
            for (range, first, end) in [
                ("bytes=0-9", 0, 9), ("bytes=7-7", 7, 7), ("bytes=10-", 10, last), ("bytes=-5", last - 4, last),
                ("bytes=5-999999999", 5, last), ("bytes=-999999999", 0, last),
            ] {
                for condition in [[:], [.ifRange: tag]] as [HTTPFields] {
                    var headers = condition
                    headers[.range] = range
                    // A part is of the plain file, whatever codings are welcome.
                    headers[.acceptEncoding] = "gzip"
                    let part = try await get(served, headers)
                    #expect(part.status == 206 && part.bytes == Array(file[first...end]), "\(range): \(part)")
                    #expect(part.headers[Self.contentRange] == "bytes \(first)-\(end)/\(file.count)", "\(range)")
                    #expect(part.headers[.contentLength] == "\(end - first + 1)" && part.headers[.eTag] == tag, "\(range)")
                    #expect(part.headers[.contentEncoding] == nil, "\(range)")
                }
            }
            for range in ["bytes=\(file.count)-", "bytes=-0"] {
                let beyond = try await get(served, [.range: range])
                #expect(beyond.status == 416 && beyond.code == "range_not_satisfiable", "\(range): \(beyond)")
                #expect(beyond.headers[Self.contentRange] == "bytes */\(file.count)", "\(range)")
            }
            // What is no range, or of another file, is not asked for: the answer is the whole.
            for headers in [
                [.range: "bytes=5-2"], [.range: "bytes=0-1,5-6"], [.range: "lines=0-1"], [.range: "bytes=-"], [.range: "bytes=a-b"],
                [.range: "bytes=0-1", .ifRange: "\"another\""],
            ] as [HTTPFields] {
                let whole = try await get(served, headers)
                #expect(whole.status == 200 && whole.bytes == file, "\(headers): \(whole.status)")
            }
        }
    }

    @Test("whoever has the file already is told so, whichever coding it came in")
    func notModified() async throws {
        try await withClosedMonth { served, file, tag in
            for known in [tag, "W/\(tag)", "\"other\", \(tag)", "\"other\",W/\(tag)", "*"] {
                let answer = try await get(served, [.ifNoneMatch: known])
                #expect(answer.status == 304 && answer.bytes.isEmpty && answer.headers[.eTag] == tag, "\(known): \(answer)")
            }
            let other = try await get(served, [.ifNoneMatch: "\"other\""])
            #expect(other.status == 200 && other.bytes == file)
        }
    }

    @Test("a compressed file is the same file, under a tag that promises no bytes")
    func compressed() async throws {
        try await withClosedMonth { served, file, tag in
            for codings in ["gzip", "br, gzip;q=0.5", "GZIP"] {
                let answer = try await get(served, [.acceptEncoding: codings])
                #expect(answer.status == 200 && answer.headers[.contentEncoding] == "gzip", "\(codings): \(answer.headers)")
                #expect(answer.headers[.eTag] == "W/\(tag)" && answer.headers[.vary] == "Accept-Encoding", "\(codings)")
                #expect(try gunzip(answer.bytes) == file, "\(codings)")
            }
            for codings in ["gzip;q=0", "gzip; q=0.000", "br", "identity"] {
                let answer = try await get(served, [.acceptEncoding: codings])
                #expect(answer.headers[.contentEncoding] == nil && answer.bytes == file && answer.headers[.eTag] == tag, "\(codings)")
            }
        }
    }

    @Test("an open month's file may be another in a moment: it has no tag and no parts")
    func open() async throws {
        try await withServer { served in
            let path = "/v1/statements/2026-02/export?format=csv"
            let whole = try await get(served, path: path)
            #expect(whole.status == 200 && whole.headers[.eTag] == nil && whole.headers[.acceptRanges] == nil, "\(whole.headers)")
            let part = try await get(served, [.range: "bytes=0-1", .ifNoneMatch: "*"], path: path)
            #expect(part.status == 200 && part.bytes == whole.bytes, "\(part)")
        }
    }
}
