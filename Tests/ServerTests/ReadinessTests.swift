/// `/health/ready` tells whether calls can be booked, each way in which Postgres can be unfit; `/health/live` stays out of it.
import JSON
import Postgres
import TestSupport
import Testing

@testable import Server

@Suite(.serialized, .timeLimit(.minutes(2))) struct ReadinessTests {
    @Test("without Postgres it is not ready and still alive; with Postgres it is ready again by itself")
    func away() async throws {
        try await isolatedPostgres { postgres in
            try await withServer(on: postgres.configuration, expectsFaults: true) { served in
                let anyone = served.caller(nil)
                postgres.stop()
                let answer = try await anyone.until(readiness: 503)
                #expect(answer.code == "store_unavailable" && answer.body["detail"]?.string?.isEmpty == false, "\(answer)")
                #expect(try await anyone.get("/health/live").status == 200)
                let page = try PrometheusPage(await anyone.get("/metrics").text)
                #expect(page.value("bursar_postgres_up") == 0 && page.value("bursar_held_usd") == nil)
                try await postgres.start()
                try await anyone.untilReady()
            }
        }
    }

    @Test("a Postgres that became read-only is found by writing")
    func readOnly() async throws {
        try await isolatedPostgres { postgres in
            try await withServer(on: postgres.configuration, expectsFaults: true) { served in
                let anyone = served.caller(nil)
                var any = postgres.configuration
                any.parameters["target_session_attrs"] = "any"
                let administrator = try await PostgresConnection.connect(any, logger: testLogger)
                for (setting, status) in [("on", 503), ("off", 200)] {
                    try await administrator.script("ALTER SYSTEM SET default_transaction_read_only = \(setting)")
                    try await administrator.script("SELECT pg_reload_conf()")
                    try await anyone.until(readiness: status)
                }
                await administrator.close()
            }
        }
    }

    @Test("a full disk is learned from the engine's commits, and room again from the next one")
    func diskFull() async throws {
        try await withServer(expectsFaults: true) { served in
            let world = try await World.make(served)
            let administrator = try await PostgresConnection.connect(served.database, logger: testLogger)
            try await administrator.script(
                """
                CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
                CREATE TRIGGER fill BEFORE INSERT ON reservations EXECUTE FUNCTION fill();
                """)
            #expect(try await world.reserve("r").code == "store_unavailable")
            #expect(try await served.caller(nil).get("/health/ready").status == 503)
            try await administrator.script("DROP TRIGGER fill ON reservations")
            #expect(try await world.reserve("r").status == 201)
            #expect(try await served.caller(nil).get("/health/ready").status == 200)
            await administrator.close()
        }
    }

    @Test("a schema older than the binary is not ready, a newer one is")
    func schema() async throws {
        try await withServer { served in
            let administrator = try await PostgresConnection.connect(served.database, logger: testLogger)
            let changes = [
                ("DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)", 503),
                ("INSERT INTO schema_migrations (version, name, checksum) VALUES (1000, 'later', '')", 200),
            ]
            for (change, status) in changes {
                try await administrator.script(change)
                try await served.caller(nil).until(readiness: status)
            }
            await administrator.close()
        }
    }
}
