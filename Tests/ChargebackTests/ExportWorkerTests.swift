/// Exports made in the background: the same bytes as the statements', whatever breaks off, and never by two at once.
import Budgets
import Crypto
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Chargeback

@Suite("Exports in the background", .timeLimit(.minutes(5))) struct ExportWorkerTests {
    private let september = StatementMonth("2025-09")!
    private let november = StatementMonth("2025-11")!
    private let now = Instant(rfc3339: "2025-12-05T00:00:00Z")!
    private var entries: [ChargebackWorld.Entry] {
        [
            .init(at: "2025-09-10T10:00:00Z", attribution: 1, lines: [("input", 1_000_001, 1)]),
            .init(at: "2025-09-30T22:00:00Z", attribution: 1, feature: "chat", lines: [("input", 3, 1), ("output", 7, 2)]),
            .init(at: "2025-11-15T12:00:00Z", attribution: 2, lines: [("input", 5, 1), ("thought", 11, nil)]),
        ]
    }

    /// One organization; September is closed, October is nearly empty.
    private func withWorld(_ body: (ChargebackWorld, Store) async throws -> Void) async throws {
        try await withDatabase { database in
            let world = ChargebackWorld(database: database)
            try await world.create(costCenters: ["CC-1", nil], entries)
            let pool = PostgresPool(database, size: 4, logger: testLogger)
            let store = Store(pool: pool)
            try await world.close(september, store, at: now)
            try await body(world, store)
            await pool.shutdown()
        }
    }

    @discardableResult private func ask(
        _ world: ChargebackWorld, _ store: Store, _ format: StatementFormat = .csv, of organization: OrganizationID? = nil
    ) async throws -> ExportID {
        let new = NewExport(
            id: ExportID(at: .now()), format: format.rawValue, firstMonth: september, lastMonth: november, requestedBy: "key_1")
        return try await store.requestExport(new, of: organization ?? world.organization).id
    }

    /// The file as anybody fetches it, held against the size and the hash that are told of it.
    private func file(_ id: ExportID, _ world: ChargebackWorld, _ store: Store) async throws -> [UInt8] {
        let record = try await store.export(id, of: world.organization)
        try #require(record.state == .done, "\(record)")
        var bytes: [UInt8] = []
        var piece: Int64 = 0
        while let more = try await store.exportPiece(piece, of: id, in: world.organization) {
            bytes += more
            piece += 1
        }
        #expect(record.byteCount == Int64(bytes.count) && record.hash == Bytea(Array(SHA256.hash(data: bytes))).hexadecimal)
        #expect(record.monthsDone == 3 && record.months == 3 && record.failure == nil)
        return bytes
    }

    @Test("an archive has each month's file, byte for byte the statement's, and its manifest", arguments: StatementFormat.allCases)
    func content(format: StatementFormat) async throws {
        try await withWorld { world, store in
            let id = try await ask(world, store, format)
            guard case .made = try await ExportWorker(store: store).work() else { return #expect(Bool(false), "not made") }
            guard case .idle = try await ExportWorker(store: store).work() else { return #expect(Bool(false), "made twice") }
            let files = try Archive.read(await file(id, world, store))
            let export = try await StatementExport(store: store, organization: world.organization)
            var expected: [String] = []
            for month in september.through(november) {
                let name = format.fileName(month)
                expected += [name, "\(name).manifest.json"]
                var bytes: [UInt8] = []
                let plan = try await export.plan(format, month: month)
                let (total, facts) = try await export.write(plan) { bytes += $0 }
                #expect(files.first { $0.name == name }?.content == bytes, "\(name)")
                let manifest = try #require(files.first { $0.name == "\(name).manifest.json" })
                #expect(manifest.content == export.manifest(plan, total, facts).bytes)
                #expect(try JSON.parse(manifest.content)["state"] == (month == september ? "closed" : "open"))
            }
            #expect(files.map(\.name) == expected)
        }
    }

    @Test("whichever step a worker breaks off before, another begins again, and the file is the same")
    func crashes() async throws {
        try await withWorld { world, store in
            // Features that do not compress, for a file of several pieces.
            try await world.sql([
                "UPDATE fences SET version = version + 1",
                """
                INSERT INTO ledger_entries
                    (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model,
                     provider, service_tier, feature, lines, cost, overage, draws, is_late, outcome, version)
                SELECT e.organization_id, many.id, many.id, e.attribution_id, e.occurred_at, e.booked_at, 'r', e.model, e.model, e.provider,
                       e.service_tier, many.feature, e.lines, e.cost, 0, '[]', false, 'ok', f.version
                FROM (SELECT gen_random_uuid() AS id, string_agg(md5(n::text || i::text), '') AS feature
                      FROM generate_series(1, 12000) AS n, generate_series(1, 6) AS i GROUP BY n) AS many,
                     (SELECT * FROM ledger_entries
                      WHERE organization_id = \(world.organization) AND occurred_at > '2025-11-01' LIMIT 1) AS e, fences AS f
                WHERE f.organization_id = e.organization_id
                """,
            ])
            let worker = ExportWorker(store: store)
            let first = try await ask(world, store)
            guard case .made = try await worker.work() else { return #expect(Bool(false), "not made") }
            let whole = try await file(first, world, store)
            #expect(whole.count > ExportRecord.pieceBytes)

            // Each write of a worker is a step; the one that is named fails, as if the process had died before it.
            try await world.sql([
                "CREATE SEQUENCE steps", "CREATE TABLE dies (before bigint)", "INSERT INTO dies VALUES (NULL)",
                """
                CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF nextval('steps') = (SELECT before FROM dies) THEN RAISE 'the worker is dead'; END IF;
                    RETURN NEW;
                END $$
                """,
                "CREATE TRIGGER die BEFORE UPDATE ON exports FOR EACH ROW EXECUTE FUNCTION die()",
                "CREATE TRIGGER die BEFORE INSERT ON export_pieces FOR EACH ROW EXECUTE FUNCTION die()",
            ])
            var step: Int64 = 0
            var broken = 0
            while true {
                step += 1
                try await world.sql(["SELECT setval('steps', 1, false)", "UPDATE dies SET before = \(step)"])
                let id = try await ask(world, store)
                let outcome = try? await worker.work()
                if case .made = outcome { break }
                if case .brokeOff = outcome { broken += 1 }
                try await world.sql(["UPDATE dies SET before = NULL"])
                #expect(try await store.export(id, of: world.organization).state != .done, "step \(step)")
                #expect(try await store.exportPiece(0, of: id, in: world.organization) == nil, "nobody sees a part, step \(step)")
                // Nobody else begins while the lease lasts; a minute later they do.
                if step > 1 { guard case .idle = try await worker.work() else { return #expect(Bool(false), "two at once") } }
                guard case .made = try await worker.work(now: .now().adding(seconds: 61)) else { return #expect(Bool(false), "\(step)") }
                #expect(try await file(id, world, store) == whole, "step \(step)")
            }
            // A claim; two pieces, each with a sign of life; the end.
            #expect(step >= 7 && broken >= 5)
        }
    }

    @Test("of two workers one makes it; one that has lost its lease writes nothing more, not even the end")
    func fence() async throws {
        try await withWorld { world, store in
            let id = try await ask(world, store)
            async let one = ExportWorker(store: store).work()
            async let other = ExportWorker(store: store).work()
            let made = try await [one, other].filter { if case .made = $0 { true } else { false } }
            #expect(made.count == 1)
            let first = try await file(id, world, store)

            let second = try await ask(world, store)
            let slow = try #require(try await store.claimExport())
            #expect(try await store.keep([1, 2, 3], asPiece: 0, of: slow, monthsDone: 0))
            #expect(try await store.keepLease(of: slow, monthsDone: 2))
            #expect(try await store.export(second, of: world.organization).monthsDone == 2)
            guard case .made = try await ExportWorker(store: store).work(now: .now().adding(seconds: 61)) else {
                return #expect(Bool(false), "the lease has ended")
            }
            #expect(try await !store.keep([4], asPiece: 1, of: slow, monthsDone: 0))
            #expect(try await !store.keepLease(of: slow, monthsDone: 0))
            #expect(try await !store.finish(slow, bytes: 3, sha256: Array(repeating: 0, count: 32)))
            #expect(try await !store.fail(slow, because: "it is not mine"))
            #expect(try await file(second, world, store) == first)
        }
    }

    @Test("what is taken back is not made, and its file is gone")
    func cancelled() async throws {
        try await withWorld { world, store in
            let (queued, running, done) = (try await ask(world, store), try await ask(world, store), try await ask(world, store))
            _ = try await store.cancelExport(queued, of: world.organization)
            let claimed = try #require(try await store.claimExport())
            #expect(claimed.export.id == running && claimed.attempt == 1)
            #expect(try await store.keep([1], asPiece: 0, of: claimed, monthsDone: 0))
            _ = try await store.cancelExport(running, of: world.organization)
            #expect(try await !store.keep([2], asPiece: 1, of: claimed, monthsDone: 0))
            guard case .made = try await ExportWorker(store: store).work() else { return #expect(Bool(false), "not made") }
            _ = try await store.cancelExport(done, of: world.organization)
            for id in [queued, running, done] {
                #expect(try await store.export(id, of: world.organization).state == .cancelled)
                #expect(try await store.exportPiece(0, of: id, in: world.organization) == nil)
                await #expect(throws: AdminRefusal.alreadyDecided("cancelled")) { try await store.cancelExport(id, of: world.organization) }
            }
            #expect(try await world.sql(["SELECT count(*) FROM export_pieces"])[0].rows[0].decode(as: Int.self) == 0)
        }
    }

    @Test("what is too large, or breaks off five times, fails and says so; a file goes after a week; twenty wait at most")
    func bounds() async throws {
        try await withWorld { world, store in
            let large = try await ask(world, store)
            guard case .failed(_, let error) = try await ExportWorker(store: store, mostBytes: 1000).work() else {
                return #expect(Bool(false), "not failed")
            }
            let failed = try await store.export(large, of: world.organization)
            #expect(error is ExportTooLarge && failed.state == .failed && failed.failure?.contains("fewer months") == true)

            let broken = try await ask(world, store)
            for attempt in 1...5 {
                let at = Instant.now().adding(seconds: Int64(attempt) * 100)
                #expect(try await store.claimExport(now: at)?.attempt == Int64(attempt))
                try await store.pruneExports(now: at)
                #expect(try await store.export(broken, of: world.organization).state == .running)
            }
            let later = Instant.now().adding(seconds: 1000)
            #expect(try await store.claimExport(now: later) == nil)
            try await store.pruneExports(now: later)
            #expect(try await store.export(broken, of: world.organization).failure == "it broke off too often")

            let kept = try await ask(world, store)
            guard case .made = try await ExportWorker(store: store).work() else { return #expect(Bool(false), "not made") }
            try await store.pruneExports(now: .now().adding(seconds: 7 * 86_400 - 60))
            _ = try await file(kept, world, store)
            try await store.pruneExports(now: .now().adding(seconds: 7 * 86_400 + 60))
            let expired = try await store.export(kept, of: world.organization)
            #expect(expired.state == .expired && expired.hash != nil)
            #expect(try await store.exportPiece(0, of: kept, in: world.organization) == nil)

            for _ in 1...20 { try await ask(world, store) }
            let figures = try await store.openFigures()
            #expect(figures.waitingExports == 20 && figures.oldestExportMicroseconds != nil)
            let cure = "Cancel what is no longer needed, or wait until files expire."
            await #expect(throws: AdminRefusal.tooMany("exports", 20, cure: cure)) { try await ask(world, store) }
        }
    }

    @Test("organizations are served in turn, however many one of them has asked for")
    func turns() async throws {
        try await withWorld { world, store in
            let other = OrganizationID(high: 1, low: 2)
            try await world.sql([
                "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(other), 'Other', 'UTC')",
                "INSERT INTO fences (organization_id) VALUES (\(other))",
            ])
            for _ in 1...3 { try await ask(world, store) }
            for _ in 1...2 { try await ask(world, store, of: other) }
            var served: [OrganizationID] = []
            for second in 1...5 {
                served.append(try #require(try await store.claimExport(now: .now().adding(seconds: Int64(second)))).organization)
            }
            #expect(served == [world.organization, other, world.organization, other, world.organization])
        }
    }
}

/// A ZIP archive as others read it: by its directory, and inflated by the system's own `gzip`, which checks length and sum as well.
private struct Archive {
    struct File {
        let name: String
        let content: [UInt8]
    }

    static func read(_ bytes: [UInt8]) throws -> [File] {
        func number(_ place: Int, _ count: Int) -> Int { (0..<count).reduce(0) { $0 | Int(bytes[place + $1]) << ($1 * 8) } }
        let end = bytes.count - 22
        try #require(number(end, 4) == 0x0605_4B50, "no end of an archive")
        var place = number(end + 16, 4)
        #expect(place + number(end + 12, 4) == end)
        var files: [File] = []
        for _ in 0..<number(end + 10, 2) {
            try #require(number(place, 4) == 0x0201_4B50)
            let (compressed, length, offset) = (number(place + 20, 4), number(place + 28, 2), number(place + 42, 4))
            let name = String(decoding: bytes[place + 46..<place + 46 + length], as: UTF8.self)
            // The file's own head has the same name before the content, and the same sums behind it.
            try #require(number(offset, 4) == 0x0403_4B50)
            #expect(Array(bytes[offset + 30..<offset + 30 + length]) == Array(name.utf8))
            let start = offset + 30 + length
            let sums = Array(bytes[place + 16..<place + 28])
            #expect(number(start + compressed, 4) == 0x0807_4B50)
            #expect(Array(bytes[start + compressed + 4..<start + compressed + 16]) == sums)
            let head: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]
            let gzip = head + bytes[start..<start + compressed] + sums[0..<4] + sums[8..<12]
            files.append(File(name: name, content: try gunzip(gzip)))
            place += 46 + length
        }
        #expect(place == end)
        return files
    }
}
