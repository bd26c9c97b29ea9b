/// Bad days of the program as people run it: killed, told to stop, its Postgres killed; each under load, over real HTTP. What was
/// acknowledged is there, once; nothing else is; every alert is made once and arrives.
import Foundation
import Glibc
import JSON
import Postgres
import TestSupport
import Testing

@testable import bursar

@Suite("bursar serve on bad days", .serialized, .timeLimit(.minutes(2)))
struct KilledTests {
    @Test("kill -9 while calls go on and an alert is on its way, three times: all that was acknowledged is there once, all alerts come")
    func killed() async throws {
        try await withFolder(cluster: true) { folder in
            let book = Book()
            var heard = book.events.makeAsyncIterator()
            let receiver = Receiver { book.receive($0) }
            defer { receiver.stop() }
            var place = try await Place(folder, book)
            let postgres = try await EmbeddedPostgres.start(in: folder, logger: testLogger)
            try await place.callers.owner.create(
                "/v1/endpoints", ["kind": "webhook", "name": "spend", "url": .string(receiver.url()), "events": ["budget.*"]])
            for threshold in Place.thresholds.dropLast() {
                let callers = place.callers
                async let load: Void = callers.load()
                await heard.wait(for: .alert(threshold))
                place.program.send(SIGKILL)
                await load
                #expect(try place.program.end() == SIGKILL)
                try await endLeases(postgres.configuration)
                try await place.open()
                try await place.callers.askAgain()
            }
            let callers = place.callers
            async let load: Void = callers.load()
            await heard.wait(for: .alert(100))
            book.end()
            await load
            try await callers.checkEach()
            try await callers.checkSums()

            let alerts = try JSON.parse(try await callers.owner.read("/v1/alerts"))["data"]?.array ?? []
            #expect(alerts.compactMap { $0["threshold"]?.int64 }.sorted() == Place.thresholds)
            #expect(alerts.allSatisfy { $0["superseded"] == false })
            // The first three twice: their first senders were killed before they heard the answer.
            let arrived = try await receiver.received(atLeast: 2 * Place.thresholds.count - 1)
            let ids = Dictionary(grouping: arrived) { Book.threshold($0) }.mapValues { Set($0.map { $0.headers["webhook-id"] ?? "" }) }
            #expect(ids.keys.sorted() == Place.thresholds)
            #expect(ids.values.allSatisfy { $0.count == 1 } && Set(ids.values).count == ids.count)
            try await place.close()
            await postgres.stop()
        }
    }

    @Test("SIGTERM while calls go on: whatever is booked was answered, nobody is told 503, and it ends with 0")
    func toldToStop() async throws {
        try await withFolder(cluster: true) { folder in
            let book = Book()
            var heard = book.events.makeAsyncIterator()
            var place = try await Place(folder, book)
            for _ in 1...3 {
                let callers = place.callers
                async let load: Void = callers.load()
                await heard.wait(for: .settled, count: 100)
                place.program.send(SIGTERM)
                await load
                #expect(try place.program.end() == 0)
                try await place.open()
                try await place.callers.checkSums()
            }
            #expect(book.unavailable == 0)
            try await place.callers.checkEach()
            try await place.close()
        }
    }

    @Test("Postgres killed while calls go on, twice: callers are told 503, it is started again, and calls go on by themselves")
    func killedPostgres() async throws {
        try await withFolder(cluster: true) { folder in
            let book = Book()
            var heard = book.events.makeAsyncIterator()
            var place = try await Place(folder, book)
            let callers = place.callers
            async let load: Void = callers.load()
            for _ in 1...2 {
                await heard.wait(for: .settled, count: 100)
                let lines = try String(contentsOfFile: folder + "/postgres/postmaster.pid", encoding: .utf8).split(separator: "\n")
                let postmaster = try #require(lines.first.flatMap { pid_t($0) })
                #expect(kill(postmaster, SIGKILL) == 0)
                await heard.wait(for: .unavailable)
            }
            await heard.wait(for: .settled, count: 100)
            book.end()
            await load
            try await callers.checkSums()
            try await callers.checkEach()
            try await callers.checkSums()
            try await place.close()
        }
    }

    /// Lets the claims of a sender that was killed run out now instead of in most of a minute.
    private func endLeases(_ database: PostgresConfiguration) async throws {
        let connection = try await PostgresConnection.connect(database, logger: testLogger)
        try await connection.script("UPDATE deliveries SET lease_until = now(), next_attempt_at = now() WHERE state = 'sending'")
        await connection.close()
    }
}
