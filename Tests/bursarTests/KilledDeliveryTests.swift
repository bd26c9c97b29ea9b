/// The program killed while it delivers, again and again: every event reaches its receiver, and a receiver that takes each id once has each
/// event once. `make test` has few rounds; `make kills` has fifty.
import Foundation
import Glibc
import JSON
import Postgres
import TestSupport
import Testing

@testable import bursar

@Suite("bursar serve killed while it delivers", .serialized, .timeLimit(.minutes(20)))
struct KilledDeliveryTests {
    private static let rounds = ProcessInfo.processInfo.environment["BURSAR_ROUNDS"].flatMap(Int.init) ?? 3
    private static let seed = ProcessInfo.processInfo.environment["BURSAR_TEST_SEED"].flatMap(UInt64.init) ?? .random(in: 0...999_999)
    private static let eventsPerRound = 6

    @Test("kill -9 during delivery: every event at the receiver, unique by its id")
    func killed() async throws {
        print("kills: seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        try await withFolder(cluster: true) { folder in
            // Every other request hangs until its sender is dead: it has arrived, and nobody heard so.
            let receiver = Receiver { $0.number.isMultiple(of: 2) ? .hold(.ok) : .ok }
            defer { receiver.stop() }
            var place = try await Place(folder, Book())
            let postgres = try await EmbeddedPostgres.start(in: folder, logger: testLogger)
            let made = try await place.callers.owner.create(
                "/v1/endpoints", ["kind": "webhook", "url": .string(receiver.url()), "rate_per_minute": 6000])
            let endpoint = try #require(made["id"]?.string)
            for _ in 1...Self.rounds {
                let before = receiver.received.count
                for _ in 1...Self.eventsPerRound { try await place.callers.owner.create("/v1/endpoints/\(endpoint)/test", [:]) }
                _ = try await receiver.received(atLeast: before + Int.random(in: 2...4, using: &generator))
                place.program.send(SIGKILL)
                #expect(try place.program.end() == SIGKILL)
                receiver.release(1000)
                let connection = try await PostgresConnection.connect(postgres.configuration, logger: testLogger)
                // The claims of the dead run out now instead of in most of a minute.
                try await connection.script("UPDATE deliveries SET lease_until = now(), next_attempt_at = now() WHERE state = 'sending'")
                await connection.close()
                try await place.open()
            }
            receiver.release(10_000)
            let connection = try await PostgresConnection.connect(postgres.configuration, logger: testLogger)
            let wanted = Self.rounds * Self.eventsPerRound
            // Postgres signals no such thing; the suite's time limit ends this.
            while try await count("SELECT count(*) FROM deliveries WHERE state = 'delivered'", connection) < wanted {
                try await Task.sleep(for: .milliseconds(20))
            }
            let rows = try await connection.query("SELECT 'evt_' || replace(id::text, '-', '') FROM events").rows
            await connection.close()
            let events = try rows.map { try $0.decode(as: String.self) }
            let arrived = receiver.received.compactMap { $0.headers["webhook-id"] }
            #expect(events.count == wanted && Set(arrived) == Set(events), "seed \(Self.seed)")
            // Some came twice, or this test has shown nothing.
            #expect(arrived.count > wanted, "seed \(Self.seed)")
            try await place.close()
            await postgres.stop()
        }
    }

    private func count(_ query: Query, _ connection: PostgresConnection) async throws -> Int64 {
        try await connection.query(query).rows[0].decode(as: Int64.self)
    }
}
